"""Pipelines for tests: written by hand in two lines, or random ones from a seed.

`random_pipeline` takes any `random.Random`; hypothesis hands in one whose choices it can shrink.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

from flowbuild.core.ids import StepKey
from flowbuild.core.model import Edge, EdgeKind, Environment, Join, Pipeline, Position, Retry, Step

_KINDS = {">": EdgeKind.SUCCESS, "!": EdgeKind.FAIL, "*": EdgeKind.ALWAYS}
_HERE = Position(".flow.yml", 1, 1)

# Conditions with a value that does not depend on what the steps do: true, false, or an error (None).
CONDITIONS: Mapping[str, bool | None] = {
    "branch == 'main'": True,
    "branch == 'other'": False,
    "variables.NOT_THERE == ''": None,
    "branch": None,
    "has(variables.NOT_THERE)": False,
    "inputs.count > 2": True,
}


def make_step(key: str, **fields: Any) -> Step:
    """Return a step with nothing but its name and the given fields."""
    return Step(key=StepKey(key), name=str(fields.pop("name", key)), position=_HERE, **fields)


def make_pipeline(steps: Mapping[str, Mapping[str, Any]] | str, edges: str, **fields: Any) -> Pipeline:
    """Return a pipeline from text: steps "a b c" (or a mapping to fields), edges "a>b a!c b*c b>d?condition".

    `>` is a success edge, `!` a fail edge, `*` an always edge; conditions are written without white space.
    """
    named = {key: {} for key in steps.split()} if isinstance(steps, str) else steps
    return Pipeline(
        name="test",
        position=_HERE,
        steps=tuple(make_step(key, **extra) for key, extra in named.items()),
        edges=tuple(map(_edge, edges.replace(";", " ").split())),
        **fields,
    )


def _edge(text: str) -> Edge:
    ends, _, condition = text.partition("?")
    source, sign, target = re.split("([>!*])", ends)
    return Edge(StepKey(source), StepKey(target), _KINDS[sign], condition or None)


def seed_pipeline() -> Pipeline:
    """Return the example that this product began with: a chain, and a mail when anything in it fails."""
    return make_pipeline(
        "git build deploy integration-tests email",
        "git>build git!email build>deploy build!email deploy>integration-tests deploy!email integration-tests!email",
    )


def random_pipeline(random: Random, max_steps: int = 10) -> Pipeline:
    """Return a random acyclic pipeline that uses every feature the machine knows."""
    count = random.randint(1, max_steps)
    keys = [f"s{index}" for index in range(count)]
    steps = tuple(_random_step(random, key) for key in keys)
    edges: dict[tuple[str, str, EdgeKind], Edge] = {}
    for index in range(1, count):
        for _ in range(random.randint(0, min(4, index + 1))):
            source = keys[random.randint(max(0, index - 5), index - 1)]
            kind = random.choices(list(EdgeKind), weights=(6, 2, 1))[0]
            condition = random.choice(list(CONDITIONS)) if random.randint(0, 9) == 0 else None
            edge = Edge(StepKey(source), StepKey(keys[index]), kind, condition)
            edges[edge.source, edge.target, kind] = edge
    order = {key: place for place, key in enumerate(keys)}
    return Pipeline(
        name="random",
        position=_HERE,
        steps=steps,
        edges=tuple(sorted(edges.values(), key=lambda edge: order[edge.source])),
        variables={"START": "1"},
        timeout=random.choice([None, None, None, 400.0]),
    )


def _random_step(random: Random, key: str) -> Step:
    approve = random.choice([(), ("maintainers",)])
    return make_step(
        key,
        join=random.choices(list(Join), weights=(6, 2, 2))[0],
        condition=random.choice(list(CONDITIONS)) if random.randint(0, 11) == 0 else None,
        retry=Retry(
            max=random.choice([0, 0, 1, 2]),
            on=frozenset(random.choice([("errored",), ("failed", "errored"), ("infra_lost",), ("exit_code",)])),
            delay=random.choice([0.0, 5.0]),
        ),
        allow_failure=random.randint(0, 4) == 0,
        background=random.randint(0, 5) == 0,
        timeout=random.choice([None, 100.0]),
        environment=Environment(random.choice(["qa", "prod"]), approve) if random.randint(0, 5) == 0 else None,
    )
