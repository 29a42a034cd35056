"""The step cache of a home directory: looks results up, replays them, records new ones. Blocking: call from threads."""

from __future__ import annotations

import functools
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from flowbuild.client.runner import AttemptResult
from flowbuild.core.cache import Origin
from flowbuild.core.errors import FlowError, LeaseLost
from flowbuild.core.ids import CommitId
from flowbuild.core.states import Outcome
from flowbuild.services.assignments import attempt_trailers
from flowbuild.store.attempts import AttemptKey, AttemptRow
from flowbuild.store.cache import Recorded, Scope
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runs import RunRow
from flowbuild.workspace.replay import Recorded as Replayable
from flowbuild.workspace.replay import replay
from flowbuild.workspace.repo import RunRepository

log = structlog.get_logger()
KEY = "cache_key"  # of the details of an attempt
_KEY = re.compile(r"[0-9a-f]{64}")


class StepCache:
    """Results by key. Whatever is wrong with a recorded result, the answer is that there is none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look_up(self, attempt: AttemptKey, key: str) -> AttemptResult | None:
        """Return the result of an attempt as recorded under a key, committed as its own; None: it has to run.

        The key is kept with the attempt: under it its result will be recorded; not for a step without `cache`, whatever a
        runner says. Raises LeaseLost.
        """
        with self._database.write() as tx:
            stored = tx.runs.get(attempt.run)
            row = tx.attempts.get(attempt)
            if row is None or row.state not in ("leased", "launched"):
                raise LeaseLost(f"the lease on attempt {attempt.attempt} of step {attempt.step!r} is over")
            if stored.run.pipeline.step(attempt.step).cache is None or not _KEY.fullmatch(key):
                return None
            tx.attempts.detail(attempt, {KEY: key})
            fresh = stored.run.steps[attempt.step].fresh
            recorded = None if fresh else tx.cache.get(_scope(stored), key)
        about = {"run": attempt.run, "step": attempt.step}
        try:
            return _replayed(stored, row, recorded)
        except FlowError as error:
            log.info("cache_misfit", error=error.message, **about)
        except Exception as error:  # also a bug of ours: the step runs, as it would without a cache
            log.error("cache_broke", exc_info=error, **about)
        if recorded is not None:
            with self._database.write() as tx:
                tx.cache.drop(_scope(stored), key, recorded.origin)
        return None

    def record(self, tx: Transaction, row: AttemptRow, result: AttemptResult) -> None:
        """Record the result of an attempt that really ran, in the transaction that accepts it."""
        key = row.details.get(KEY)
        if key and result.outcome is Outcome.SUCCEEDED and result.commit and result.cached is None:
            tx.cache.put(_scope(tx.runs.get(row.key.run)), key, row.key)


def _scope(stored: RunRow) -> Scope:
    return Scope(stored.project, stored.trust)


def _replayed(stored: RunRow, row: AttemptRow, recorded: Recorded | None) -> AttemptResult | None:
    """Commit a recorded result under the ref of the attempt; raises FlowError, OSError when it does not fit.

    When an earlier life of this program did so, that commit stays the result: the attempt has one ref.
    """
    key = row.key
    repository = RunRepository.open(Path(stored.repository))
    earlier = repository.attempt_result(key.step, key.attempt, key.epoch)
    if earlier is not None:
        return _result(repository, row, earlier)
    if recorded is None:
        return None
    whose = RunRepository.open(Path(recorded.repository))
    commit = replay(
        repository,
        CommitId(row.input_commit),
        Replayable(whose, CommitId(recorded.input_commit), CommitId(recorded.commit)),
        message=f"{key.step}: succeeded (cached)",
        trailers=attempt_trailers(stored, row) | _trailers(recorded),
    )
    repository.write_attempt_ref(key.step, key.attempt, key.epoch, commit)
    return replace(_result(repository, row, commit), images=recorded.images)


def _trailers(recorded: Recorded) -> dict[str, str]:
    origin = recorded.origin
    return {
        "Flow-Outcome": str(Outcome.SUCCEEDED),
        "Flow-Exit-Code": "" if recorded.exit_code is None else str(recorded.exit_code),
        "Flow-Cached-Run": origin.run,
        "Flow-Cached-Number": str(origin.number),
        "Flow-Cached-Step": origin.step,
        "Flow-Cached-Attempt": str(origin.attempt),
        "Flow-Cached-Commit": recorded.commit,
        "Flow-Cached-Finished": str(origin.finished_at),
    }


def _result(repository: RunRepository, row: AttemptRow, commit: CommitId) -> AttemptResult:
    """Return the result that a replayed commit is, by what its trailers say."""
    said = repository.commit(commit).trailers
    code = said["Flow-Exit-Code"]
    number, attempt = int(said["Flow-Cached-Number"]), int(said["Flow-Cached-Attempt"])
    finished_at = float(said["Flow-Cached-Finished"])
    return AttemptResult(
        Outcome.SUCCEEDED,
        exit_code=int(code) if code else None,
        commit=commit,
        variables=repository.variables(commit),
        changes=repository.change_counts(CommitId(row.input_commit), commit),
        cached=Origin(said["Flow-Cached-Run"], number, said["Flow-Cached-Step"], attempt, finished_at),
    )


class SecretVersions:
    """Names values of secrets without telling them: only who has the key of the home directory can try values out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the version of each secret by name: HMAC-SHA-256 of name and value in hexadecimal."""
        return {name: self._version(name, value) for name, value in values.items()}

    def _version(self, name: str, value: str) -> str:
        text = f"{name}\0{value}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, text, "sha256").hex()

    @functools.cached_property
    def _key(self) -> bytes:
        with self._database.write() as tx:
            return bytes.fromhex(tx.setting("secret_versions", secrets.token_hex(32)))
