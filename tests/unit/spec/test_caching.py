"""`cache` of a step: what may be written, what it means, and what is refused where it stands."""

import pytest

from flowbuild.core.model import Cache
from flowbuild.spec.load import load_pipelines


class Source:
    def __init__(self, text):
        self.text = text

    def read(self, path):
        return self.text.encode() if path == ".flow.yml" else None

    def names(self, folder):
        return [] if folder else [".flow.yml"]


def load(step, *, checkout="true", before=""):
    """Load a pipeline whose step `s` stands at line 5."""
    text = f"""\
pipelines:
  p:
    checkout: {checkout}
    steps:
      s: {{compose: {{services: {{a: {{image: x}}}}}}, {step}}}
{before}"""
    return load_pipelines(Source(text))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("cache: true", Cache()),
        ("cache: {}", Cache()),
        ("cache: false", None),
        ("cache: {inputs: 'src/**'}", Cache(("src/**",))),
        ("cache: {inputs: ['src/**', Makefile], variables: [A, B]}", Cache(("src/**", "Makefile"), ("A", "B"))),
        ("cache: {variables: A}", Cache(None, ("A",))),
        ("cache: {variables: []}", Cache(None, ())),
        ("timeout: 1m", None),
    ],
)
def test_what_is_meant(written, meant):
    loaded = load(written)
    assert loaded.findings == []
    assert loaded.pipelines["p"].step("s").cache == meant


@pytest.mark.parametrize(
    ("written", "code", "text"),
    [
        ("cache: ¶maybe", "wrong_type", "expected true, false or a mapping, got text"),
        ("cache: ¶['src/**']", "wrong_type", "write true, or {inputs: [patterns], variables: [names]}"),
        ("cache: ¶3", "wrong_type", "got a number"),
        ("cache: {inputs: ¶[]}", "bad_value", "`inputs`"),
        ("cache: {inputs: ¶/etc}", "bad_pattern", "`/etc` is not a pattern"),
        ("cache: {inputs: [a, ¶'!a']}", "bad_pattern", "negated"),
        ("cache: {¶input: a}", "unknown_key", "did you mean `inputs`?"),
        ("cache: {¶variable: a}", "unknown_key", "did you mean `variables`?"),
        ("cache: {variables: [¶a-b]}", "bad_name", "`a-b`"),
        ("cache: {variables: ¶FLOW_COMMIT}", "reserved_name", "is set by the server"),
        ("background: true, ¶cache: true", "cache_conflict", "`cache` beside `background`"),
        ("¶cache: {inputs: a}, background: true", "cache_conflict", "remove `cache` or `background`"),
        ("environment: qa, ¶cache: true", "cache_conflict", "`cache` beside `environment`"),
    ],
)
def test_what_is_refused(written, code, text):
    loaded = load(written.replace("¶", ""))
    assert loaded.pipelines == {}
    (finding,) = loaded.findings
    column = len("      s: {compose: {services: {a: {image: x}}}, ") + written.index("¶") + 1
    assert (finding.code, finding.position.line, finding.position.column) == (code, 5, column)
    assert text in finding.message + finding.hint


def test_what_does_not_exclude_each_other():
    loaded = load(
        "background: false, cache: true, retry: 2, timeout: 1m, allow_failure: true, secrets: [A], matrix: {n: [1]}"
    )
    assert loaded.findings == []


def test_patterns_for_a_workspace_that_is_empty():
    (finding,) = load("cache: {inputs: 'src/**'}", checkout="false").findings
    assert (finding.code, str(finding.severity)) == ("unused_inputs", "warning")
    for fine in (
        load("cache: true", checkout="false"),
        load("cache: {variables: A}", checkout="false"),
        load(
            "cache: {inputs: a}",
            checkout="false",
            before="      git: {compose: {services: {a: {image: x}}}, success: s}\n",
        ),
        load("cache: {inputs: a}"),
    ):
        assert fine.findings == []
        assert fine.pipelines


SERVICE = "      db: {compose: {services: {a: {image: x}}}, background: true, success: other}\n"
OTHER = "      other: {compose: {services: {a: {image: x}}}, success: s}\n"


@pytest.mark.parametrize(("cache", "refused"), [("true", True), ("{inputs: a}", False), ("{variables: A}", False)])
def test_behind_a_background_step_somebody_has_to_say_what_decides(cache, refused):
    loaded = load(f"cache: {cache}", before=SERVICE + OTHER)
    assert [finding.code for finding in loaded.findings] == ["cache_conflict"] * refused
    assert all("behind the background step `db`" in finding.message for finding in loaded.findings)
    assert load(f"cache: {cache}", before=SERVICE.replace(", success: other", "")).findings == []
