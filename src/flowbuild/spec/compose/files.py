"""Reading a compose file with all that it refers to: `include`, `extends` and `env_file`, inside of the repository only.

Every file is checked as it is read, relative to its own directory; what is merged afterwards is canonical already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowbuild.core.model import Position
from flowbuild.spec import yamlpos
from flowbuild.spec.compose import envfile
from flowbuild.spec.compose.checker import Allow, Check, Reference, Refuse, Rule, did_you_mean
from flowbuild.spec.compose.merge import merge
from flowbuild.spec.compose.scalars import boolean, typed
from flowbuild.spec.compose.service import RULES
from flowbuild.spec.compose.toplevel import IGNORED, SECTIONS
from flowbuild.spec.compose.tree import Node, Source, directory

Read = Callable[[str], bytes | None]
MAX_FILES = 32  # that one step reads, environment files included
MAX_SERVICES = 100
MAX_EXTENDS = 16  # services that extend each other in a row
_SECTIONS = ("services", *SECTIONS)


class Service:
    """A checked service, what it refers to and where it stands."""

    def __init__(self, data: dict[str, Any], references: list[Reference], position: Position) -> None:
        self.data = data
        self.references = references
        self.position = position


class Files:
    """Reads the files of one action; findings go to `check`."""

    def __init__(self, read: Read, check: Check) -> None:
        self._read = read
        self._check = check
        self._roots: dict[str, Node | None] = {}
        self._services: dict[tuple[str, str], Service | None] = {}
        self._open: list[tuple[str, str]] = []  # services being read, to find cycles
        self._including: list[str] = []
        self._projects: dict[str, dict[str, Any]] = {}
        self._environments: dict[str, dict[str, str | None]] = {}
        self._opened = 0

    def project(self, root: Node) -> dict[str, Any]:
        """Return the sections of a file and of all it includes; `services` holds Service values."""
        project: dict[str, Any] = {name: {} for name in _SECTIONS}
        rules: dict[str, Rule] = {
            **IGNORED,
            **SECTIONS,
            "services": Allow(lambda _check, node: self._all_services(node)),
            "include": Allow(lambda _check, node: self._include(project, node)),
        }
        found = self._check.table(root, rules)
        for section in _SECTIONS:
            for name, value in found.get(section, {}).items():
                if name in project[section]:
                    self._twice(root.child(section).child(name))
                project[section][name] = value
        return project

    def _twice(self, node: Node) -> None:
        message = f"{node.name} is defined here and in a file that is included"
        self._check.error("include", node.key_position, message, "use `extends` to change what another file defines")

    def _all_services(self, node: Node) -> dict[str, Service]:
        if not self._check.is_mapping(node):
            return {}
        if len(node.value) > MAX_SERVICES:
            self._check.error("limit", node.position, f"more than {MAX_SERVICES} services", "make several steps of it")
            return {}
        self._check.names_of(node, "service")
        found = {name: self._service(item) for name, item in node.items()}
        return {name: service for name, service in found.items() if service is not None}

    def _service(self, node: Node) -> Service | None:
        """Read a service once; None when it is not a mapping or extends itself."""
        key = (node.source.file, node.name)
        if key in self._open:
            way = " → ".join(name for _file, name in [*self._open[self._open.index(key) :], key])
            self._check.error("cycle", node.key_position, f"services extend each other: {way}", "break the circle")
            return None
        if len(self._open) >= MAX_EXTENDS:
            message = f"more than {MAX_EXTENDS} services extend each other in a row"
            self._check.error("limit", node.key_position, message, "make it flatter")
            return None
        if key not in self._services:
            self._open.append(key)
            self._services[key] = self._read_service(node)
            self._open.pop()
        return self._services[key]

    def _read_service(self, node: Node) -> Service | None:
        check = self._check
        if not check.is_mapping(node):
            return None
        base = self._extended(node.child("extends")) if node.value.get("extends") is not None else None
        own = {key: value for key, value in node.value.items() if key not in ("extends", "env_file")}
        outer, check.references = check.references, []
        data = check.table(Node(own, node.path, node.source), RULES)
        references, check.references = check.references, outer
        if node.value.get("env_file") is not None:
            data["_env_file"] = self._env_files(node.child("env_file"))
        if base is not None:
            data, references = merge(base.data, data), [*base.references, *references]
        return Service(data, references, node.key_position)

    def _extended(self, node: Node) -> Service | None:
        """Return the service that `extends` names, of this file or another one."""
        check = self._check
        if isinstance(node.value, Mapping):
            entry = check.table(node, _EXTENDS)
            name, file = entry.get("service"), entry.get("file")
            if name is None and "service" not in node.value:
                check.error("extends", node.position, f"{node.name} needs a `service`", "write `service: NAME`")
            if "file" in node.value and file is None:
                return None
        else:
            name, file = check.fixed(node), None
        if name is None:
            return None
        root = self._root(node, file) if file is not None else node.source.top
        if root is None:
            return None
        services = root.child("services") if isinstance(root.value, Mapping) else root
        if not isinstance(services.value, Mapping) or name not in services.value:
            where = file or node.source.file
            message = f"{node.name}: there is no service `{name[:60]}` in {where}"
            check.error(
                "extends",
                node.position,
                message,
                did_you_mean(name, services.value if isinstance(services.value, Mapping) else ()),
            )
            return None
        return self._service(services.child(name))

    def _root(self, node: Node, file: str) -> Node | None:
        """Return the content of another file of the repository, read once."""
        if file not in self._roots:
            self._roots[file] = self._open_file(node, file)
        return self._roots[file]

    def _open_file(self, node: Node, file: str) -> Node | None:
        data = self._contents(node, file)
        return None if data is None else self.parse(data, file)

    def _contents(self, node: Node, file: str, *, required: bool = True) -> bytes | None:
        self._opened += 1
        if self._opened > MAX_FILES:
            message = f"more than {MAX_FILES} files are read for one step"
            self._check.error("limit", node.position, message, "use fewer files")
            return None
        data = self._read(file)
        if data is None and required:
            hint = "it must be a file (not a link) that is committed or in the working tree"
            self._check.error(
                "file", node.position, f"{node.name}: there is no file `{file[:120]}` in the repository", hint
            )
        return data

    def parse(self, data: bytes, file: str) -> Node | None:
        """Return the content of a file with its places; findings and None when it is not YAML."""
        document, findings = yamlpos.load(data, file)
        for finding in findings:
            self._check.findings.setdefault(finding)
        if document is None:
            return None
        return Source(file, directory(file), lambda path, key: document.position(path, key=key), document.data).top

    def _env_files(self, node: Node) -> dict[str, str | None]:
        check = self._check
        values: dict[str, str | None] = {}
        for item in node.elements() if isinstance(node.value, list) else [node]:
            required, path = True, None
            if isinstance(item.value, Mapping):
                entry = check.table(item, _ENV_FILE)
                path, required = entry.get("path"), entry.get("required", True)
            else:
                path = check.path(item)
            if path is None:
                continue
            if path not in self._environments:
                data = self._contents(item, path, required=required)
                self._environments[path] = {} if data is None else envfile.parse(check, data, path)
            values |= self._environments[path]
        return values

    def _include(self, project: dict[str, Any], node: Node) -> None:
        """Add what included files define to `project`."""
        check = self._check
        for item in node.elements() if check.is_list(node) else ():
            file = check.table(item, _INCLUDE).get("path") if isinstance(item.value, Mapping) else check.path(item)
            if file is None:
                continue
            if file in self._including or file == node.source.file:
                check.error("cycle", item.position, f"{file} includes itself", "break the circle")
                continue
            root = self._root(item, file)
            if root is None:
                continue
            if file not in self._projects:
                self._including.append(node.source.file)
                self._projects[file] = self.project(root)
                self._including.pop()
            included = self._projects[file]
            for section, entries in included.items():
                for name, value in entries.items():
                    if name in project[section] and project[section][name] != value:
                        message = f"{item.name}: {section}.{name} is defined in two included files"
                        check.error("include", item.position, message, "rename one of them")
                    project[section][name] = value


_INCLUDE: dict[str, Rule] = {
    "path": Allow(lambda check, node: check.path(node.child(0) if _single(node) else node)),
    "project_directory": Refuse("paths of a file are relative to the file", "remove it"),
    "env_file": Refuse("variables come from the pipeline, not from files", "use `env_file` of a service"),
}
_EXTENDS: dict[str, Rule] = {
    "service": Allow(lambda check, node: check.fixed(node)),
    "file": Allow(lambda check, node: check.path(node)),
}
_ENV_FILE: dict[str, Rule] = {
    "path": Allow(lambda check, node: check.path(node)),
    "required": Allow(typed(boolean)),
    "format": Refuse("one format is read", "remove it; put values into single quotes", ("",)),
}


def _single(node: Node) -> bool:
    return isinstance(node.value, list) and len(node.value) == 1
