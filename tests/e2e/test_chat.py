"""Talking to a real server: a scripted conversation leads from a start with inputs over a failure to an approved deployment."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flowbuild.testing.program import LIMIT, Output, Program, Started

PIPELINE = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  release:
    inputs:
      target: {type: choice, options: [staging, production]}
      copies: {type: number}
    steps:
      build:
        compose: {services: {main: {<<: *box, environment: {COPIES: "${{ inputs.copies }}"}, command: [sh, -c, "echo copies: $$COPIES > result"]}}}
        success: [check]
      check:
        compose: {services: {main: {<<: *box, command: [sh, -c, "echo one; [ $$FLOW_RUN_NUMBER != 1 ] || { echo fatal error: no licence; exit 7; }"]}}}
        success: [deploy]
      deploy:
        environment: {name: "${{ inputs.target }}", approve: [maintainers]}
        compose: {services: {main: {<<: *box, command: [sh, -c, "cat result; echo deployed"]}}}
"""
pytestmark = pytest.mark.docker


class Site:
    """A server with a project, and its admin at a terminal."""

    def __init__(self, top: Path, source: Path, port: int, start: Callable[..., Started]) -> None:
        own = {
            "FLOW_PORT": str(port),
            "FLOW_ALLOW_LOCAL": str(top),
            "FLOW_PASSWORD": "correct horse battery",
            "XDG_CONFIG_HOME": str(top / "user"),
        }
        self.url = f"http://127.0.0.1:{port}"
        self.program = Program(top / "home", source, own)
        code = re.search(r"--code (\S+)", start(self.program, "server").wait_for("flow setup"))
        assert code is not None
        assert self.program.call("setup", self.url, "--code", code[1], "--name", "ann").code == 0
        assert self.program.call("projects", "add", "shop", str(source)).code == 0

    def talk(self, *lines: str) -> Output:
        """Say lines to `flow chat`; return what it said."""
        process = self.program.start("--server", self.url, "chat", stdin=subprocess.PIPE)
        stdout, stderr = process.communicate("\n".join([*lines, ""]), timeout=LIMIT)
        print(stdout)
        return Output(process.returncode, stdout, stderr)


@pytest.fixture
def site(tmp_path, source, port, start):
    return Site(tmp_path, source, port, start)


def said(output: Output) -> dict[str, str]:
    """Return what was answered, by what was said."""
    parts = re.split(r"^flow> (.*)$", output.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_from_a_start_over_a_failure_to_a_deployment(site):
    output = site.talk("run rel copies=3", "2", "yes", "watch last", "why last", "log last check", "diff last build")
    answers = said(output)
    assert "What is 'target' to be" in answers["run rel copies=3"], output.text
    assert "It acts on production" in answers["2"]
    assert "shop/release #1 was started" in answers["yes"]
    assert "✗ shop/release #1 failed" in answers["watch last"]
    assert "check failed: exit code 7" in answers["why last"]
    assert "| fatal error: no licence" in answers["why last"]
    assert "It never succeeded before on this branch" in answers["why last"]
    assert "The 2 lines" in answers["log last check"]
    assert "A  result" in answers["diff last build"]
    assert "| +copies: 3" in answers["diff last build"]
    assert output.code == 1, "the run that was watched failed"

    again = site.talk(
        "retry last from che",
        "yes",
        "watch last",
        "approve last",
        "no",
        "approve last fine by me",
        "yes",
        "watch last",
        "whoami",
    )
    answers = said(again)
    assert "takes over what stands before check" in answers["retry last from che"], again.text
    assert "It acts on production" in answers["retry last from che"]
    assert "Never mind" in answers["no"]
    assert "Step deploy will act on production" in answers["approve last fine by me"]
    assert "✓ shop/release #2 succeeded" in answers["watch last"]
    assert "You are ann, an admin" in answers["whoami"]
    assert again.code == 0
    view = site.program.call("--server", site.url, "--project", "shop", "show", "2", "--json").json()
    assert {step["key"]: (step["outcome"], step["reused"]) for step in view["steps"]} == {
        "build": ("succeeded", True),
        "check": ("succeeded", False),
        "deploy": ("succeeded", False),
    }
