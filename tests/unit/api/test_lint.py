"""Checking what somebody writes just now, over the files of a project."""

import pytest

from flowbuild.api.routers.lint import end_of_word
from flowbuild.spec.source import MemoryRepository, Overlay
from flowbuild.testing.home import step
from flowbuild.testing.program import git

LINT = "/api/v1/projects/project/lint"
FLOW = "pipelines:\n  p:\n    steps:\n      a: {action: ci/a.yml, success: [b]}\n      b: {action: ci/b.yml}\n"
COMPOSE = "services: {main: {image: flow-test/busybox}}\n"


@pytest.fixture
async def project(home, open_site):
    home.write({"a": step()})
    (home.project / ".flow.yml").write_text(FLOW)
    (home.project / "ci").mkdir()
    for name in "ab":
        (home.project / "ci" / f"{name}.yml").write_text(COMPOSE)
    git(home.project, "add", "--all")
    git(home.project, "commit", "--quiet", "--message", "files")
    async with open_site() as site:
        await site.add_project(home)
        yield site


async def lint(site, files, **query):
    answer = await site.post(LINT, "viewer", json={"files": files}, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_is_edited_is_checked_with_the_files_of_the_commit(home, project):
    fine = await lint(project, {".flow.yml": FLOW})
    as_it_is = await lint(project, {})
    gone = await lint(project, {"ci/b.yml": None})
    wrong = await lint(project, {"ci/b.yml": "services: {main: {imagee: x}}\n"})
    more = await lint(project, {".flow/more.yml": FLOW.replace("p:", "q:").replace("ci/a.yml", "ci/c.yml")})
    assert fine["findings"] == as_it_is["findings"] == []
    assert fine["commit"] == git(home.project, "rev-parse", "HEAD").strip()
    assert [(edge["source"], edge["target"]) for edge in fine["pipelines"][0]["edges"]] == [("a", "b")]
    assert [(each["file"], each["line"], each["code"]) for each in gone["findings"]] == [
        (".flow.yml", 5, "missing_file")
    ]
    assert {(each["file"], each["line"]) for each in wrong["findings"]} == {("ci/b.yml", 1)}
    assert [each["name"] for each in more["pipelines"]] == ["p"]
    assert [(each["file"], each["code"]) for each in more["findings"]] == [(".flow/more.yml", "missing_file")]


async def test_a_finding_says_where_its_word_ends(project):
    (finding,) = (await lint(project, {".flow.yml": FLOW.replace("success", "sucess")}))["findings"]
    line = FLOW.replace("success", "sucess").splitlines()[finding["line"] - 1]
    assert line[finding["column"] - 1 : finding["end_column"] - 1] == "sucess"


async def test_new_commits_are_seen_and_old_ones_can_be_named(home, project):
    first = await lint(project, {})
    (home.project / "ci" / "a.yml").write_text("services: {}\n")
    git(home.project, "commit", "--quiet", "--all", "--message", "worse")
    await project.post("/api/v1/projects/project/fetch")
    second, again = await lint(project, {}), await lint(project, {}, ref=first["commit"])
    assert (first["findings"], again) == ([], first)
    assert [each["file"] for each in second["findings"]] == ["ci/a.yml"]


async def test_what_is_refused(project):
    many = await project.post(LINT, "viewer", json={"files": {f"{n}.yml": "" for n in range(101)}})
    unknown = await project.post(LINT, "viewer", json={"files": {}}, params={"ref": "nothing"})
    stranger = await project.post(LINT, "stranger", json={"files": {}})
    assert (many.status_code, unknown.status_code, stranger.status_code) == (400, 404, 404)


@pytest.mark.parametrize(
    ("line", "column", "word"),
    [
        ("  name: value", 3, "name"),
        ("  name: value", 9, "value"),
        ('a: "b: c, \\" d" # e', 4, '"b: c, \\" d"'),
        ("a: 'it''s', b", 4, "'it''s'"),
        ("a: {b: c}", 8, "c"),
        ("a: [b, c]", 5, "b"),
        ("url: http://x/y", 6, "http://x/y"),
        ("a: {", 4, "{"),
    ],
)
def test_ends_of_words(line, column, word):
    assert line[column - 1 : end_of_word(line, column) - 1] == word


@pytest.mark.parametrize(("line", "column"), [("", 1), ("ab", 3), ("ab", 99)])
def test_a_place_without_a_word_is_one_column_wide(line, column):
    assert end_of_word(line, column) == column + 1


def test_an_overlay():
    files = Overlay(MemoryRepository({"a": "1", "d/b": "2", "d/c": "3"}), {"d/b": None, "d/e": "4", "a": "5"})
    assert [files.read(path) for path in ("a", "d/b", "d/c", "d/e", "f")] == [b"5", None, b"3", b"4", None]
    assert (files.names(""), sorted(files.names("d"))) == (["a"], ["c", "e"])


async def test_channels_that_the_project_does_not_have(project):
    """A warning, where the name stands; the pipelines can be used all the same."""
    await project.post(
        "/api/v1/projects/project/channels", "maintainer", json={"name": "team", "kind": "matrix", "target": "!r"}
    )
    text = (
        "notify: {to: [team, nobody]}\n"
        + FLOW.replace("p:\n", "p:\n    notify: others\n", 1)
        + FLOW.partition("\n")[2].replace("p:", "q:")
    )
    found = await lint(project, {".flow.yml": text})
    told = [
        (each["code"], each["severity"], each["line"], each["column"], each["end_column"]) for each in found["findings"]
    ]
    assert told == [("unknown_channel", "warning", 4, 13, 19), ("unknown_channel", "warning", 1, 21, 27)]
    assert len(found["pipelines"]) == 2
    outside = await project.post(
        "/api/v1/lint",
        "viewer",
        json={"files": {".flow.yml": text, **dict.fromkeys(("ci/a.yml", "ci/b.yml"), COMPOSE)}},
    )
    assert outside.json()["findings"] == [], "of no project: nobody knows which channels there are"
