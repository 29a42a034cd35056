"""What a git tree cannot say about a directory: one compact blob per directory, beside the tree.

Format, version 1, all numbers little-endian. Entry 0 is the directory itself, named `.`; the others follow sorted by name:

    b"FLM1"  count: u32  uid: u32  gid: u32  length of names: u32
    names of entries 1…, joined by NUL
    count x mtime: i64, nanoseconds since the epoch
    count x st_mode: u16, type and permissions
    any number of:  index: u32  length: u32  fields        for entries that have more to say
    each field:     tag: one byte  length: u32  payload

Tags: `o` owner where it differs from the directory's (uid u32, gid u32); `x` extended attribute (name NUL value); `l` hard
link group (path of its first name from the top of the workspace; the first name carries it too); `s` sparse file (pairs of
u64: start and length of each piece of data); `t` mtime outside 64 bits (16 bytes, signed). FIFOs exist only here.

Columns beat JSON at 50,000 files by about 10 times in time and 3 times in size, and keep an unchanged directory's blob
identical byte for byte, so it is shared between commits. In the repository a directory without sub-directories is its
blob; one with sub-directories is a tree that holds the blob as `%meta` (no stored name looks like that) and its children.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from flowbuild.core.errors import WorkspaceError
from flowbuild.workspace.objects import FILE_MODE, TREE_MODE, ObjectDatabase, TreeEntry
from flowbuild.workspace.packs import PackWriter

META_NAME = b"%meta"
SELF = b"."
_MAGIC = b"FLM1"
_HEAD = struct.Struct("<4sIIII")
_RECORD = struct.Struct("<II")
_FIELD = struct.Struct("<cI")
_MTIME_LIMIT = 1 << 63


class Meta(NamedTuple):
    """Metadata of one entry. Compare and merge these as values; `.` is the directory itself."""

    mode: int  # st_mode: type and permission bits
    mtime_ns: int
    owner: tuple[int, int]  # uid, gid
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    link: bytes = b""  # hard link group, empty when the file has one name
    data: tuple[tuple[int, int], ...] | None = None  # (start, length) of each piece of a sparse file; None: not sparse


class Node(NamedTuple):
    """Where the metadata of a directory is: `mode` FILE_MODE (blob) or TREE_MODE (tree with `%meta`), raw object id."""

    mode: int
    oid: bytes


@dataclass(slots=True)
class Columns:
    """A decoded blob, as columns: index 0 is the directory. `fields` holds the undecoded rest by index."""

    names: list[bytes]
    mtimes: tuple[int, ...]
    modes: tuple[int, ...]
    owner: tuple[int, int]
    fields: dict[int, bytes] = field(default_factory=dict)

    def meta(self, index: int) -> Meta:
        """Return one entry with all it has to say; raises WorkspaceError when its fields are malformed."""
        extra = self.fields.get(index)
        if extra is None:
            return Meta(self.modes[index], self.mtimes[index], self.owner)
        return _with_fields(Meta(self.modes[index], self.mtimes[index], self.owner), extra)


def pack_field(tag: bytes, payload: bytes) -> bytes:
    """Return one field of an entry."""
    return _FIELD.pack(tag, len(payload)) + payload


def owner_field(owner: tuple[int, int]) -> bytes:
    """Return the field that says whose an entry is."""
    return pack_field(b"o", struct.pack("<II", *owner))


def link_field(group: bytes) -> bytes:
    """Return the field that makes an entry a name of a hard link group."""
    return pack_field(b"l", group)


def content_fields(xattrs: Iterable[tuple[bytes, bytes]], data: tuple[tuple[int, int], ...] | None) -> bytes:
    """Return the fields for extended attributes and for the pieces of a sparse file."""
    parts = [pack_field(b"x", name + b"\0" + value) for name, value in sorted(xattrs)]
    if data is not None:
        flat = [number for piece in data for number in piece]
        parts.append(pack_field(b"s", struct.pack(f"<{len(flat)}Q", *flat)))
    return b"".join(parts)


def encode(
    names: list[bytes], mtimes: list[int], modes: list[int], owner: tuple[int, int], fields: dict[int, bytes]
) -> bytes:
    """Return the blob of a directory. `names[0]` is `.`, the others are sorted; `fields` by index, values as packed above."""
    count = len(names)
    try:
        times = struct.pack(f"<{count}q", *mtimes)
    except struct.error:  # a time before 1677 or after 2262
        fields = dict(fields)
        small = list(mtimes)
        for index, mtime in enumerate(mtimes):
            if not -_MTIME_LIMIT <= mtime < _MTIME_LIMIT:
                small[index] = 0
                fields[index] = fields.get(index, b"") + pack_field(b"t", mtime.to_bytes(16, "little", signed=True))
        times = struct.pack(f"<{count}q", *small)
    joined = b"\0".join(names[1:])
    parts = [_HEAD.pack(_MAGIC, count, *owner, len(joined)), joined, times, struct.pack(f"<{count}H", *modes)]
    for index in sorted(fields):
        extra = fields[index]
        parts += (_RECORD.pack(index, len(extra)), extra)
    return b"".join(parts)


def decode(blob: bytes) -> Columns:
    """Split a blob into its columns; raises WorkspaceError when it is malformed."""
    try:
        magic, count, uid, gid, length = _HEAD.unpack_from(blob)
        at = _HEAD.size + length
        names = [SELF, *blob[_HEAD.size : at].split(b"\0")] if count > 1 else [SELF]
        if magic != _MAGIC or count < 1 or count * 10 > len(blob) or len(names) != count:
            raise WorkspaceError("A metadata blob of the run repository is malformed")
        mtimes = struct.unpack_from(f"<{count}q", blob, at)
        at += 8 * count
        modes = struct.unpack_from(f"<{count}H", blob, at)
        at += 2 * count
        fields: dict[int, bytes] = {}
        while at < len(blob):
            index, length = _RECORD.unpack_from(blob, at)
            at += _RECORD.size
            fields[index] = blob[at : at + length]
            at += length
            if index >= count or at > len(blob):
                raise WorkspaceError("A metadata blob of the run repository is cut short")
    except struct.error as error:
        raise WorkspaceError(f"A metadata blob of the run repository is malformed: {error}") from error
    return Columns(names, mtimes, modes, (uid, gid), fields)


def _split_fields(extra: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(extra):
        tag, length = _FIELD.unpack_from(extra, at)
        at += _FIELD.size
        if at + length > len(extra):
            raise WorkspaceError("A metadata field of the run repository is cut short")
        yield tag, extra[at : at + length]
        at += length


def _with_fields(meta: Meta, extra: bytes) -> Meta:
    xattrs = []
    try:
        for tag, payload in _split_fields(extra):
            if tag == b"o":
                meta = meta._replace(owner=struct.unpack("<II", payload))
            elif tag == b"x":
                name, _, value = payload.partition(b"\0")
                xattrs.append((name, value))
            elif tag == b"l":
                meta = meta._replace(link=payload)
            elif tag == b"s":
                flat = struct.unpack(f"<{len(payload) // 8}Q", payload)
                meta = meta._replace(data=tuple(zip(flat[::2], flat[1::2], strict=True)))
            elif tag == b"t" and len(payload) == 16:
                meta = meta._replace(mtime_ns=int.from_bytes(payload, "little", signed=True))
            else:
                raise WorkspaceError(f"A metadata field of the run repository has the unknown tag {tag!r}")
    except (struct.error, ValueError) as error:
        raise WorkspaceError(f"A metadata field of the run repository is malformed: {error}") from error
    return meta._replace(xattrs=tuple(xattrs)) if xattrs else meta


def read(blob: bytes) -> dict[bytes, Meta]:
    """Return the metadata of a directory by name, `.` being the directory itself; raises WorkspaceError."""
    columns = decode(blob)
    found = {name: columns.meta(index) for index, name in enumerate(columns.names)}
    if len(found) != len(columns.names) or b"" in found:
        raise WorkspaceError("A metadata blob of the run repository names an entry twice")
    return found


def write(entries: Mapping[bytes, Meta]) -> bytes:
    """Return the blob for `entries`, which must hold `.`; equal entries make equal bytes."""
    top = entries[SELF]
    names = [SELF, *sorted(name for name in entries if name != SELF)]
    metas = [entries[name] for name in names]
    fields = {}
    for index, meta in enumerate(metas):
        extra = content_fields(meta.xattrs, meta.data)
        if meta.link:
            extra += link_field(meta.link)
        if meta.owner != top.owner:
            extra += owner_field(meta.owner)
        if extra:
            fields[index] = extra
    return encode(names, [meta.mtime_ns for meta in metas], [meta.mode for meta in metas], top.owner, fields)


def load(db: ObjectDatabase, node: Node) -> tuple[bytes, dict[bytes, Node]]:
    """Return a directory's blob and the nodes of its sub-directories by *stored* (escaped) name; raises WorkspaceError."""
    if node.mode == FILE_MODE:
        return db.blob(node.oid), {}
    children = {entry.name: Node(entry.mode, entry.oid) for entry in db.tree(node.oid)}
    own = children.pop(META_NAME, None)
    if own is None or own.mode != FILE_MODE:
        raise WorkspaceError(f"Metadata tree {node.oid.hex()} of the run repository lacks its own blob")
    return db.blob(own.oid), children


def store(writer: PackWriter, blob: bytes, children: Mapping[bytes, Node], *, top: bool = False) -> Node:
    """Add a directory's blob, and its tree where it has children (always for the `top` one); return where it is."""
    own = writer.add("blob", blob)
    if not children and not top:
        return Node(FILE_MODE, own)
    entries = [TreeEntry(node.mode, name, node.oid) for name, node in children.items()]
    return Node(TREE_MODE, writer.add_tree([TreeEntry(FILE_MODE, META_NAME, own), *entries]))


def permissions(meta: Meta) -> int:
    """Return the permission bits, set-user-ID and the like included."""
    return stat.S_IMODE(meta.mode)
