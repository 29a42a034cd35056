"""The step cache: what decides whether a recorded result may stand for running the step, and whose result it is.

A key is a function of its ingredients alone; what is no ingredient cannot matter. Why which is one:
docs/adr/0030-step-cache.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

FORMAT = "flow step cache 1"  # another text makes every recorded result unreachable

# The FLOW_* variables that say which run this is. A name that stands in neither set is part of every key.
RUN_FACTS = frozenset({"FLOW_RUN_ID", "FLOW_RUN_NUMBER", "FLOW_ATTEMPT", "FLOW_NETWORK"})
# Those that say where the run came from: part of a key only when the whole workspace is, whose `.git` says the same.
SOURCE_FACTS = frozenset({"FLOW_BRANCH", "FLOW_TAG", "FLOW_COMMIT", "FLOW_EVENT", "FLOW_FAILED_STEPS"})


@dataclass(frozen=True, slots=True)
class Ingredients:
    """All that decides the result of a step.

    `definition` is the compose file as the engine would get it, without what differs from run to run; `files` the text
    of files that it mounts. `machine` is the kind of processor: one digest may name images for several. `tree` has path,
    mode and object id of what the step reads. `secrets` holds versions that only the server can make, never values.
    """

    definition: Mapping[str, Any]
    files: Mapping[str, str]
    main: tuple[str, ...]
    machine: str
    tree: tuple[tuple[str, int, str], ...]
    variables: Mapping[str, str]
    secrets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose result was taken: the attempt by run (id, and number in the project) and step, and when it ended."""

    run: str
    number: int
    step: str
    attempt: int
    finished_at: float

    def __str__(self) -> str:
        return f"result of run {self.number}, step {self.step}, attempt {self.attempt}"


def cache_key(ingredients: Ingredients) -> str:
    """Return the key: SHA-256 in hexadecimal. Different ingredients have different texts, so only equal ones share it."""
    parts = {field.name: getattr(ingredients, field.name) for field in fields(ingredients)}
    text = json.dumps([FORMAT, parts], sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def lasting_facts(environment: Mapping[str, str], *, whole: bool) -> dict[str, str]:
    """Return those of the FLOW_* variables of a step that are part of its key; `whole`: so is the whole workspace."""
    left_out = RUN_FACTS if whole else RUN_FACTS | SOURCE_FACTS
    return {name: value for name, value in environment.items() if name not in left_out}
