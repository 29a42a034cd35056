"""Which files of a repository hold pipelines, and what holds between them."""

from __future__ import annotations

from flowbuild.spec.load import MAX_FILES, load_pipelines
from flowbuild.spec.source import MemoryRepository

SERVICE = "services:\n  a: {image: alpine}\n"


def pipeline(name: str, head: str = "") -> str:
    return f"pipelines:\n  {name}:\n    {head or 'description: x'}\n    steps: {{a: {{action: ci/c.yml}}}}\n"


def load(path: str | None = None, **files: str):
    return load_pipelines(MemoryRepository({"ci/c.yml": SERVICE, **files}), path)


def test_all_files_are_read_in_order() -> None:
    files = {
        ".flow/b.yml": pipeline("d"),
        ".flow/a.yaml": pipeline("c"),
        ".flow/notes.md": "no",
        ".flow/sub/x.yml": "no",
        ".flow.yaml": pipeline("b"),
        ".flow.yml": pipeline("a"),
    }
    result = load(**files)
    assert result.findings == []
    assert list(result.pipelines) == ["a", "b", "c", "d"]
    assert list(load(".flow/b.yml", **files).pipelines) == ["d"]


def test_a_repository_without_pipelines() -> None:
    (finding,) = load().findings
    assert finding.code == "no_pipeline_file"
    (finding,) = load(".flow.yml", **{".flow.yaml": pipeline("a")}).findings
    assert (finding.code, finding.hint) == ("missing_file", "did you mean `.flow.yaml`?")
    (finding,) = load(**{f".flow/{n}.yml": pipeline("a") for n in range(MAX_FILES + 1)}).findings
    assert finding.code == "too_many"


def test_a_name_stands_for_one_pipeline() -> None:
    result = load(**{".flow.yml": pipeline("a"), ".flow/a.yml": pipeline("a")})
    assert [(f.code, str(f.position)) for f in result.findings] == [("duplicate_pipeline", ".flow/a.yml:2:3")]
    assert ".flow.yml:2:3" in result.findings[0].message


def test_a_broken_file_does_not_take_the_others_along() -> None:
    result = load(**{".flow.yml": "a: [", ".flow/a.yml": pipeline("a")})
    assert [f.code for f in result.findings] == ["yaml_syntax"]
    assert list(result.pipelines) == ["a"]
    result = load(**{".flow.yml": pipeline("b").replace("x", "!x y"), ".flow/a.yml": pipeline("a")})
    assert [f.code for f in result.findings] == ["yaml_tag"]
    assert list(result.pipelines) == ["a"]


def test_pipelines_may_follow_one_another_across_files() -> None:
    result = load(**{".flow.yml": pipeline("a"), ".flow/b.yml": pipeline("b", "on: {after: a}")})
    assert result.findings == []
    after = result.pipelines["b"].triggers["after"]
    assert after == [{"pipeline": "a", "outcome": ["succeeded"], "branches": []}]


def test_pipelines_must_not_follow_one_another_for_ever() -> None:
    files = {
        ".flow.yml": pipeline("a", "on: {after: {pipeline: c, outcome: [failed]}}"),
        ".flow/b.yml": pipeline("b", "on: {after: a}"),
        ".flow/c.yml": pipeline("c", "on: {after: [b]}"),
        ".flow/d.yml": pipeline("d", "on: {after: nothing}"),
        ".flow/e.yml": pipeline("e"),
    }
    result = load(**files)
    assert sorted((f.code, f.position.file) for f in result.findings) == [
        ("cycle", ".flow.yml"),
        ("unknown_pipeline", ".flow/d.yml"),
    ]
    assert "c → a → b → c" in result.findings[1].message or "a → b → c → a" in result.findings[1].message
    assert list(result.pipelines) == ["e"]
