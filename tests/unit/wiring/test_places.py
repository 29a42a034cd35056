"""`flow validate` and `flow run` read the same files, wherever one stands."""

import os

import pytest

from flowbuild.cli.folder import Folder
from flowbuild.services.source_files import SourceFiles
from flowbuild.testing.home import Home, step
from flowbuild.testing.program import Program
from flowbuild.workspace.source import WorkingTree


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.write({"a": step()})
    return home


@pytest.fixture
def odd(home):
    """The project with everything that a path may lead to."""
    top = home.project
    (top / "ci").mkdir()
    (top / "ci/file").write_text("content")
    os.mkfifo(top / "ci/fifo")
    links = {"in": "file", "out": "/etc/passwd", "up": "../../outside", "loop": "loop", "gone": "nothing", "dir": "."}
    for name, target in links.items():
        (top / "ci" / name).symlink_to(target)
    (top.parent / "outside").write_text("outside")
    return top


@pytest.mark.parametrize("reader", [Folder, lambda top: SourceFiles(WorkingTree(top))], ids=["validate", "run"])
def test_what_is_read(odd, reader):
    files = reader(odd)
    readable = [path.name for path in (odd / "ci").iterdir() if files.read(f"ci/{path.name}") is not None]
    assert sorted(readable) == ["file", "in"]
    assert files.read("ci/in") == b"content"
    assert files.read("ci") is None
    assert files.read("../outside") is None
    assert files.read("ci/nul\0") is None
    assert sorted(files.names("ci")) == ["dir", "file", "gone", "in", "loop", "out", "up"]
    assert list(files.names("nothing")) == []


@pytest.mark.parametrize(
    ("where", "arguments", "code", "text"),
    [
        (".", (), 0, "1 pipeline, 1 step: no errors"),
        ("ci", (), 0, "1 pipeline, 1 step: no errors"),
        ("ci", ("../.flow.yml",), 0, "1 pipeline, 1 step: no errors"),
        ("/", ("-C", "{top}/ci"), 0, "1 pipeline, 1 step: no errors"),
        ("/", ("-C", "{top}/ci", "../.flow.yml"), 0, "1 pipeline, 1 step: no errors"),
        ("/", ("{top}/.flow.yml",), 0, "1 pipeline, 1 step: no errors"),
        ("ci", (".flow.yml",), 2, "ci/.flow.yml:1:1: error: there is no file"),
        ("ci", ("out",), 2, "ci/out:1:1: error: `ci/out` is not a file of the repository"),
        ("ci", ("loop",), 2, "ci/loop:1:1: error: `ci/loop` is not a file of the repository"),
        (".", ("-C", "nothing"), 2, "nothing is not a directory"),
    ],
)
def test_validate_from_anywhere(odd, where, arguments, code, text):
    program = Program(odd.parent / "home", odd / where)
    done = program.call("validate", *(argument.format(top=odd) for argument in arguments))
    assert (done.code, text in done.text) == (code, True), done.text


@pytest.mark.parametrize(
    ("start", "file", "path"),
    [
        ("ci", "../.flow.yml", ".flow.yml"),
        ("ci", "x.yml", "ci/x.yml"),
        (".", "ci/./x.yml", "ci/x.yml"),
        (".", "{top}/x.yml", "x.yml"),
        (".", "../x.yml", "../x.yml"),
    ],
)
def test_a_file_for_run_is_named_as_seen_from_the_directory(odd, start, file, path):
    assert WorkingTree(odd / start).inside(file.format(top=odd)) == path
