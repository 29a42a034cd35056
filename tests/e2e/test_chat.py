"""Talking to a real server: a script, and an agent, lead from a start with inputs over a failure to an approved deployment."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from flowbuild.testing.program import BYTECODE, LIMIT, Output, Program, Started

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
        self.top = top
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


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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

    held = site.talk(
        "hold release the shop is closed", "yes", "status", "run release copies=1 target=staging", "yes", "runs"
    )
    answers = said(held)
    assert "Reason: the shop is closed" in " ".join(answers["hold release the shop is closed"].split())
    assert "shop/release (held)" in answers["status"]
    assert "held" in held.stdout.rpartition("flow> yes")[2], held.text
    assert held.code == 2, "it was started although it is held"
    assert "runs" not in answers
    free = site.talk(
        "unhold release", "yes", "run release copies=1 target=staging", "yes", "cancel last", "yes", "watch last"
    )
    assert "It was held because: the shop is closed" in " ".join(said(free)["unhold release"].split())
    assert "shop/release #3 was cancelled" in free.stdout
    assert free.code == 0


def text_of(result: CallToolResult) -> str:
    return result.content[0].text


async def drive(client: Client) -> None:
    """Be an agent that leads a run to green, with nothing but the tools."""

    async def call(tool: str, **arguments: object) -> CallToolResult:
        result = await client.call_tool(tool, arguments)
        print(f"--- {tool} {arguments}\n{text_of(result)}")
        return result

    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert tools["get_run"].annotations.read_only_hint
    assert tools["get_run"].output_schema["required"]
    (pipeline,) = (await call("list_pipelines")).structured_content["pipelines"]
    assert [one["name"] for one in pipeline["inputs"]] == ["target", "copies"]
    missing = await call("start_run", pipeline=pipeline["pipeline"], inputs={"copies": 3})
    assert missing.is_error
    assert "Give it in inputs, as 'target'" in text_of(missing)
    inputs = {"copies": 3, "target": "staging"}
    asked = await call("start_run", pipeline="rel", inputs=inputs)
    assert asked.is_error
    assert "It acts on staging" in text_of(asked)
    assert "confirm=true" in text_of(asked)
    assert not (await call("list_runs")).structured_content["runs"], "it was started without confirm"
    first = (await call("start_run", pipeline="rel", inputs=inputs, confirm=True)).structured_content["run"]
    assert (await call("get_run", run=first, wait_seconds=LIMIT)).structured_content["state"] == "failed"
    (cause,) = (await call("explain_run", run=first)).structured_content["causes"]
    assert (cause["step"], cause["why"]) == ("check", "exit code 7")
    assert "fatal error: no licence" in cause["lines"]
    assert (await call("read_log", run=first, step="check")).structured_content["total"] == 2
    assert (await call("read_diff", run=first, step="build")).structured_content["files"][0]["name"] == "result"
    again = await call("rerun", run=first, from_steps=["check"], confirm=True)
    second = again.structured_content["run"]
    waits = await call("get_run", run=second, wait_seconds=LIMIT)
    assert [step["key"] for step in waits.structured_content["steps"] if step["approve"]] == ["deploy"]
    assert (await call("approve_step", run=second)).is_error, "it was approved without confirm"
    assert not (await call("approve_step", run=second, confirm=True)).is_error
    assert (await call("get_run", run=second, wait_seconds=LIMIT)).structured_content["state"] == "succeeded"
    assert (await call("explain_run", run="77")).is_error


async def test_an_agent_leads_a_failed_run_to_green(site):
    own = {**BYTECODE, **site.program.environment, "FLOW_HOME": str(site.program.home)}
    command, *arguments = [*site.program.command, "--server", site.url, "mcp"]
    parameters = StdioServerParameters(command=command, args=arguments, env=own, cwd=site.program.directory)
    async with Client(parameters) as client:
        await drive(client)


async def test_an_agent_over_http_has_the_rights_of_its_token(site, free_port, start):
    token = json.loads((site.top / "user" / "flow-build" / "servers.json").read_text())["logins"][0]["token"]
    served = start(site.program, "--server", site.url, "mcp", "--http", "--port", str(free_port))
    served.wait_for("mcp at")
    url = f"http://127.0.0.1:{free_port}/mcp"
    async with httpx2.AsyncClient(timeout=LIMIT) as plain:
        assert (await plain.post(url, json={})).status_code == 401
        good = {"Authorization": f"Bearer {token}"}
        assert (await plain.post(url, json={}, headers={**good, "Origin": "https://evil.example"})).status_code == 403
        assert (await plain.post(url, json={}, headers={**good, "Host": "evil.example"})).status_code == 421
    made = site.program.call("--server", site.url, "tokens", "create", "agent", "--scope", "read", "--name", "ann")
    narrow = made.stdout.strip()
    assert narrow, made.text
    for bearer, refused in ((narrow, "scope"), ("flow_nobody", "does not know you")):
        headers = {"Authorization": f"Bearer {bearer}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=LIMIT) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            result = await client.call_tool(
                "start_run", {"pipeline": "shop/release", "inputs": {"copies": 1, "target": "staging"}, "confirm": True}
            )
            assert result.is_error
            assert refused in text_of(result)
    async with (
        httpx2.AsyncClient(headers=good, timeout=LIMIT) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        await drive(client)
