"""Sealed texts: only with the key, only unchanged, only where they belong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.errors import VaultError
from flowbuild.vault.keys import KeyFile
from flowbuild.vault.sealing import Vault, key_of

ABOUT = ("secret", "project", "TOKEN", "1")


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    return Vault(KeyFile(tmp_path_factory.mktemp("keys") / "vault.keys").ring)


@given(text=st.text() | st.text(st.characters(min_codepoint=0xD700, max_codepoint=0xE0FF)), about=st.lists(st.text()))
def test_what_was_sealed_comes_back(vault, text, about):
    assert vault.open(vault.seal(text, *about), *about) == text


def test_the_same_text_looks_different_each_time_and_is_not_to_be_seen(vault):
    sealed = [vault.seal("hunter2 and more", *ABOUT) for _ in range(100)]
    assert len({part for text in sealed for part in text.split(".")[2:]}) == 200
    assert not any("hunter2" in text for text in sealed)


@pytest.mark.parametrize(
    "about",
    [
        (),
        ("secret", "project", "TOKEN"),
        ("secret", "project", "TOKEN", "2"),
        ("secret", "other", "TOKEN", "1"),
        ("hook", "project", "TOKEN", "1"),
        ("secret", "projectTOKEN", "", "1"),
        ("secret", "project", "TOKEN1", ""),
        ("secretproject", "TOKEN", "1"),
        ("1", "TOKEN", "project", "secret"),
    ],
)
def test_elsewhere_it_does_not_open(vault, about):
    sealed = vault.seal("value", *ABOUT)
    with pytest.raises(VaultError, match="moved"):
        vault.open(sealed, *about)
    again = vault.reseal(sealed)  # a new key changes nothing about that
    assert vault.open(again, *ABOUT) == "value"
    with pytest.raises(VaultError, match="moved"):
        vault.open(again, *about)


def test_every_changed_character_is_found(vault):
    sealed = vault.seal("value", *ABOUT)
    opened = []
    for at, char in enumerate(sealed):
        changed = f"{sealed[:at]}{'B' if char == 'A' else 'A'}{sealed[at + 1 :]}"
        try:
            vault.open(changed, *ABOUT)
        except VaultError:
            continue
        opened.append(at)
    # The last character of base64 may hold bits that mean nothing; everything else counts.
    assert set(opened) <= {at for at in range(len(sealed)) if sealed[at + 1 : at + 2] in (".", "", "=")}


@pytest.mark.parametrize(
    "text", ["", "v1", "v1.a.b", "v2.a.b.c", "v1.a.b.c.d", "v1...", "plain text", "v1.\0.é.=", "x" * 10_000]
)
def test_what_is_no_sealed_text_is_told(vault, text):
    with pytest.raises(VaultError):
        vault.open(text, *ABOUT)
    with pytest.raises(VaultError):
        vault.reseal(text)


def test_parts_of_two_texts_do_not_go_together(vault):
    one, other = (vault.seal(text, *ABOUT).split(".") for text in ("one", "other"))
    with pytest.raises(VaultError):
        vault.open(".".join([*one[:3], other[3]]), *ABOUT)


def test_changing_the_key(tmp_path):
    file = KeyFile(tmp_path / "vault.keys")
    old = file.ring()
    vault = Vault(file.ring)
    sealed = vault.seal("value", *ABOUT)
    new = file.add()
    assert vault.open(sealed, *ABOUT) == "value"
    assert (key_of(sealed), key_of(vault.seal("value", *ABOUT))) == (old.current, new.current)
    again = vault.reseal(sealed)
    assert key_of(again) == new.current
    assert again.split(".")[3] == sealed.split(".")[3]  # the text itself was not touched
    file.keep(set())
    assert vault.open(again, *ABOUT) == "value"
    with pytest.raises(VaultError, match="is not in the key file"):
        vault.open(sealed, *ABOUT)
    with pytest.raises(VaultError, match="is not in the key file"):
        Vault(lambda: old).open(again, *ABOUT)
