"""What a bot remembers is there in its next life."""

import os

import pytest

from flowbuild.bot import memory as module
from flowbuild.bot.memory import Memory
from flowbuild.core.errors import Conflict, WorkspaceError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "memory"


def test_tables_outlive_the_program(path):
    memory = Memory(path)
    memory.table("a")["x"] = "1"
    memory.table("a")["x"] = "2"
    memory.table("a")["gone"] = "3"
    del memory.table("a")["gone"]
    memory.table("b")["x"] = "\n☃"
    memory.close()
    memory = Memory(path)
    assert (dict(memory.table("a")), dict(memory.table("b"))) == ({"x": "2"}, {"x": "\n☃"})
    memory.close()


def test_it_is_kept_even_if_the_program_never_closes_it(path):
    memory = Memory(path)
    memory.table("a")["x"] = "1"
    os.close(memory._lock)  # as when it is killed
    memory._lock = -1
    again = Memory(path)
    assert again.table("a")["x"] == "1"
    again.close()
    memory.close()


def test_a_line_that_was_not_finished_is_none(path):
    memory = Memory(path)
    memory.table("a")["x"] = "1"
    memory.close()
    with path.open("ab") as file:
        file.write(b'["a", "y", "')
    memory = Memory(path)
    assert dict(memory.table("a")) == {"x": "1"}
    memory.table("a")["z"] = "2"
    memory.close()
    memory = Memory(path)
    assert dict(memory.table("a")) == {"x": "1", "z": "2"}
    memory.close()


def test_the_oldest_are_forgotten(path):
    memory = Memory(path)
    table = memory.table("seen", most=3)
    for each in "abcd":
        table[each] = ""
    table["b"] = "again"
    table["e"] = ""
    assert list(table) == ["d", "b", "e"]
    memory.close()
    memory = Memory(path)
    assert list(memory.table("seen")) == ["d", "b", "e"]
    memory.close()


def test_the_file_does_not_grow_for_ever(path, monkeypatch):
    monkeypatch.setattr(module, "SLACK", 10)
    memory = Memory(path)
    for number in range(500):
        memory.table("a")["x"] = str(number)
    assert len(path.read_bytes().splitlines()) < 20
    memory.close()
    memory = Memory(path)
    assert memory.table("a")["x"] == "499"
    memory.close()


def test_it_belongs_to_one_program(path):
    memory = Memory(path)
    with pytest.raises(Conflict, match="another bot"):
        Memory(path)
    memory.close()
    Memory(path).close()


def test_only_its_user_reads_it(path):
    Memory(path).close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError):
        Memory(tmp_path / "file" / "memory")
