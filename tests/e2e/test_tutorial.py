"""The tutorial is true: all its commands, one after the other, in a new directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowbuild.testing.program import LIMIT, leftovers

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
EXPECTED = [
    "flow ended with code 1",
    "the program of 3 lines is broken",
    "expected 4, got 3",
    "expected: 4",
    "expected 3, got 3",
]

pytestmark = pytest.mark.docker


def test_tutorial(tmp_path: Path) -> None:
    output = play(re.findall(r"^```sh\n(.*?)^```$", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE), tmp_path)
    for text in EXPECTED:
        assert text in output
    assert output.rstrip().endswith("\n3\ncount")  # the variable and the directory, read from the clone
    runs = re.findall(r"[0-9A-HJKMNP-TV-Z]{26}", play(["cd words", "flow runs --json"], tmp_path))
    assert len(set(runs)) >= 3
    assert leftovers(sorted(set(runs))) == []


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not inside a git repository"):
        play(["flow run nonsense"], tmp_path)


def play(commands: list[str], directory: Path) -> str:
    """Run commands as one script that ends at the first failure; return what they printed."""
    assert commands
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "FLOW_HOME": str(directory / "home"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Tutorial", f"GIT_{role}_EMAIL": "tutorial@localhost"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        cwd=directory,
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
