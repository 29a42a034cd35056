"""What a step declares to read: patterns and paths against every file looked at one by one."""

import fnmatch
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.globs import matches
from flowbuild.workspace.declared import declared
from flowbuild.workspace.escape import escape
from flowbuild.workspace.objects import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE, TREE_MODE, TreeEntry

NAMES = st.sampled_from(["a", "b.c", "src", ".git", "d e"])
LEAVES = st.tuples(st.sampled_from([FILE_MODE, EXECUTABLE_MODE, SYMLINK_MODE]), st.sampled_from([b"1", b"2"]))
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=4),
    lambda inner: st.dictionaries(NAMES, LEAVES | inner, max_size=4),
    max_leaves=10,
)
PATTERNS = st.sampled_from(
    ["a", "src", "src/", "src/**", "src/*", "**", "*", "**/*.c", "*/a", "./a", "src/*/a", ".git", ".git/*", "**/src", "[ab]*"]
)  # fmt: skip


class Trees:
    """Trees as nested dictionaries, kept by id as git would."""

    def __init__(self):
        self.kept = {}

    def store(self, tree):
        entries = []
        for name, value in sorted(tree.items()):
            mode, oid = (TREE_MODE, self.store(value)) if isinstance(value, dict) else (value[0], digest(value[1]))
            entries.append(TreeEntry(mode, escape(name.encode()), oid))
        oid = digest(repr(entries).encode())
        self.kept[oid] = entries
        return oid

    def declared(self, tree, patterns, paths=()):
        return declared(self.store(tree), self.kept.__getitem__, patterns=patterns, paths=paths)


def digest(data):
    return sha256(data).digest()


def files(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from files(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def one_by_one(tree, patterns):
    """The same question asked of every file, slowly."""
    found = set()
    for path, value in files(tree):
        for pattern in patterns:
            text = pattern.removeprefix("./")
            above = [path[:at] for at, char in enumerate(path) if char == "/"]
            last = text.rstrip("/").split("/")[-1]
            folder = not any(char in last for char in "*?[") and any(matches(text, one) for one in above)
            hidden = path.split("/")[0] == ".git" and text.split("/")[0] != ".git"
            if (matches(text, path) or folder) and not hidden:
                found.add((path, value))
    return found


@given(one=TREES, other=TREES, patterns=st.lists(PATTERNS, min_size=1, max_size=3))
def test_two_workspaces_look_the_same_when_every_file_that_is_meant_does(one, other, patterns):
    trees = Trees()
    same = trees.declared(one, patterns).entries == trees.declared(other, patterns).entries
    if same:
        assert one_by_one(one, patterns) == one_by_one(other, patterns)
    elif one_by_one(one, patterns) == one_by_one(other, patterns):
        assert empty_folders(one) != empty_folders(other)


def empty_folders(tree, prefix=""):
    found = {prefix} if not tree else set()
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= empty_folders(value, f"{prefix}{name}/")
    return found


@given(tree=TREES, patterns=st.lists(PATTERNS, min_size=1, max_size=3))
def test_what_means_nothing_is_told(tree, patterns):
    told = Trees().declared(tree, patterns).unmatched
    for pattern in patterns:
        if one_by_one(tree, [pattern]):
            assert pattern not in told
        elif not empty_folders(tree):
            assert pattern in told


@given(tree=TREES)
def test_without_patterns_everything_counts(tree):
    trees = Trees()
    assert trees.declared(tree, None).entries == ((".", TREE_MODE, trees.store(tree).hex()),)


TREE = {
    "src": {"a.py": (FILE_MODE, b"1"), "deep": {"b.py": (FILE_MODE, b"2")}, "empty": {}},
    "link": (SYMLINK_MODE, b"src"),
    "Makefile": (FILE_MODE, b"m"),
    ".git": {"HEAD": (FILE_MODE, b"h")},
}


def paths_of(patterns, paths=()):
    return [entry[0] for entry in Trees().declared(TREE, patterns, paths).entries]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["src/**"], ["src"]),
        (["src"], ["src"]),
        (["src/"], ["src"]),
        (["src/*"], ["src/a.py"]),
        (["**/*.py"], ["src/a.py", "src/deep/b.py"]),
        (["**"], ["Makefile", "link", "src"]),
        (["."], ["Makefile", "link", "src"]),
        ([".git/HEAD"], [".git/HEAD"]),
        ([".git"], [".git"]),
        (["Makefile", "src/deep"], ["Makefile", "src/deep"]),
        (["nothing"], []),
    ],
)
def test_patterns(patterns, found):
    assert paths_of(patterns) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("src", ["src"]),
        ("src/a.py", ["src/a.py"]),
        ("none", []),
        (".", ["Makefile", "link", "src"]),
        ("link", ["Makefile", "link", "src"]),  # who knows where it leads
        ("link/a.py", ["Makefile", "link", "src"]),
    ],
)
def test_paths(path, found):
    assert paths_of([], [path]) == found


def test_names_with_a_meaning_to_patterns_are_plain_as_paths():
    trees = Trees()
    tree = {"a*": {"f": (FILE_MODE, b"1")}, "ab": {"f": (FILE_MODE, b"1")}}
    assert [entry[0] for entry in trees.declared(tree, [], ["a*"]).entries] == ["a*"]


def test_only_directories_that_may_hold_something_are_opened():
    trees = Trees()
    tree = {f"d{number}": {"f": (FILE_MODE, b"%d" % number)} for number in range(50)} | {"src": TREE["src"]}
    opened = []

    def read(oid):
        opened.append(oid)
        return trees.kept[oid]

    declared(trees.store(tree), read, patterns=["src/deep/**"])
    assert len(opened) == 2  # the top and src
    opened.clear()
    declared(trees.store(tree), read, patterns=["**/f"])
    assert len(opened) > 50  # the control: this one has to look everywhere


def test_the_slow_way_agrees_with_another_matcher():
    """The control of `one_by_one`: it must not be wrong in the same way as the code."""
    assert one_by_one(TREE, ["**/*.py"]) == {entry for entry in files(TREE) if fnmatch.fnmatch(entry[0], "*.py")}
