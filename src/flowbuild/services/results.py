"""Results of runners on other machines, which could say anything: what they hand in must be what they pushed. Blocking.

Numbers and words are bounded by what databases and people can take.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from flowbuild.client.runner import AttemptResult, Lease
from flowbuild.core.cache import Origin
from flowbuild.core.errors import InvalidRequest, ResultMissing, WorkspaceError
from flowbuild.core.ids import RUN_ID, CommitId, RunId
from flowbuild.core.states import Outcome
from flowbuild.store.database import Database
from flowbuild.workspace.repo import RunRepository

ENDS = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.ERRORED, Outcome.CANCELLED})
MESSAGE = 16_384  # characters of a message; what is longer is cut
WORD = 1024  # characters of anything else
PARTS = 256  # phases, images
INTEGER = 1 << 31
COUNT = 1 << 53


class Results:
    """Checks results."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def checked(self, lease: Lease, result: AttemptResult) -> AttemptResult:
        """Return a result with the variables that its commit holds.

        Raises ResultMissing when that was not pushed, InvalidRequest when the rest cannot be said of an attempt.
        """
        result = _bounded(result)
        if result.commit is None:
            return replace(result, variables={})
        with self._database.read() as tx:
            path = tx.runs.get(RunId(lease.run)).repository
        repository = RunRepository.open(Path(path))
        pushed = repository.attempt_result(lease.step, lease.attempt, lease.epoch)
        if pushed != result.commit:
            raise ResultMissing(
                f"the result of step {lease.step!r} is not what was pushed for its attempt",
                hint="push it to the ref of the attempt first",
            )
        try:
            return replace(result, variables=repository.variables(CommitId(result.commit)))
        except WorkspaceError as error:
            raise InvalidRequest(f"the result of step {lease.step!r} cannot be read: {error.message}") from error


def _bounded(result: AttemptResult) -> AttemptResult:
    services = result.services.values()
    words = [*result.phases, *result.images, *result.images.values(), result.commit or "", *result.services]
    words += [word for service in services for word in (service.status, service.error)]
    codes = [result.exit_code, *(service.exit_code for service in services)]
    fits = (
        result.outcome in ENDS
        and all(-INTEGER <= (code or 0) < INTEGER for code in codes)
        and max(len(result.phases), len(result.images), len(result.services)) <= PARTS
        and all(len(word) <= WORD for word in words)
        and all(math.isfinite(seconds) and seconds >= 0 for seconds in result.phases.values())
        and result.changes.keys() <= set("AMD")
        and all(0 <= count < COUNT for count in result.changes.values())
        and (result.cached is None or _is_origin(result.cached))
        and _is_text([*words, result.message])
    )
    if not fits:
        raise InvalidRequest("that cannot be the result of an attempt")
    return replace(result, message=result.message[:MESSAGE])


def _is_origin(origin: Origin) -> bool:
    numbers = 0 < origin.number < INTEGER and 0 < origin.attempt < INTEGER and math.isfinite(origin.finished_at)
    return (
        numbers and RUN_ID.fullmatch(origin.run) is not None and re.fullmatch(r"[\w-]{1,64}", origin.step) is not None
    )


def _is_text(words: Iterable[str]) -> bool:
    """Whether words can be stored: JSON may hold half a character."""
    try:
        for word in words:
            word.encode()
    except UnicodeEncodeError:
        return False
    return True
