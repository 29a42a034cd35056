"""The N-way merge against stock git as an oracle, and the laws it must obey."""

from itertools import combinations, permutations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from flowbuild.workspace import git
from flowbuild.workspace.merge import UNKNOWN, Bases, Kind, Unresolved, merge_trees, surviving
from flowbuild.workspace.objects import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE, TREE_MODE

# A tree here is nested dictionaries; a leaf is (mode, one byte of content).
NAMES = st.sampled_from([b"a", b"b", b"c"])
LEAVES = st.tuples(st.sampled_from([FILE_MODE, EXECUTABLE_MODE, SYMLINK_MODE]), st.sampled_from([b"1", b"2", b"3"]))
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=3),
    lambda inner: st.dictionaries(NAMES, LEAVES | inner.map(lambda tree: (TREE_MODE, tree)), max_size=3),
    max_leaves=8,
)


def changed(tree):
    """Strategy: the tree with a few paths set or removed, so that most of it stays."""
    return st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), LEAVES | st.none()), max_size=4).map(
        lambda edits: apply(tree, edits)
    )


def apply(tree, edits):
    for path, leaf in edits:
        tree = put(tree, path, leaf)
    return tree


def put(tree, path, leaf):
    name, rest = path[0], path[1:]
    out = dict(tree)
    if rest:
        below = out[name][1] if name in out and out[name][0] == TREE_MODE else {}
        out[name] = (TREE_MODE, put(below, rest, leaf))
    elif leaf is None:
        out.pop(name, None)
    else:
        out[name] = leaf
    return out


def leaves(tree, prefix=()):
    """Flatten: path -> leaf; empty directories are not paths to git."""
    found = {}
    for name, (mode, value) in (tree or {}).items():
        if mode == TREE_MODE:
            found |= leaves(value, (*prefix, name))
        else:
            found[*prefix, name] = (mode, value)
    return found


def pruned(tree):
    """Take away empty directories, which git does not see."""
    out = {name: (mode, pruned(value) if mode == TREE_MODE else value) for name, (mode, value) in tree.items()}
    return {name: (mode, value) for name, (mode, value) in out.items() if value != {}}


def refuse(_):
    raise Unresolved


def merge(sides, base, resolve=refuse):
    index = {(i, j): 0 for i in range(len(sides)) for j in range(len(sides)) if i != j}
    return merge_trees(sides, Bases((base,), index), read=lambda _: pytest.fail("nothing is stored"), resolve=resolve)


@st.composite
def versions(draw, count):
    base = draw(TREES)
    return base, [draw(changed(base)) for _ in range(count)]


def inside(content):
    return {b"a": (TREE_MODE, {b"a": (FILE_MODE, content)})}


@given(versions(3))
@example((inside(b"2"), [inside(b"2"), {b"a": (FILE_MODE, b"1")}, inside(b"1")]))
@settings(max_examples=120, deadline=None)
def test_order_of_sides_does_not_matter(case):
    base, sides = case
    results = [merge(order, base) for order in map(list, permutations(sides))]
    clashing = {frozenset(clash.path for clash in result.clashes) for result in results}
    assert len(clashing) == 1
    if not results[0].clashes:
        assert all(result.tree == results[0].tree for result in results)


@given(versions(1))
@settings(max_examples=80, deadline=None)
def test_one_changed_side_wins_and_equal_sides_stay(case):
    base, (side,) = case
    assert merge([side, base], base).tree == side
    assert merge([base, side, base], base).tree == side
    assert merge([side, side], base).tree == side


@given(versions(3))
@settings(max_examples=120, deadline=None)
def test_no_change_is_lost_or_invented(case):
    """Each path of the result is what a side has; what one side alone changed is in it, or named in a conflict."""
    base, sides = case
    result = merge(sides, base)
    merged, was = leaves(result.tree), leaves(base)
    flat = [leaves(side) for side in sides]
    clashing = [clash.path for clash in result.clashes]
    for path in set(merged).union(was, *flat):
        if any(path[: len(clash)] == clash for clash in clashing):
            continue
        values = [side.get(path) for side in flat]
        wanted = {value for value in values if value != was.get(path)}
        if len(wanted) == 1:
            assert merged.get(path) in wanted
        elif not wanted:
            assert merged.get(path) == was.get(path)
        else:  # only a mode and a content that were changed apart may be combined
            assert merged[path][0] in {value[0] for value in wanted}
            assert merged[path][1] in {value[1] for value in wanted}


@given(versions(2))
@settings(max_examples=80, deadline=None)
def test_adding_a_stale_side_changes_nothing(case):
    base, sides = case
    assert merge([*sides, base], base).tree == merge(sides, base).tree or merge(sides, base).clashes


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """Two-sided merge by `git merge-tree` without renames and without line merge: (clean, leaves)."""
    path = tmp_path_factory.mktemp("oracle") / "o.git"
    git.run(None, "init", "--quiet", "--bare", "--template=", "--end-of-options", str(path))
    (path / "info").mkdir()
    (path / "info" / "attributes").write_text("* -merge\n")
    identity = {"user.name": "o", "user.email": "o@localhost"}

    def store(trees):
        blocks = []
        for mark, tree in enumerate(trees, 1):
            blocks.append(f"commit refs/heads/x{mark}\nmark :{mark}\ncommitter o <o@localhost> 0 +0000\ndata 0\n")
            blocks.append("from :1\n" if mark > 1 else "")
            blocks.append("deleteall\n")
            for name, (mode, value) in leaves(tree).items():
                path_text = b"/".join(name).decode()
                # The path is part of the content: nothing looks like a rename, which git would follow.
                content = f"{path_text}={value.decode()}"
                blocks.append(f"M {mode:o} inline {path_text}\ndata {len(content)}\n{content}\n")
        git.run(path, "fast-import", "--quiet", "--force", stdin="".join(blocks).encode())

    def run(base, one, other):
        store([base, one, other])
        done = git.run(
            path,
            "-c",
            "merge.renames=false",
            "merge-tree",
            "--write-tree",
            "-z",
            "x2",
            "x3",
            accept=(0, 1),
            config=identity,
        )
        tree = done.stdout.split(b"\0")[0].decode()
        listing = git.run(path, "ls-tree", "-r", "-z", tree).stdout.split(b"\0")
        found = {}
        for line in filter(None, listing):
            head, _, name = line.partition(b"\t")
            mode, _, oid = head.split(b" ")
            found[tuple(name.split(b"/"))] = (int(mode, 8), git.run(path, "cat-file", "blob", oid.decode()).stdout[-1:])
        return done.returncode == 0, found

    return run


def changed_kind(base, side):
    """Whether a path is a link on one and a file on the other."""
    before, after = leaves(base), leaves(side)
    return any((before[path][0] == SYMLINK_MODE) != (after[path][0] == SYMLINK_MODE) for path in before.keys() & after)


def test_a_link_that_became_two_files_is_a_conflict():
    link, one, two = (SYMLINK_MODE, b"1"), (FILE_MODE, b"1"), (FILE_MODE, b"2")
    (clash,) = merge([{b"f": one}, {b"f": two}], {b"f": link}).clashes
    assert (clash.path, clash.kind) == ((b"f",), Kind.MODIFY)


@given(versions(2))
@settings(max_examples=40, deadline=None)
def test_two_sides_as_git_merges_them(oracle, case):
    base, *sides = (pruned(tree) for tree in (case[0], *case[1]))
    files = {path for tree in (base, *sides) for path in leaves(tree)}
    parents = {path[:length] for path in files for length in range(1, len(path))}
    # git also reports a file that one side deleted and the other replaced by a directory: both agree that it goes.
    assume(not files & parents)
    # And it compares the bytes of a link with those of a file: here a link that became a file is another thing.
    assume(not any(changed_kind(base, side) for side in sides))
    clean, expected = oracle(base, *sides)
    result = merge(sides, base)
    assert clean == (not result.clashes)
    if clean:
        assert leaves(result.tree) == expected


F1, F2, F3 = ((FILE_MODE, content) for content in (b"1", b"2", b"3"))


@pytest.mark.parametrize(
    ("base", "one", "other", "kind"),
    [
        ({b"f": F1}, {b"f": F2}, {b"f": F3}, Kind.MODIFY),
        ({}, {b"f": F2}, {b"f": F3}, Kind.ADD),
        ({b"f": F1}, {}, {b"f": F3}, Kind.DELETE),
        ({}, {b"f": F2}, {b"f": (TREE_MODE, {b"x": F1})}, Kind.FILE_DIRECTORY),
        ({b"f": F1}, {b"f": F2}, {b"f": (TREE_MODE, {})}, Kind.FILE_DIRECTORY),
    ],
)
def test_kinds_of_conflict(base, one, other, kind):
    (clash,) = merge([one, other, base], base).clashes
    assert (clash.path, clash.kind, clash.sides) == ((b"f",), kind, (0, 1))


def test_directory_deleted_here_changed_there_names_the_file():
    base = {b"d": (TREE_MODE, {b"x": F1, b"y": F1})}
    (clash,) = merge([{}, {b"d": (TREE_MODE, {b"x": F2, b"y": F1})}], base).clashes
    assert (clash.path, clash.kind) == ((b"d", b"x"), Kind.DELETE)


def test_empty_directories_are_kept_made_and_removed():
    base = {b"gone": (TREE_MODE, {}), b"stays": (TREE_MODE, {})}
    made = {**base, b"made": (TREE_MODE, {})}
    assert merge([made, {b"stays": (TREE_MODE, {})}], base).tree == {
        b"stays": (TREE_MODE, {}),
        b"made": (TREE_MODE, {}),
    }


def test_mode_here_and_content_there():
    assert merge([{b"f": (EXECUTABLE_MODE, b"1")}, {b"f": F2}], {b"f": F1}).tree == {b"f": (EXECUTABLE_MODE, b"2")}


def test_pairwise_bases_see_through_a_chain():
    """Side 2 went on from side 1, side 0 from an older one: what 1 had of 2's past does not count against 2."""
    old, middle, new = {b"f": F1}, {b"f": F2}, {b"f": F3}
    index = {pair: 0 for i, j in combinations(range(3), 2) for pair in ((i, j), (j, i))}
    index[1, 2] = index[2, 1] = 1
    bases = Bases((old, middle), index)
    result = merge_trees([old, middle, new], bases, read=lambda _: {}, resolve=refuse)
    assert (result.tree, result.clashes) == (new, ())
    one_base = merge([old, middle, new], old)  # control: with a single base the same sides do conflict
    assert one_base.clashes


def test_unknown_base_is_equal_to_nothing():
    index = {(0, 1): 0, (1, 0): 0}
    sides = [{b"f": F1}, {b"f": F2}]
    for base in ({b"f": UNKNOWN}, {b"f": F3}):
        assert merge_trees(sides, Bases((base,), index), read=lambda _: {}, resolve=refuse).clashes
    clean = merge_trees(sides, Bases(({b"f": F1},), index), read=lambda _: {}, resolve=refuse)
    assert clean.tree == {b"f": F2}


def test_surviving_with_a_circle_keeps_everybody():
    bases = {(0, 1): "a", (1, 2): "b", (0, 2): "c"}
    assert surviving(["a", "b", "c"], lambda i, j: bases.get((min(i, j), max(i, j)))) == [0, 1, 2]
    assert surviving(["a", "b"], lambda *_: "a") == [1]


def test_oracle_can_disagree(oracle):
    """Negative control: the oracle is no echo of ours."""
    clean, _ = oracle({b"f": F1}, {b"f": F2}, {b"f": F3})
    assert not clean
    with pytest.raises(git.GitError):
        git.run(None, "merge-tree", "--write-tree", "nothing", "nowhere")
