"""Commands around bots, links and holds, against a server over HTTP."""

import re

import pytest

from flowbuild.client.http import HttpClient
from flowbuild.core.errors import Unauthenticated
from flowbuild.testing.home import Home, step

ROOT = "@root:example.org"


async def test_bots(open_desk):
    async with open_desk() as desk:
        token = (await desk.flow("bots", "add", "chatty", "--network", "matrix")).strip()
        again = await desk.flow("bots", "add", "chatty", "--network", "slack", code=2)
        wrong = await desk.flow("bots", "add", "other", "--network", "irc", code=2)
        fresh = await desk.flow("bots", "list")
        bot = HttpClient(desk.site.url, token)
        assert (await bot.ask("GET", "me"))["name"] == "chatty"
        heard = await desk.flow("bots", "list")
        await desk.flow("bots", "revoke", "chatty")
        with pytest.raises(Unauthenticated):
            await bot.ask("GET", "me")
        await bot.close()
        listed = await desk.json("bots", "list")
        shown = await desk.flow("bots", "list")
        unknown = await desk.flow("bots", "revoke", "nobody", code=2)
    assert re.fullmatch(r"flowb_[\w-]{43}", token)
    assert "there is a bot 'chatty' already" in again
    assert "matrix" in wrong
    assert (fresh, shown) == ("chatty  matrix  by root  never heard of\n", "chatty  matrix  by root  revoked\n")
    assert re.fullmatch(r"chatty  matrix  by root  heard of \d+ s ago\n", heard)
    assert listed[0]["revoked_at"] is not None
    assert "no bot 'nobody'" in unknown


async def test_from_a_code_to_who_one_is_on_a_network(open_desk):
    async with open_desk() as desk:
        token = (await desk.flow("bots", "add", "chatty", "--network", "matrix")).strip()
        printed = await desk.flow("link", "--name", "root")
        code = re.search(r"^link (\S+)$", printed, re.MULTILINE)[1]
        bot, mine = HttpClient(desk.site.url, token), HttpClient(desk.site.url, token, sender=ROOT)
        before = await mine.ask("GET", "me")
        linked = await bot.ask("POST", "bot/links", {"code": code, "sender": ROOT, "name": "Root"})
        after = await mine.ask("GET", "me")
        listed = await desk.flow("links")
        as_json = await desk.json("links")
        await desk.flow("unlink", "matrix")
        gone = await mine.ask("GET", "me")
        none = await desk.flow("unlink", "matrix", code=2)
        for client in (bot, mine):
            await client.close()
    assert (before["linked"], linked, after["name"], gone["linked"]) == (False, {"user": "root"}, "root", False)
    assert listed == f"matrix  {ROOT}\n"
    assert [(each["network"], each["sender"]) for each in as_json] == [("matrix", ROOT)]
    assert "not linked on matrix" in none


async def test_who_is_logged_in_need_not_say_their_name(open_desk):
    async with open_desk() as desk:
        nobody_there = await desk.flow("link")
        token = (await desk.flow("bots", "add", "chatty", "--network", "matrix")).strip()
        not_yet = await desk.flow("link")
        bot = HttpClient(desk.site.url, token)
        await bot.ask("PUT", "bot/called", {"called": "@flow:example.org"})
        await bot.close()
        there, listed = await desk.flow("link"), await desk.flow("bots", "list")
    for printed in (nobody_there, not_yet, there):
        assert re.search(r"^link \S+$", printed, re.MULTILINE)
    assert "there is no bot yet" in nobody_there
    assert "chatty on matrix" in not_yet
    assert "@flow:example.org on matrix" in there
    assert "chatty  matrix  @flow:example.org  by root  heard of" in listed


async def test_holds(tmp_path, open_desk):
    home = Home(tmp_path)
    home.write({"a": step()})
    async with open_desk() as desk:
        await desk.flow("projects", "add", "shop", str(home.project))
        held = await desk.flow("hold", "shop", "test", "--reason", "the database moves")
        listed = await desk.flow("pipelines", "shop")
        refused = await desk.flow("trigger", "shop", "test", code=2)
        await desk.flow("unhold", "shop", "test")
        begun = await desk.flow("trigger", "shop", "test", "--detach")
        await desk.site.life.finished(begun.strip())
        free = await desk.flow("pipelines")
        again = await desk.flow("unhold", "shop", "test", code=2)
        unknown = await desk.flow("hold", "shop", "tset", code=2)
        as_json = await desk.json("pipelines", "shop")
    assert held.splitlines()[0] == "test is held by root: the database moves"
    assert listed == "shop  test  held by root: the database moves\n"
    assert re.search(r"test is held by root since .* UTC: the database moves", refused)
    assert "flow unhold shop test" in refused
    assert free == "shop  test  run 1 succeeded\n"
    assert "nobody holds 'test'" in again
    assert "did you mean `test`?" in unknown
    assert as_json[0]["pipelines"][0]["hold"] is None
