"""Policies that settle clashes of a merge, chosen per path by the pipeline's `merge:` rules (the last match wins)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from flowbuild.core.globs import matches
from flowbuild.core.model import MergePolicy, MergeRule
from flowbuild.workspace import git
from flowbuild.workspace.lfs import parse_pointer
from flowbuild.workspace.merge import Clash, Entry, Unresolved, Value
from flowbuild.workspace.objects import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE, TREE_MODE

_MERGE_FILE_CONFLICTS = tuple(range(1, 128))  # exit code of `git merge-file`: number of conflicts, capped
_MERGE_FILE_REFUSED = 255  # binary files


class PathPolicies:
    """The resolver of a workspace merge.

    OURS and THEIRS take the value of the first or last side that wants something; UNION and TEXT merge regular files
    by line with `git merge-file`, in the order of the sides. What a policy cannot do stays a clash.
    """

    def __init__(
        self,
        rules: Sequence[MergeRule],
        *,
        git_dir: Path,
        name: Callable[[tuple[bytes, ...]], str],
        read: Callable[[bytes], bytes],
        write: Callable[[bytes], bytes],
    ) -> None:
        """`name` turns a tree path into what patterns match; `read` and `write` get and store blobs by id."""
        self._rules = tuple(rules)
        self._git_dir = git_dir
        self._name = name
        self._read = read
        self._write = write

    def __call__(self, clash: Clash) -> Value:
        """Return the value to take; raises Unresolved."""
        match policy_for(self._rules, self._name(clash.path)):
            case MergePolicy.OURS | MergePolicy.FIRST:
                return clash.values[0]
            case MergePolicy.THEIRS | MergePolicy.LAST:
                return clash.values[-1]
            case MergePolicy.UNION:
                return self._by_line(clash, union=True)
            case MergePolicy.TEXT:
                return self._by_line(clash, union=False)
            case _:
                raise Unresolved

    def _by_line(self, clash: Clash, *, union: bool) -> Value:
        present = list(dict.fromkeys(value for value in clash.values if value is not None))
        if len(present) < len(set(clash.values)) and not union:
            raise Unresolved  # deleted here, changed there: no lines to compare
        base = b""
        if clash.base is not None and clash.base[0] in (FILE_MODE, EXECUTABLE_MODE):
            base = self._text(clash.base)
        elif clash.base is not None and not union:
            raise Unresolved
        merged = self._text(present[0])
        for value in present[1:]:
            merged = self._merge_file(merged, base, self._text(value), union=union)
        modes = {value[0] for value in present}
        return (modes.pop() if len(modes) == 1 else EXECUTABLE_MODE, self._write(merged))

    def _text(self, entry: Entry) -> bytes:
        mode, oid = entry
        if mode in (TREE_MODE, SYMLINK_MODE) or not isinstance(oid, bytes):
            raise Unresolved
        data = self._read(oid)
        if b"\0" in data or parse_pointer(data) is not None:
            raise Unresolved  # a binary file, or one so large that it is stored aside
        return data

    def _merge_file(self, ours: bytes, base: bytes, theirs: bytes, *, union: bool) -> bytes:
        with tempfile.TemporaryDirectory(prefix="flow-merge-") as directory:
            paths = [Path(directory, name) for name in ("ours", "base", "theirs")]
            for path, data in zip(paths, (ours, base, theirs), strict=True):
                path.write_bytes(data)
            options = ["--union"] if union else []
            command = ["merge-file", "--stdout", "--quiet", *options, *map(str, paths)]
            done = git.run(self._git_dir, *command, accept=(0, *_MERGE_FILE_CONFLICTS, _MERGE_FILE_REFUSED))
        if done.returncode != 0:
            raise Unresolved
        return done.stdout


def policy_for(rules: Sequence[MergeRule], path: str) -> MergePolicy:
    """Return the policy of the last rule whose pattern matches; FAIL when none does."""
    return next((rule.policy for rule in reversed(rules) if matches(rule.pattern, path)), MergePolicy.FAIL)
