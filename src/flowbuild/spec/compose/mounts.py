"""Ports and mounts of a service: short syntax in, long form out."""

from __future__ import annotations

import re
from typing import Any

from flowbuild.spec.compose.checker import NAME, Allow, Check, Ignore, Refuse, Rule
from flowbuild.spec.compose.scalars import boolean, integer, matching, one_of, size, typed
from flowbuild.spec.compose.tree import Node

_PORT = re.compile(
    r"(?:(?P<host>\[[0-9A-Fa-f:]+\]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}):)?(?:(?P<published>[0-9]+(?:-[0-9]+)?)?:)?"
    r"(?P<target>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>tcp|udp))?"
)
_MAX_RANGE = 100
_MODES = frozenset({"ro", "rw", "z", "Z", "cached", "delegated", "consistent", "nocopy"})
_FORBIDDEN_TARGETS = ("/proc", "/sys", "/dev", "/variables")
_PRIVATE = "its files belong to this step alone"
_TMPFS_OPTIONS = re.compile(
    r"(size=[0-9]+[kmg%]?|mode=[0-7]{3,4}|[ug]id=[0-9]{1,10}|(no)?(exec|suid|dev)|rw|ro)", re.IGNORECASE
)


def ports(check: Check, node: Node) -> list[Any] | None:
    """Read `ports`; ranges become one entry each. Entries with variables stay text."""
    if not check.is_list(node):
        return None
    result: list[Any] = []
    for item in node.elements():
        if isinstance(item.value, dict):
            entry = check.table(item, _LONG_PORT)
            if "target" in entry:
                result.append(entry)
            else:
                check.error("value", item.position, f"{item.name} needs a `target`", "the port inside of the container")
            continue
        parsed = check.typed(item, short_port)
        result += parsed if isinstance(parsed, list) else [parsed] if parsed is not None else []
    return result


def short_port(value: Any) -> list[dict[str, Any]]:
    """Parse `[[address:][published]:]target[/protocol]`, each a port or a range. Raises ValueError."""
    match = _PORT.fullmatch(str(value)) if not isinstance(value, bool | float) else None
    if match is None:
        raise ValueError("must be `[[address:]published:]target[/tcp|udp]`")
    targets = _range(match["target"])
    published = _range(match["published"]) if match["published"] else None
    if len(targets) > _MAX_RANGE:
        raise ValueError(f"has a range of more than {_MAX_RANGE} ports")
    if published is not None and len(targets) not in (1, len(published)):
        raise ValueError("has ranges of different length")
    result = []
    for index, target in enumerate(targets):
        entry: dict[str, Any] = {"target": target, "protocol": match["protocol"] or "tcp"}
        if published is not None:
            entry["published"] = str(published[index]) if len(targets) > 1 else match["published"]
        if match["host"]:
            entry["host_ip"] = match["host"].strip("[]")
        result.append(entry)
    return result


def port_range(value: Any) -> str:
    """Check a port or a range of ports. Raises ValueError."""
    text = str(value)
    if isinstance(value, bool | float) or not re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?", text):
        raise ValueError("must be a port")
    _range(text)
    return text


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    start, end = int(first[:9]), int((last or first)[:9])
    if not 1 <= start <= end <= 65535:
        raise ValueError("has a port outside of 1 to 65535")
    return range(start, end + 1)


_LONG_PORT: dict[str, Rule] = {
    "target": Allow(typed(integer(1, 65535))),
    "published": Allow(typed(port_range)),
    "host_ip": Allow(typed(matching(r"[0-9.]+|[0-9A-Fa-f:]+", "an IP address"))),
    "protocol": Allow(typed(one_of("tcp", "udp"))),
    "mode": Ignore("a port is published on the machine that runs the step"),
    "name": Ignore("names of ports are not used"),
    "app_protocol": Ignore("it is a note for people"),
}


def volumes(check: Check, node: Node) -> list[dict[str, Any]] | None:
    """Read `volumes`: relative binds, named and anonymous volumes, tmpfs."""
    if not check.is_list(node):
        return None
    read = (_long_volume if isinstance(item.value, dict) else _short_volume for item in node.elements())
    found = [reader(check, item) for reader, item in zip(read, node.elements(), strict=True)]
    return [entry for entry in found if entry is not None]


def _short_volume(check: Check, node: Node) -> dict[str, Any] | None:
    text = check.fixed(node)
    if text is None:
        return None
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        message = f"{node.name}: `{text[:80]}` is not a mount of the repository"
        check.error(
            "value", node.position, message, "write `./path:/target`, `name:/target` or `/target`, `:ro` behind it"
        )
        return None
    options = parts[2].split(",") if len(parts) == 3 else []
    for option in options:
        if option not in _MODES:
            message = f"{node.name}: the mode `{option[:40]}` is refused"
            check.error("refused", node.position, message, "use `ro` or `rw`; mounts do not propagate to the machine")
    entry: dict[str, Any] = {"target": parts[-1] if len(parts) == 1 else parts[1]}
    if "ro" in options:
        entry["read_only"] = True
    return _mount(check, node, entry, parts[0] if len(parts) > 1 else None)


def _mount(check: Check, node: Node, entry: dict[str, Any], source: str | None) -> dict[str, Any] | None:
    """Complete a mount whose type follows from how its source is written."""
    if source is not None and (source.startswith((".", "/", "~")) or "/" in source or "\\" in source):
        return _bind(check, node, entry, source)
    if not target(check, node, entry["target"]):
        return None
    if source is None:
        return {"type": "volume", **entry}
    if not NAME.fullmatch(source):
        check.error("name", node.position, f"{node.name}: `{source[:60]}` cannot be the name of a volume")
        return None
    check.refer("volume", source, node)
    return {"type": "volume", "source": source, **entry}


def _bind(check: Check, node: Node, entry: dict[str, Any], source: str) -> dict[str, Any] | None:
    if "/" in source and not source.startswith((".", "/", "~")):
        message = f"{node.name}: `{source[:80]}` is neither a path nor the name of a volume"
        check.error("path", node.position, message, f"write `./{source[:60]}` for a directory of the repository")
        return None
    if source.endswith(("docker.sock", "containerd.sock")):
        message = f"{node.name}: the socket of the engine is refused: who has it owns the machine"
        check.error("refused", node.position, message, "build images with `build:` in the compose file")
        return None
    path = check.path(node, source)
    if path is None or not target(check, node, entry["target"], workspace=path == "."):
        return None
    return {"type": "bind", "source": relative(path), **entry}


def relative(path: str) -> str:
    """Return a path of the repository as compose writes relative paths: `./src`."""
    return path if path == "." else f"./{path}"


def target(check: Check, node: Node, path: str, *, workspace: bool = False) -> bool:
    """Whether something (the whole workspace) may be mounted at `path` in a container; a finding when not."""
    parts = path.split("/")
    if not path.startswith("/") or ".." in parts or not any(parts):
        check.error(
            "path", node.position, f"{node.name}: `{path[:80]}` is not an absolute path inside of the container"
        )
        return False
    clean = "/" + "/".join(part for part in parts if part not in ("", "."))
    taken_whole = clean == "/workspace" and not workspace
    taken_part = any(f"{clean}/".startswith(f"{taken}/") for taken in _FORBIDDEN_TARGETS) and clean != "/dev/shm"  # noqa: S108  # a path in a container
    if taken_whole or taken_part:
        check.error("refused", node.position, f"{node.name}: nothing may be mounted at `{clean[:80]}`")
        return False
    return True


def _long_volume(check: Check, node: Node) -> dict[str, Any] | None:
    entry = check.table(node, _LONG_VOLUME)
    kind = entry.pop("type", "volume")
    options = {key: entry.pop(key) for key in ("bind", "volume", "tmpfs") if key in entry}
    if "target" not in entry:
        check.error("value", node.position, f"{node.name} needs a `target`", "the path inside of the container")
        return None
    source = entry.pop("source", None)
    if kind == "tmpfs":
        if not target(check, node, entry["target"]):
            return None
        return {"type": kind, **entry, "tmpfs": {"size": 1 << 30, **options.get("tmpfs", {})}}
    if kind == "volume" and (source is None or NAME.fullmatch(source)):
        done = _mount(check, node, entry, source)
        return done if done is None or not options.get("volume") else {**done, "volume": options["volume"]}
    if kind == "volume" or source is None:
        check.error("value", node.position, f"{node.name}: a {kind} cannot have the source `{str(source)[:60]}`")
        return None
    return _bind(check, node, entry, source if source.startswith((".", "/", "~")) or "\\" in source else f"./{source}")


def _options(rules: dict[str, Rule]) -> Allow:
    return Allow(lambda check, node: check.table(node, rules))


_LONG_VOLUME: dict[str, Rule] = {
    "type": Allow(typed(one_of("bind", "volume", "tmpfs"))),
    "source": Allow(lambda check, node: check.fixed(node)),
    "target": Allow(lambda check, node: check.fixed(node)),
    "read_only": Allow(typed(boolean)),
    "consistency": Ignore("mounts are always consistent"),
    "bind": _options(
        {
            "create_host_path": Ignore("a missing directory is created in the workspace"),
            "propagation": Refuse("mounts do not propagate to the machine", harmless=("rprivate", "private")),
            "selinux": Ignore("the runner labels the workspace"),
            "recursive": Refuse("only the workspace is mounted"),
        }
    ),
    "volume": _options(
        {
            "nocopy": Allow(typed(boolean)),
            "subpath": Refuse("Docker Engine before 26 does not know it", "mount the whole volume"),
            "labels": Ignore(_PRIVATE),
        }
    ),
    "tmpfs": _options({"size": Allow(typed(size)), "mode": Allow(typed(integer(0, 0o7777)))}),
}


def tmpfs(check: Check, node: Node) -> list[str] | None:
    """Read `tmpfs`: paths with options; each gets a size."""
    items = list(node.elements()) if isinstance(node.value, list) else [node]
    result: list[str] = []
    for item in items:
        line = check.fixed(item)
        if line is None:
            continue
        path, _, options = line.partition(":")
        words = [word for word in options.split(",") if word]
        wrong = [word for word in words if not _TMPFS_OPTIONS.fullmatch(word)]
        if wrong:
            check.error("refused", item.position, f"{item.name}: the option `{wrong[0][:40]}` is refused")
        elif target(check, item, path):
            sized = any(word.lower().startswith("size=") for word in words)
            result.append(f"{path}:{','.join(words if sized else [*words, 'size=1g'])}")
    return result


def published(entries: list[Any]) -> list[str]:
    """Return the container ports of `ports` as `expose` writes them; entries with variables say nothing."""
    return [f"{entry['target']}/{entry.get('protocol', 'tcp')}" for entry in entries if isinstance(entry, dict)]
