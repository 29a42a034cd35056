"""Tools for agents: what they do, what they refuse, and what an agent may not even see."""

import sys
from contextlib import asynccontextmanager

import pytest
from mcp import Client

from flowbuild.__main__ import Tools
from flowbuild.bot.mcp.serving import app_of
from flowbuild.bot.mcp.tools import Desk, server_of
from flowbuild.client.talking import AgentsRequest
from flowbuild.core.errors import InvalidRequest
from flowbuild.testing import scripted

PIPELINES = [
    {
        "name": "shop",
        "branch": "main",
        "pipelines": [{"name": "release", "runs": [], "hold": {"by": "bob", "reason": "closed"}}],
    }
]
RELEASE = {"name": "release", "inputs": [], "steps": [{"key": "a", "environment": "eu"}]}
WAITS = scripted.step("deploy", None, state="waiting", approve=["maintainers"], attempts=[], environment="eu")
RUNS = {
    "waits": scripted.run(3, "running", steps=[WAITS]),
    "red": scripted.run(2, "failed", steps=[scripted.step("a", "failed", exit_code=3, reason="exit_code")]),
    "new": scripted.run(4, "running"),
}
RED = f"runs/{scripted.run_id('shop', 2)}"
STEP = f"runs/{scripted.run_id('shop', 3)}/steps/deploy"


class Agent:
    """An agent before the tools, and what they asked of the server."""

    def __init__(self, scopes=None, **answers):
        self.asked = []
        known = {"GET pipelines": PIPELINES, "GET projects/shop/pipelines/release": RELEASE, **answers}
        client = scripted.FakeClient(known, RUNS, self.asked)

        @asynccontextmanager
        async def same(_):
            yield client

        self.server = server_of(Desk(same, "shop"), "1", scopes=scopes)

    async def call(self, tool, **arguments):
        async with Client(self.server) as client:
            return await client.call_tool(tool, arguments)

    async def tools(self):
        async with Client(self.server) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}


def text(result):
    return result.content[0].text


async def test_pipelines_as_a_value():
    result = await Agent().call("list_pipelines")
    assert result.structured_content["pipelines"][0]["pipeline"] == "shop/release"
    assert result.structured_content["pipelines"][0]["held"] == "closed"


async def test_what_acts_on_an_environment_needs_confirm():
    agent = Agent(**{"POST projects/shop/pipelines/release/runs": {"run": "new"}})
    asked = await agent.call("start_run", pipeline="release")
    assert asked.is_error
    assert "It acts on eu" in text(asked)
    assert "Answer yes" not in text(asked)
    assert agent.asked == []
    begun = await agent.call("start_run", pipeline="release", confirm=True)
    assert begun.structured_content["run"] == "shop#4"
    assert agent.asked == [["POST", "projects/shop/pipelines/release/runs", {"ref": "", "inputs": {}}]]


async def test_running_again_what_acts_on_nothing_needs_none():
    agent = Agent(**{f"POST {RED}/rerun": {"run": "new"}})
    result = await agent.call("rerun", run="2")
    assert not result.is_error, text(result)
    assert agent.asked == [["POST", f"{RED}/rerun", {"from_steps": [], "failed": True}]]


async def test_judging():
    agent = Agent(**{f"POST {STEP}/approve": {"run": "waits"}})
    assert "Nothing was done yet" in text(await agent.call("approve_step", run="3"))
    assert not (await agent.call("approve_step", run="3", step="deploy", comment="fine", confirm=True)).is_error
    assert agent.asked == [["POST", f"{STEP}/approve", {"comment": "fine"}]]


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("start_run", {"pipeline": "relaese"}, "Did you mean `release`"),
        ("get_run", {"run": "77"}, "there is no"),
        ("get_run", {"run": "../users"}, "is not a run"),
        ("rerun", {"run": "2", "from_steps": ["b"]}, "There is no step 'b' in run 2"),
        ("cancel_run", {"run": "2", "confirm": True}, "has ended"),
        ("read_log", {"run": "2", "step": "a", "lines": 100000}, "less than or equal to 1000"),
        ("list_runs", {"of": "nothing"}, "There is no pipeline 'nothing'"),
    ],
)
async def test_refusals_say_what_is_possible(tool, arguments, words):
    result = await Agent().call(tool, **arguments)
    assert result.is_error
    assert words in text(result)


async def test_what_the_token_does_not_open_is_no_tool():
    every, some, few = [set(await Agent(scopes).tools()) for scopes in (None, ["read", "run"], ["read"])]
    assert every - some == {"approve_step", "reject_step"}
    assert some - few == {"start_run", "rerun", "cancel_run"}


async def test_all_tools_have_schemas_and_say_whether_they_change_anything():
    for name, tool in (await Agent().tools()).items():
        assert tool.output_schema["type"] == "object", name
        assert tool.annotations.read_only_hint is name.startswith(("list_", "get_", "explain_", "read_")), name


def test_others_may_reach_it_only_by_a_name_that_is_said():
    with pytest.raises(InvalidRequest, match="not only this machine"):
        app_of(None, "", AgentsRequest("0.0.0.0"))
    app_of(None, "", AgentsRequest("0.0.0.0", names=("tools.example.org",)))


async def test_what_is_not_installed_is_said(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("flowbuild.bot.mcp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    with pytest.raises(InvalidRequest, match="is not installed") as raised:
        await Tools().stdio(None, "")
    assert "flow-build-server[mcp]" in raised.value.hint
