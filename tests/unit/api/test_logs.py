"""Logs over HTTP: by range, live, raw."""

import asyncio
import json

import pytest

from flowbuild.client.base import LogChunk
from flowbuild.client.logtext import from_text, to_text
from flowbuild.testing.home import step

LOUD = {"a": step(log="one two three four")}


@pytest.fixture(autouse=True)
def project(home):
    home.write(LOUD)


async def run(home, site):
    return await site.life.finished((await site.life.start(home)).id)


async def test_a_log_is_read_in_pieces_that_join(home, open_site):
    async with open_site() as site:
        view = await run(home, site)
        path = f"/api/v1/runs/{view.id}/steps/a/logs"
        whole = (await site.get(path)).json()
        text = "".join(chunk["text"] for chunk in whole["chunks"])
        rest = (await site.get(path, params={"offset": 5})).json()
        beyond = (await site.get(path, params={"offset": whole["next"]})).json()
        raw = await site.get(f"{path}/raw")
        main = await site.get(f"{path}/raw", params={"service": "main"})
    assert whole["ended"]
    assert "".join(chunk["text"] for chunk in rest["chunks"]) == text[5:]
    assert (beyond["chunks"], beyond["next"]) == ([], whole["next"])
    assert raw.text == text
    assert raw.headers["content-disposition"].startswith("attachment")
    assert 0 < len(main.content) < len(raw.content)


async def test_lines_by_number_and_search(home, open_site):
    async with open_site() as site:
        view = await run(home, site)
        path = f"/api/v1/runs/{view.id}/steps/a/logs"
        whole = (await site.get(path)).json()
        last = (await site.get(path, params={"line": whole["lines"], "limit": 5})).json()
        first = (await site.get(path, params={"limit": 1})).json()
        beyond = (await site.get(path, params={"line": 10**9})).json()
        found = (await site.get(f"{path}/search", params={"text": "TWO"})).json()
        wrong = [await site.get(path, params=query) for query in ({"line": 0}, {"limit": 0}, {"attempt": 9})]
    assert [chunk["line"] for chunk in whole["chunks"]] == list(range(1, whole["lines"] + 1))
    assert last["chunks"] == whole["chunks"][-1:]
    assert (first["chunks"], first["lines"]) == (whole["chunks"][:1], whole["lines"])
    assert first["next"] == (whole["chunks"][1]["offset"] if whole["lines"] > 1 else whole["next"])
    assert (beyond["chunks"], beyond["next"]) == ([], whole["next"])
    assert found == {"lines": [each["line"] for each in whole["chunks"] if "two" in each["text"]], "next": None}
    assert found["lines"]
    assert [each.status_code for each in wrong] == [422, 422, 404]


async def test_a_log_is_followed_and_gone_on_with(home, open_site):
    async with open_site() as site:
        begun = await site.life.start(home)
        path = f"/api/v1/runs/{begun.id}/steps/a/logs"

        async def follow(**headers):
            async with site.http.stream("GET", f"{path}/stream", headers=site.as_("viewer", **headers)) as response:
                return [line async for line in response.aiter_lines()]

        lines = await follow()
        await site.life.finished(begun.id)
        raw = (await site.get(f"{path}/raw")).text
        identifiers = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
        rest = await follow(**{"Last-Event-ID": identifiers[0]})
        wrong = await site.get(f"{path}/stream", headers={"Last-Event-ID": "x"})
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    assert "".join(piece.get("text") or "" for piece in data) == raw
    assert "event: end" in lines
    assert [line for line in rest if line.startswith("id: ")] == [f"id: {each}" for each in identifiers[1:]]
    assert wrong.status_code == 400


async def test_the_log_of_a_step_that_never_began_ends_with_its_run(home, open_site):
    """Whoever follows it has waited for its first attempt until then."""
    home.write_again({"a": step(sleep=100_000, then="b"), "b": step()})
    async with open_site() as site:
        begun = await site.life.start(home)
        path = f"/api/v1/runs/{begun.id}/steps/b/logs/stream"
        async with site.http.stream("GET", path, headers=site.as_("viewer")) as response:
            await site.life.until(begun.id, "a", "run")
            await site.life.client.cancel(begun.id)
            lines = [line async for line in response.aiter_lines()]
    assert "event: end" in lines


@pytest.mark.parametrize(
    "query", ["attempt=0", "attempt=x", "offset=-1", "offset=1e3", f"offset={1 << 60}", "attempt=2"]
)
async def test_what_is_not_there_is_told(home, open_site, query):
    async with open_site() as site:
        view = await run(home, site)
        answer = await site.get(f"/api/v1/runs/{view.id}/steps/a/logs?{query}")
        step = await site.get(f"/api/v1/runs/{view.id}/steps/b/logs")
    assert answer.status_code == (404 if query == "attempt=2" else 422)
    assert (step.status_code, step.json()["hint"]) == (404, "there are a")


@pytest.mark.parametrize("data", [b"", b"text", "ä".encode()[:1], b"\xff\x00", "\U0001f600".encode()])
def test_no_byte_is_lost_in_json(data):
    chunk = LogChunk("a", 1, "main", "stdout", 5, data, 7)
    assert from_text(to_text(chunk)) == chunk


async def test_many_readers_of_a_live_log_get_the_same_bytes(home, open_site):
    home.write_again({"a": step(log="first\\n", sleep=20, then="b"), "b": step()})
    async with open_site() as site:
        begun = await site.life.start(home)
        path = f"/api/v1/runs/{begun.id}/steps/a/logs"

        async def follow():
            async with site.http.stream("GET", f"{path}/stream", headers=site.as_("viewer")) as response:
                return [line async for line in response.aiter_lines() if line.startswith(("data", "id", "event"))]

        streams = await asyncio.gather(*(follow() for _ in range(30)))
        raw = (await site.get(f"{path}/raw")).text
    assert all(stream == streams[0] for stream in streams)
    data = [json.loads(line.removeprefix("data: ")) for line in streams[0] if line.startswith("data: {")]
    assert "".join(piece.get("text") or "" for piece in data) == raw
    assert "first" in raw
