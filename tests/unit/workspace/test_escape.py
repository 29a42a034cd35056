"""Names that git gives a meaning are stored under names that have none, and come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace.escape import escape, is_special, unescape

SPECIAL = [
    b".git", b".GIT", b".Git ", b".git.", b".git::$INDEX_ALLOCATION", b"git~1", b"GIT~1", b".gitmodules", b".gitattributes",
    b".gitignore", b".mailmap", b"gitmod~1", b"gi7eba~1", b"gi7d29~9", b"maba30~1", ".g\u200cit".encode(), "\ufeff.git".encode(),
    b"a\\.git", b"a\\GIT~1\\b",
]  # fmt: skip
PLAIN = [
    b"git",
    b".github",
    b".gitlab-ci.yml",
    b".gitkeep",
    b"a.git",
    b"file",
    b"100%",
    b"a\\b",
    b"-rf",
    b" x",
    b"\xff\xfe",
    b"~",
]
names = st.one_of(
    st.sampled_from(SPECIAL + PLAIN),
    st.binary(min_size=1, max_size=20),
    st.lists(st.sampled_from([b".git", b"%", b"\\", b"~1", b"gitmod", b"25", b"5c", b" "]), min_size=1, max_size=5).map(
        b"".join
    ),
).filter(lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."})


@pytest.mark.parametrize("name", SPECIAL)
def test_special_names_get_another_one(name):
    assert escape(name) != name
    assert not is_special(escape(name))


@pytest.mark.parametrize("name", PLAIN)
def test_other_names_stay_readable(name):
    assert escape(name) == name


@given(names)
def test_every_name_comes_back(name):
    stored = escape(name)
    assert not is_special(stored)
    assert unescape(stored) == name


@given(names, names)
def test_two_names_never_become_one(one, other):
    assert (escape(one) == escape(other)) == (one == other)


@pytest.mark.parametrize(
    "name", [b"", b".", b"..", b"a/b", b"a\0b", b".git", b"%file", b"%", b"%.", b"%..", b"%.git%2f", b"a\\.git"]
)
def test_names_that_the_writer_never_makes_are_refused(name):
    with pytest.raises(WorkspaceError, match=r"named|impossible"):
        unescape(name)
