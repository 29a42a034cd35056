"""A user who is not root, in whose workspaces root writes: what steps leave is stored, handed on and removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbuild.testing.program import Program, git, remains
from flowbuild.testing.users import somebody

PIPELINES = """
x-box: &box {image: flow-demo/busybox}
pipelines:
  private:
    steps:
      a:
        compose:
          services:
            a: {<<: *box, command: [sh, -c, "umask 077; mkdir d; echo one > d/f; echo two > top; echo v > /variables/V; chown 7:8 d/f; chmod 0 d"]}
        success: [b]
      b: {compose: {services: {b: {<<: *box, command: [sh, -c, "stat -c '%n %u:%g %a' d d/f top; cat d/f top; echo V=$$V"]}}}}
  taken:
    steps:
      a: {compose: {services: {a: {<<: *box, command: [sh, -c, "echo x > f; chown -R 0:0 /workspace; chmod 755 /workspace"]}}}, success: [b]}
      b: {compose: {services: {b: {<<: *box, command: [cat, f]}}}}
  ordinary:
    steps:
      a: {compose: {services: {a: {<<: *box, command: [sh, -c, "mkdir -p d/e; echo x > d/e/f"]}}}}
"""

pytestmark = pytest.mark.docker


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    (tmp_path / ".flow.yml").write_text(PIPELINES)
    with somebody(tmp_path) as found:
        yield found


def test_files_that_only_root_may_read(program: Program) -> None:
    output = program.call("run", "private", "--json")
    assert output.code == 0, output.text
    assert program.call("logs", "last", "b", "--service", "b").stdout.splitlines() == [
        "d 0:0 0",
        "d/f 7:8 600",
        "top 0:0 600",
        "one",
        "two",
        "V=v",
    ]
    repository = Path(program.show()["repository"])
    git_as_root = ("-c", "safe.directory=*")
    git(repository, *git_as_root, "fsck", "--strict")
    assert git(repository, *git_as_root, "show", "main:workspace/d/f") == "one\n"
    owners = {path.lstat().st_uid for path in program.home.rglob("*")}
    assert len(owners) == 1, "what the engine made for us must be ours"
    assert owners != {0}
    # The control: this user was indeed not allowed to do it alone.
    assert "belongs to user 0 with mode 600, and user" in (program.home / "flow.log").read_text()
    assert remains(program) == []


@pytest.mark.parametrize("pipeline", ["taken", "ordinary"])
def test_what_root_made_is_removed(program: Program, pipeline: str) -> None:
    output = program.call("run", pipeline, "--json")
    assert output.code == 0, output.text
    assert [path for path in (program.home / "work").rglob("*") if path.name != ".trash"] == []
    assert remains(program) == []
