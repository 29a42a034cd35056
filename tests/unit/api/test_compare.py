"""Two runs side by side over HTTP, and what a step changed, file by file."""

import asyncio
import base64
from urllib.parse import quote

import pytest

from flowbuild.store.tables import runs
from flowbuild.testing.home import step

ENDS = ("", "/files", "/patch?path=x")


def packs(home):
    return {path: path.read_bytes() for path in (home.data / "runs").rglob("*") if path.is_file()}


@pytest.fixture
async def compared(home, open_site):
    """A site with two runs of a pipeline that was changed in between."""
    home.write({"a": step(then="b", write="x=1"), "b": step(write="/variables/V=1")}, variables={"W": "same"})
    async with open_site() as site:
        first = await site.life.finished((await site.life.start(home)).id)
        (home.project / "new.txt").write_text("new\n")
        home.write_again({"a": step(then="c", write="x=2"), "c": step(write="/variables/V=2")}, variables={"W": "same"})
        second = await site.life.finished((await site.life.start(home)).id)
        yield site, first.id, second.id


async def pages(site, path, **query):
    """Return all items of a list in pages of two, and how many pages they were."""
    items, cursor, count = [], "", 0
    while cursor is not None:
        page = (await site.get(path, params={"limit": 2, "cursor": cursor, **query})).json()
        items += page["items"]
        cursor, count = page["next"], count + 1
    return items, count


def move(database, run):
    """Let a run belong to another project."""
    with database.write() as tx:
        tx._connection.execute(runs.update().where(runs.c.id == run).values(project="other"))


def text_of(answer):
    return base64.b64decode(answer.json()["patch"]).decode()


async def test_two_runs_side_by_side(home, compared):
    site, first, second = compared
    before = packs(home)
    answer = (await site.get(f"/api/v1/runs/{first}/compare/{second}")).json()
    patches = {
        name: text_of(await site.get(f"/api/v1/runs/{first}/compare/{second}/patch", params={"path": name}))
        for name in ("x", "new.txt", ".flow", "nothing")
    }
    backwards = (await site.get(f"/api/v1/runs/{second}/compare/{first}")).json()
    after = packs(home)
    assert (answer["before"]["id"], answer["after"]["id"]) == (first, second)
    told = {each["key"]: (each["before"], each["after"], each["redefined"]) for each in answer["steps"]}
    assert list(told) == ["a", "c", "b"]
    assert told["a"][0]["outcome"] == told["a"][1]["outcome"] == "succeeded"
    assert told["a"][0]["attempts"] == 1
    assert told["a"][0]["seconds"] > 0
    assert [told[key][2] for key in "acb"] == [True, False, False]
    assert (told["c"][0], told["b"][1]) == (None, None)
    assert answer["variables"] == [{"name": "V", "before": "1", "after": "2"}]
    assert answer["changes"] == {"M": 2, "A": 1}
    assert backwards["changes"] == {"M": 2, "D": 1}
    assert "-1" in patches["x"]
    assert "+2" in patches["x"]
    assert "+new" in patches["new.txt"], "its content is in the other repository"
    assert patches[".flow"] == patches["nothing"] == ""
    assert after == before, "neither repository was changed"


async def test_files_come_in_pages(compared):
    site, first, second = compared
    items, count = await pages(site, f"/api/v1/runs/{first}/compare/{second}/files")
    of_step, _ = await pages(site, f"/api/v1/runs/{first}/compare/{second}/files", step="a")
    missing = await site.get(f"/api/v1/runs/{first}/compare/{second}/files", params={"step": "b"})
    wrong = await site.get(f"/api/v1/runs/{first}/compare/{second}/files", params={"cursor": "%%%"})
    assert [(each["status"], each["name"]) for each in items] == [("M", ".flow.yml"), ("A", "new.txt"), ("M", "x")]
    assert [(each["size_before"], each["size_after"]) for each in items[1:]] == [(None, 4), (1, 1)]
    assert count == 2
    assert of_step == items
    assert (missing.status_code, wrong.status_code) == (404, 400)


async def test_what_a_step_changed_file_by_file(compared):
    site, first, _ = compared
    items, _ = await pages(site, f"/api/v1/runs/{first}/steps/a/diff/files")
    patch = text_of(await site.get(f"/api/v1/runs/{first}/steps/a/diff/patch", params={"path": "x"}))
    other, _ = await pages(site, f"/api/v1/runs/{first}/steps/a/diff/files", other="b")
    assert [(each["status"], each["path"]) for each in items] == [("A", "x")]
    assert "+1" in patch
    assert other == [], "variables are no files"


async def test_a_long_patch_is_cut(home, open_site):
    home.write({"a": step()})
    async with open_site() as site:
        name = b"b\xe4d [1]*.txt"
        path = home.project / name.decode("utf-8", "surrogateescape")
        path.write_bytes(b"line\n" * 180_000)
        first = (await site.life.finished((await site.life.start(home)).id)).id
        path.write_bytes(b"LINE\n" * 180_000)
        second = (await site.life.finished((await site.life.start(home)).id)).id
        (item,), _ = await pages(site, f"/api/v1/runs/{first}/compare/{second}/files")
        answer = await site.get(f"/api/v1/runs/{first}/compare/{second}/patch", params={"path": item["path"]})
    assert (item["path"], item["name"]) == (quote(name), "b\\xe4d [1]*.txt")
    assert answer.json()["cut"]
    assert len(base64.b64decode(answer.json()["patch"])) == 1 << 20


@pytest.mark.parametrize("path", ["..", "a/../b", "/etc/passwd", "a%00b", "x/", ":(top)x", "--output=x"])
async def test_no_path_leads_out(compared, path):
    site, first, second = compared
    answer = await site.get(f"/api/v1/runs/{first}/compare/{second}/patch", params={"path": path})
    assert answer.status_code == 400 or answer.json()["patch"] == ""


async def test_both_runs_must_be_readable(compared):
    site, first, second = compared
    await asyncio.to_thread(move, site.life.local.database, second)
    paths = [f"/api/v1/runs/{a}/compare/{b}{end}" for a, b in ((first, second), (second, first)) for end in ENDS]
    seen = [(await site.get(path)).status_code for path in paths]
    whole = [(await site.get(path, "admin")).status_code for path in paths]
    assert seen == [404] * 6
    assert whole == [200] * 6
