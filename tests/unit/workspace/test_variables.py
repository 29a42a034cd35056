"""Variables as environment, as input of people, and merged by name."""

import os
from pathlib import Path

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.core.model import MergePolicy, MergeRule
from flowbuild.workspace import variables


def test_what_steers_programs_is_never_environment():
    harmless = {"VERSION": "1", "PYTHON_VERSION": "3", "MY_PATH": "x", "LDFLAGS": "y"}
    hostile = dict.fromkeys(
        ["PATH", "LD_PRELOAD", "DOCKER_HOST", "GIT_SSH", "FLOW_RUN", "BASH_ENV", "IFS", "path", "ld_audit"], "x"
    )
    env, refused = variables.environment({**harmless, **hostile})
    assert env == harmless
    assert refused == tuple(sorted(hostile))


@pytest.mark.parametrize(
    "bad", [{"a b": "x"}, {"": "x"}, {"A": "\0"}, {"A": "x" * 70_000}, {"A": "\udcff"}, {"1": "x"}]
)
def test_impossible_variables_are_told(bad):
    with pytest.raises(InvalidRequest) as told:
        variables.check(bad)
    assert told.value.about == f"variables.{next(iter(bad))}"
    variables.check({"A": "x", "B": None})


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_a_step_left_there_that_is_no_variable(tmp_path):
    (tmp_path / "GOOD").write_text("value\n")
    (tmp_path / "DIR").mkdir()
    (tmp_path / "LINK").symlink_to("/etc/passwd")
    (tmp_path / "LARGE").write_bytes(b"x" * (variables.MAX_BYTES + 1))
    (tmp_path / "BINARY").write_bytes(b"\xff")
    (tmp_path / "bad name").touch()
    os.mkfifo(tmp_path / "FIFO")
    before = open_files()
    found = variables.read_directory(tmp_path)
    assert found.values == {"GOOD": "value"}
    assert [line.split(":")[0] for line in found.refused] == [
        f"/variables/{name}" for name in ("BINARY", "DIR", "FIFO", "LARGE", "LINK", "bad name")
    ]
    assert open_files() == before


@pytest.mark.parametrize(
    ("policy", "values", "expected"),
    [
        (MergePolicy.FIRST, ("x", "y"), "x"),
        (MergePolicy.LAST, ("x", "y"), "y"),
        (MergePolicy.APPEND, ("base\nx", "base\ny"), "base\nx\ny"),
        (MergePolicy.MAX, ("9", "10.5"), "10.5"),
        (MergePolicy.MAX, ("9", "b"), "b"),
        (MergePolicy.MAX, ("9" * 300, "1e5"), "9" * 300),
    ],
)
def test_policies(policy, values, expected):
    sides = [{"V": value} for value in values]
    merged, clashes = variables.merge(sides, lambda *_: {"V": "base"}, (MergeRule("*", policy),))
    assert (merged, clashes) == ({"V": expected}, ())
    assert variables.merge(sides, lambda *_: {"V": "base"}, ())[1]  # control: without a policy it is a clash


def test_only_the_changed_side_counts():
    merged, clashes = variables.merge([{"A": "1", "B": "new"}, {"A": "2"}], lambda *_: {"A": "1", "B": "old"}, ())
    assert merged == {"A": "2"}  # B is deleted here and modified there: a clash, the last side stands
    assert [(clash.name, clash.deleted) for clash in clashes] == [("B", True)]
    assert variables.merge([{"A": "1"}, {"A": "2"}], lambda *_: {"A": None}, ())[
        1
    ]  # an unknown base supersedes nothing
