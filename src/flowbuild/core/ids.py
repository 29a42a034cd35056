"""Names and numbers that identify things; all are plain strings and integers at run time."""

from __future__ import annotations

import re
from typing import NewType

RunId = NewType("RunId", str)  # 26 characters of a ULID: sorts by creation time
StepKey = NewType("StepKey", str)  # step name, matrix values appended: "test", "test-3-12"
CommitId = NewType("CommitId", str)  # hexadecimal object id in the run repository

EMBEDDED = "local"  # the name of the runner inside the program that drives runs; it dies with that program

RUN_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
STEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}")
CHANNEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def attempt_ref(step: str, attempt: int, epoch: int) -> str:
    """Return the only git ref that the holder of a lease may write."""
    return f"refs/attempts/{step}/{attempt}/{epoch}"


def step_ref(step: str) -> str:
    """Return the git ref of the accepted result of a step; only the server moves it."""
    return f"refs/heads/step/{step}"


def runner_name(runner: str) -> str:
    """Return the name of a runner, which is NAME/LIFE: each start of its program is a life of its own."""
    return runner.partition("/")[0]


def network_name(run: str) -> str:
    """Return what the network of a run is called, on one machine or across several."""
    return f"flow-{run.lower()}"


def summary_path(step: str) -> str:
    """Return where in the workspace a step leaves its summary. Steps side by side must not write one file."""
    return f".flow-summary.{step}.md"
