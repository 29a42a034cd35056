"""Statuses, told to a forge that is as strict as the real ones; and to what is none."""

from dataclasses import replace

import httpx2
import pytest

from flowbuild.core.errors import ForgeError, InvalidRequest
from flowbuild.forges import client as clients
from flowbuild.forges import forge_of
from flowbuild.forges.client import ForgeClient, Status, StatusState, Target
from flowbuild.testing.forge import TOKEN, Told, forge
from flowbuild.testing.payloads import FORGES, Request

KINDS = ["github", "gitlab", "gitea", "bitbucket"]
COMMIT = "b" * 40
STATUS = Status(StatusState.FAILED, "flow/build", "run 7 failed: unit", "https://flow.example/runs/7")
WORDS = {"github": "failure", "gitea": "failure", "gitlab": "failed", "bitbucket": "FAILED"}


def allow(_host, _addresses):
    """Let the server speak to anybody."""


class Setup:
    def __init__(self, made, http, judge=allow, resolve=None):
        self.forge = made
        self.client = ForgeClient(http, judge, resolve)

    def target(self, kind, **more):
        return replace(Target(kind, self.forge.api_url(kind), "team/app", COMMIT), **more)

    async def refused(self, target, token=TOKEN, status=STATUS):
        with pytest.raises(ForgeError) as caught:
            await self.client.set_status(target, token, status)
        return caught.value


@pytest.fixture
async def setup():
    async with forge() as made, httpx2.AsyncClient() as http:
        yield Setup(made, http)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_status_with_its_link(setup, kind):
    await setup.client.set_status(setup.target(kind), TOKEN, STATUS)
    assert setup.forge.statuses == [
        Told(kind, "team/app", COMMIT, WORDS[kind], "flow/build", "run 7 failed: unit", "https://flow.example/runs/7")
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", StatusState)
async def test_each_forge_takes_each_state_and_the_same_twice(setup, kind, state):
    for _ in range(2):
        await setup.client.set_status(setup.target(kind), TOKEN, replace(STATUS, state=state))


@pytest.mark.parametrize("kind", KINDS)
async def test_long_texts_are_shortened(setup, kind):
    await setup.client.set_status(
        setup.target(kind), TOKEN, replace(STATUS, context="flow/" + "x" * 100, description="y" * 500)
    )
    assert setup.forge.statuses[0].description == "y" * 140


async def test_a_project_of_gitlab_may_be_in_groups_of_groups(setup):
    setup.forge.repository = "a/b/c"
    await setup.client.set_status(setup.target("gitlab", repository="a/b/c"), TOKEN, STATUS)
    assert setup.forge.statuses[0].repository == "a/b/c"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_no_is_lasting_and_says_what_to_do(setup, kind):
    error = await setup.refused(setup.target(kind), token="another")
    assert error.lasting
    assert "401" in error.message
    assert "token" in error.hint
    assert TOKEN not in error.message


@pytest.mark.parametrize(
    ("code", "lasting"), [(429, False), (408, False), (500, False), (503, False), (404, True), (302, True)]
)
async def test_what_may_get_better(setup, code, lasting):
    setup.forge.answers = [code]
    assert (await setup.refused(setup.target("github"))).lasting is lasting
    await setup.client.set_status(setup.target("github"), TOKEN, STATUS)


async def test_too_often_is_no_lasting_no(setup):
    """GitHub says 403 to it, as it does to a token that may not do this."""

    def answer(request, more):
        headers = {"content-type": "application/json", **more}
        return httpx2.Response(403, headers=headers, content=b"{}", request=request)

    for more, lasting in (({}, True), ({"retry-after": "60"}, False), ({"x-ratelimit-remaining": "0"}, False)):
        transport = httpx2.MockTransport(lambda request, more=more: answer(request, more))
        async with httpx2.AsyncClient(transport=transport) as http:
            error = await Setup(setup.forge, http).refused(setup.target("github"))
        assert error.lasting is lasting


@pytest.mark.parametrize("kind", KINDS)
async def test_the_open_pull_requests(setup, kind):
    ours, fork = Request("opened", number=1), Request("opened", number=2, source="mallory/app", head="main")
    setup.forge.requests = [ours, fork, replace(ours, repository="another/app")]
    one, two = await setup.client.open_requests(setup.target(kind), TOKEN)
    for event, request in ((one, ours), (two, fork)):
        told = FORGES[kind](replace(request, action="created" if kind == "bitbucket" else "opened"))
        found = event.pull_request
        assert (found.number, found.head_branch, found.base_branch) == (request.number, request.head, "main")
        assert request.commit.startswith(event.commit)
        assert (event.title, event.url != "", event.actor, event.repository) == ("Add a thing", True, "bob", "team/app")
        (delivered,) = forge_of(kind, "").parse(told.headers, told.body).events
        assert (found.fork, event.commit) == (delivered.pull_request.fork, delivered.commit)
    assert (one.pull_request.fork, two.pull_request.fork) == (False, True)
    assert (one.branch, two.branch != "main") == ("topic", True)


@pytest.mark.parametrize("answer", [b"", b"[1]", b"{}", b'{"values": [{}]}', b"[" * 100_000, b'[{"number": -1}]'])
async def test_a_list_that_is_none(setup, answer):
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=answer, request=request))
    async with httpx2.AsyncClient(transport=transport) as http:
        if answer == b"{}":
            assert await Setup(setup.forge, http).client.open_requests(setup.target("github"), TOKEN) == []
            return
        with pytest.raises(ForgeError, match="cannot be read"):
            await Setup(setup.forge, http).client.open_requests(setup.target("github"), TOKEN)


async def test_a_list_needs_the_token(setup):
    with pytest.raises(ForgeError, match="401"):
        await setup.client.open_requests(setup.target("github"), "another")


async def test_a_forge_that_never_answers(setup, monkeypatch):
    monkeypatch.setattr(clients, "DEADLINE", 0.2)
    setup.forge.answers = [0]
    error = await setup.refused(setup.target("github"))
    assert not error.lasting
    assert "did not answer" in error.message


@pytest.mark.parametrize(
    ("token", "more"),
    [
        ("t\N{EURO SIGN}ken", {}),
        ("to\r\nken: x", {}),
        (TOKEN, {"api_url": "https://g\N{LATIN SMALL LETTER I WITH ACUTE}t.invalid"}),
        (TOKEN, {"api_url": "https://" + "a" * 70 + ".invalid"}),
        (TOKEN, {"api_url": "https://forge.invalid:99999"}),
    ],
)
async def test_what_no_request_can_hold_is_an_error_like_others(setup, token, more):
    error = await setup.refused(setup.target("github", **more), token=token)
    assert token not in error.message
    assert setup.forge.statuses == []


async def test_nobody_is_there(setup):
    error = await setup.refused(setup.target("github", api_url="http://127.0.0.1:1"))
    assert not error.lasting


@pytest.mark.parametrize("name", ["", "app", "../app", "a/..", "a/b?x", "a/b/statuses", "a//b", "a b/c", "a/b#"])
async def test_a_name_from_a_delivery_leads_nowhere_else(setup, name):
    error = await setup.refused(setup.target("github", repository=name))
    assert error.lasting
    assert setup.forge.statuses == []


class TestWhere:
    """A name is resolved once, its addresses are judged, and one of those is spoken to."""

    async def test_the_judge_sees_every_address(self):
        seen = []

        def judge(host, addresses):
            seen.append((host, list(addresses)))
            raise InvalidRequest("the host is not a public one")

        async def resolve(host, _port):
            return ["203.0.113.1", "127.0.0.1"] if host == "forge.example" else []

        async with forge() as made, httpx2.AsyncClient() as http:
            setup = Setup(made, http, judge, resolve)
            error = await setup.refused(setup.target("github", api_url="https://forge.example/api"))
        assert seen == [("forge.example", ["203.0.113.1", "127.0.0.1"])]
        assert (error.lasting, error.message) == (True, "the host is not a public one")
        assert made.calls == 0

    async def test_a_name_is_not_asked_for_twice(self):
        asked = []

        async def resolve(host, _port):
            asked.append(host)
            return ["127.0.0.1"]

        async with forge() as made, httpx2.AsyncClient() as http:
            port = made.url.rpartition(":")[2]
            setup = Setup(made, http, allow, resolve)
            target = setup.target("github", api_url=f"http://no-such-host.invalid:{port}/github")
            await setup.client.set_status(target, TOKEN, STATUS)
        assert asked == ["no-such-host.invalid"]
        assert len(made.statuses) == 1

    async def test_a_redirect_is_not_followed(self, setup):
        setup.forge.answers = [307]
        error = await setup.refused(setup.target("github"))
        assert "307" in error.message
        assert setup.forge.calls == 1
