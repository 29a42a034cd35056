"""A database that is away and a disk that is full are waited for: the steps of a server do not suffer."""

import errno
from unittest.mock import patch

import pytest

from flowbuild.core.errors import EngineError, StoreError
from flowbuild.logs.writer import AttemptLog
from flowbuild.runner.patience import Patience
from flowbuild.services.runners import RunnerService
from flowbuild.testing.home import Home, step
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Slots

FULL = OSError(errno.ENOSPC, "No space left on device")
AWAY = StoreError("the database could not be changed: the connection is lost")


def breaking(owner, name, error, times):
    """Let a method fail so many times; the mock's `called` counts the rest, too."""
    original, failed = getattr(owner, name), []

    def method(self, *args, **kwargs):
        if len(failed) < times:
            failed.append(name)
            raise error
        return original(self, *args, **kwargs)

    return patch.object(owner, name, method), failed


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.write({"a": step(write="a=1", log="from a\n", then="b"), "b": step(write="b=1", log="from b\n")})
    return made


CALLS = [
    (RunnerService, "_launched", AWAY),
    (RunnerService, "_log_state", AWAY),
    (RunnerService, "_append", AWAY),
    (RunnerService, "_finish", AWAY),
    (AttemptLog, "append", FULL),
    (Slots, "commit", FULL),
    (RunRepository, "write_attempt_ref", FULL),
    (RunRepository, "accept", FULL),
    (RunRepository, "accept", AWAY),
    (AttemptLog, "finish", FULL),
]


@pytest.mark.parametrize(
    ("owner", "name", "error"), CALLS, ids=[f"{name} {type(error).__name__}" for _, name, error in CALLS]
)
async def test_steps_wait(home, monkeypatch, owner, name, error):
    monkeypatch.setattr("flowbuild.runner.patience.RETRY_MOST", 0.01)
    monkeypatch.setattr("flowbuild.runner.patience.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("flowbuild.runner.reports.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("flowbuild.orchestrator.loop.RETRY_MOST", 0.01)
    patched, failed = breaking(owner, name, error, 10)
    with patched:
        async with home.life(serving=True) as life:
            run = await life.finished((await life.start(home)).id)
            logs = [await life.log(run.id, key, service="main") for key in "ab"]
    assert failed
    assert [(str(each.outcome), each.message, len(each.attempts)) for each in run.steps] == [("succeeded", "", 1)] * 2
    assert logs == [b"from a\n", b"from b\n"]
    repository = RunRepository.open(home.data / "runs" / run.id / "repository.git")
    assert repository.refs.read("refs/heads/step/b") == run.steps[1].result_commit


async def test_patience_has_an_end_and_only_for_what_passes():
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    async def work():
        raise FULL

    async def bug():
        raise EngineError("ill")

    with pytest.raises(OSError, match="No space"):
        await Patience(60, sleep=sleep)(work)
    assert 60 <= sum(slept) <= 66
    with pytest.raises(EngineError):
        await Patience(60, sleep=None)(bug)
    with pytest.raises(OSError, match="No space"):
        await Patience(0, sleep=None)(work)
