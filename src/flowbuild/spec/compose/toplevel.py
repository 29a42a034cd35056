"""Top-level sections of a compose file besides services: networks, volumes, configs, secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowbuild.spec.compose.checker import Allow, Check, Ignore, Refuse, Rule
from flowbuild.spec.compose.mounts import relative
from flowbuild.spec.compose.scalars import boolean, one_of, text, typed
from flowbuild.spec.compose.tree import Node

_OURS = "the runner names what it makes, so that runs cannot meet"
_FOREIGN = "it belongs to somebody else: a run reaches only what is its own"
_REMOVE = "remove it"
_LABELS = Ignore("the labels of the runner are used")
_EXTERNAL = Refuse(_FOREIGN, "declare it without `external`", (False,))
_NAME = Refuse(_OURS, "remove it: the key is the name inside of this file")

_NETWORK: dict[str, Rule] = {
    "internal": Allow(typed(boolean)),
    "driver": Allow(typed(one_of("bridge", "default"))),
    "labels": _LABELS,
    "attachable": Ignore("only services of this step are attached"),
    "enable_ipv4": Ignore("the runner decides about addresses"),
    "enable_ipv6": Ignore("the runner decides about addresses"),
    "external": _EXTERNAL,
    "name": _NAME,
    "ipam": Refuse("the runner decides about addresses", _REMOVE, ({},)),
    "driver_opts": Refuse("options of drivers reach the machine", _REMOVE, ({},)),
}
_VOLUME: dict[str, Rule] = {
    "driver": Allow(typed(one_of("local", "default"))),
    "labels": _LABELS,
    "external": _EXTERNAL,
    "name": _NAME,
    "driver_opts": Refuse("a volume with options can be any directory of the machine", "use `./path:/target`", ({},)),
}
_ENVIRONMENT = Refuse("the environment of the server is not for steps", "declare `secrets` of the step")


def _file(check: Check, node: Node) -> str | None:
    path = check.path(node)
    return None if path is None else relative(path)


_SECRET: dict[str, Rule] = {
    "file": Allow(_file),
    "environment": _ENVIRONMENT,
    "external": _EXTERNAL,
    "name": _NAME,
    "driver": Refuse(_FOREIGN, _REMOVE),
    "driver_opts": Refuse(_FOREIGN, _REMOVE, ({},)),
    "template_driver": Refuse(_FOREIGN, _REMOVE),
    "labels": _LABELS,
}
_CONFIG: dict[str, Rule] = {**_SECRET, "content": Allow(text)}


def section(kind: str, rules: dict[str, Rule], keep: tuple[str, ...]) -> Callable[[Check, Node], dict[str, Any]]:
    """Return the reader of a section whose entries follow `rules`; of each, the keys in `keep` remain."""

    def read(check: Check, node: Node) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if not check.is_mapping(node):
            return result
        check.names_of(node, kind)
        for name, item in node.items():
            written = item.value if isinstance(item.value, Mapping) else {}
            found = {} if item.value is None else check.table(item, rules)
            result[name] = {key: value for key, value in found.items() if key in keep}
            sources = [key for key in ("file", "content") if key in rules]
            if sources and len(result[name]) != 1 and not {"external", "environment"} & set(written):
                wanted = " or ".join(f"`{key}`" for key in sources)
                check.error("value", item.key_position, f"{item.name} needs {wanted}")
        return result

    return read


SECTIONS: dict[str, Rule] = {
    "networks": Allow(section("network", _NETWORK, ("internal",))),
    "volumes": Allow(section("volume", _VOLUME, ())),
    "configs": Allow(section("config", _CONFIG, ("file", "content"))),
    "secrets": Allow(section("secret", _SECRET, ("file",))),
}
IGNORED: dict[str, Rule] = {
    "name": Ignore(_OURS),
    "version": Ignore("compose files have no version any more"),
    "models": Refuse("it would run programs on the machine itself", "run the model in a service"),
}
