"""The key file: made once, for its owner alone, and damage is found before it does harm."""

import subprocess
import sys

import pytest

from flowbuild.core.errors import VaultError
from flowbuild.vault.keys import KeyFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "vault.keys"


def ring(path):
    return KeyFile(path).ring()


def test_made_once_for_its_owner_alone(path):
    first = ring(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert ring(path) == first
    assert [len(key) for key in first.keys.values()] == [32]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]  # nothing half-made is left


def test_programs_that_start_together_agree(path):
    script = (
        "import sys; from pathlib import Path; from flowbuild.vault.keys import KeyFile;"
        f"print('ready', flush=True); sys.stdin.readline(); print(KeyFile(Path({str(path)!r})).ring().current)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 6
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    assert {process.communicate()[0].strip() for process in started} == {ring(path).current}


def test_a_new_key_seals_and_the_old_ones_still_open(path):
    old = ring(path)
    new = KeyFile(path).add()
    assert [*new.keys][1:] == [*old.keys]
    assert new.key(old.current) == old.key(old.current)
    newest = KeyFile(path).add()
    assert [*KeyFile(path).keep({old.current}).keys] == [newest.current, old.current]
    assert [*KeyFile(path).keep(set()).keys] == [newest.current]
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(VaultError, match=old.current):
        ring(path).key(old.current)


def test_who_has_the_file_open_follows(path):
    one, other = KeyFile(path), KeyFile(path)
    before = one.ring()
    assert one.ring() is before  # the control: it is not read each time
    assert one.ring() == other.ring()
    added = other.add()
    assert one.ring() == added != before
    path.unlink()
    with pytest.raises(VaultError, match="cannot be read: No such file"):
        one.ring()


@pytest.mark.parametrize("damage", ["A", "", "!", "AAAA"])
def test_damage_is_found(path, damage):
    ring(path)
    lines = path.read_text().splitlines()
    lines[1] = lines[1][: -2 if damage == "A" else 20] + damage
    path.write_text("\n".join(lines))
    with pytest.raises(VaultError, match="line 2 of the key file"):
        ring(path)


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing but words\n"])
def test_an_empty_file_is_no_reason_for_a_new_key(path, content):
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(VaultError, match="there is no key"):
        ring(path)
    assert path.read_text() == content


def test_a_file_that_others_can_change_is_refused(path):
    ring(path)
    path.chmod(0o444)  # as orchestrators mount their secrets
    assert ring(path).current
    path.chmod(0o620)
    with pytest.raises(VaultError, match="changed by others") as caught:
        ring(path)
    assert f"chmod go-w {path}" in caught.value.hint


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(VaultError, match="cannot be read"):
        ring(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(VaultError, match="cannot be written"):
        ring(tmp_path / "file" / "vault.keys")
