"""The key file: made once, for its owner alone, and damage is found before it does harm."""

import subprocess
import sys

import pytest

from flowbuild.core.errors import VaultError
from flowbuild.vault.keys import add_key, keep_only, open_keys, read_keys


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "vault.keys"


def test_made_once_for_its_owner_alone(path):
    first = open_keys(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (first.names, first.key(first.current)) == (open_keys(path).names, open_keys(path).key(first.current))
    assert len(first.key(first.current)) == 32
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]  # nothing half-made is left


def test_programs_that_start_together_agree(path):
    script = (
        "import sys; from pathlib import Path; from flowbuild.vault.keys import open_keys;"
        f"print('ready', flush=True); sys.stdin.readline(); print(open_keys(Path({str(path)!r})).current)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 6
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    assert {process.communicate()[0].strip() for process in started} == {read_keys(path).current}


def test_a_new_key_seals_and_the_old_one_still_opens(path):
    old = open_keys(path)
    new = add_key(path)
    assert new.names[1:] == old.names
    assert new.key(old.current) == old.key(old.current)
    assert keep_only(path, new.current).names == (new.current,)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(VaultError, match=old.current):
        read_keys(path).key(old.current)


@pytest.mark.parametrize("damage", ["A", "", "!", "AAAA"])
def test_damage_is_found(path, damage):
    open_keys(path)
    lines = path.read_text().splitlines()
    lines[1] = lines[1][: -2 if damage == "A" else 20] + damage
    path.write_text("\n".join(lines))
    with pytest.raises(VaultError, match="line 2 of the key file"):
        open_keys(path)


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing but words\n"])
def test_an_empty_file_is_no_reason_for_a_new_key(path, content):
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(VaultError, match="there is no key"):
        open_keys(path)
    assert path.read_text() == content


def test_a_file_that_others_can_change_is_refused(path):
    open_keys(path)
    path.chmod(0o444)  # as orchestrators mount their secrets
    assert read_keys(path).current
    path.chmod(0o620)
    with pytest.raises(VaultError, match="changed by others") as caught:
        read_keys(path)
    assert f"chmod go-w {path}" in caught.value.hint


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(VaultError, match="cannot be read"):
        open_keys(tmp_path)
    with pytest.raises(VaultError, match="cannot be written"):
        open_keys(tmp_path / "file" / "vault.keys") if (tmp_path / "file").write_text("x") else None
