"""One service: the table of its keys, and the values that only services have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowbuild.spec.compose import deploy, mounts
from flowbuild.spec.compose.build import build
from flowbuild.spec.compose.checker import Allow, Check, Ignore, Refuse, Rule
from flowbuild.spec.compose.refusals import IGNORED, REFUSED
from flowbuild.spec.compose.scalars import (
    boolean,
    command,
    duration,
    integer,
    labels,
    matching,
    one_of,
    pairs,
    seconds,
    text,
    texts,
    typed,
)
from flowbuild.spec.compose.tree import Node

MAX_GRACE = 30.0  # seconds from SIGTERM to SIGKILL
# As registries take them: host and port, path, tag, digest (OCI distribution specification, "pulling manifests").
_IMAGE_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_IMAGE_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?=.{{1,511}}$)(?:{_IMAGE_HOST}/)?{_IMAGE_PART}(?:/{_IMAGE_PART})*"
    r"(?::\w[\w.-]{0,127})?(?:@[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9A-Fa-f]{32,128})?",
    re.ASCII,
)
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")
BUILT = "flow-built/"  # images that steps built; see `emit`
_HOST_NAME = "a host name"
_MACHINE = "it changes what names mean for the step"
_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")


def image_name(value: Any) -> str:
    """Check the reference of an image. Raises ValueError."""
    name = str(value)
    if not isinstance(value, str) or not _IMAGE.fullmatch(name):
        raise ValueError("must be the name of an image, such as `python:3.13-slim`")
    if _IMAGE_ID.fullmatch(name):
        raise ValueError("is the id of an image on one machine; use its name, or `name@sha256:…`")
    if name.startswith(BUILT) or f"/{BUILT}" in name:
        raise ValueError("is the image of another step; build it here, or push it and use that name")
    return name


def _depends_on(check: Check, node: Node) -> dict[str, Any] | None:
    result: dict[str, Any] = {}
    if isinstance(node.value, Mapping):
        for key, item in node.items():
            check.refer("service", key, item)
            entry = {} if item.value is None else check.table(item, _DEPENDENCY)
            result[key] = {"condition": "service_started", **entry}
        return result
    for item in node.elements() if check.is_list(node) else ():
        name = check.fixed(item)
        if name is not None:
            check.refer("service", name, item)
            result[name] = {"condition": "service_started"}
    return result


_DEPENDENCY: dict[str, Rule] = {
    "condition": Allow(typed(one_of(*_CONDITIONS))),
    "required": Allow(typed(boolean)),
    "restart": Ignore("services of a step are not restarted"),
}


def _links(check: Check, node: Node) -> dict[str, str] | None:
    """Read `links` as alias -> service."""
    result: dict[str, str] = {}
    for item in node.elements() if check.is_list(node) else ():
        line = check.fixed(item)
        if line is not None:
            service, _, alias = line.partition(":")
            check.refer("service", service, item)
            result[alias or service] = service
    return result


def _networks(check: Check, node: Node) -> dict[str, Any] | None:
    result: dict[str, Any] = {}
    if isinstance(node.value, Mapping):
        for key, item in node.items():
            check.refer("network", key, item)
            result[key] = {} if item.value is None else check.table(item, _ATTACHMENT)
        return result
    for item in node.elements() if check.is_list(node) else ():
        name = check.fixed(item)
        if name is not None:
            check.refer("network", name, item)
            result[name] = {}
    return result


_ADDRESS = Refuse("addresses are given by the engine", "use the name of the service")
_ATTACHMENT: dict[str, Rule] = {
    "aliases": Allow(texts),
    "priority": Ignore("there is one way out: the network of the run"),
    "gw_priority": Ignore("there is one way out: the network of the run"),
    "ipv4_address": _ADDRESS,
    "ipv6_address": _ADDRESS,
    "link_local_ips": _ADDRESS,
    "mac_address": _ADDRESS,
    "interface_name": _ADDRESS,
    "driver_opts": Refuse("options of drivers reach the machine", "remove it", ({},)),
}


def _network_mode(check: Check, node: Node) -> str | None:
    mode = check.fixed(node)
    if mode is None or mode == "none":
        return mode
    if mode.startswith("service:"):
        check.refer("service", mode.removeprefix("service:"), node)
        return mode
    message = (
        f"{node.name}: `{mode[:60]}` is refused: containers of a step share nothing with the machine or with others"
    )
    check.error("refused", node.position, message, "use `none`, `service:<name>` or networks of the file")
    return None


def _healthcheck(check: Check, node: Node) -> dict[str, Any]:
    found = check.table(node, _HEALTH)
    test = found.get("test")
    if isinstance(test, list) and test and test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        check.error("value", node.child("test").position, f"{node.name}.test must begin with NONE, CMD or CMD-SHELL")
    return found


def _test(check: Check, node: Node) -> list[str] | None:
    if isinstance(node.value, list):
        items = (check.text(item, expressions=False) for item in node.elements())
        return [item for item in items if item is not None]
    line = check.text(node, expressions=False)
    return None if line is None else ["CMD-SHELL", line]


_HEALTH: dict[str, Rule] = {
    "test": Allow(_test),
    "interval": Allow(typed(duration)),
    "timeout": Allow(typed(duration)),
    "start_period": Allow(typed(duration)),
    "start_interval": Ignore("Docker Engine before 25 does not know it"),
    "retries": Allow(typed(integer(0, 1000))),
    "disable": Allow(typed(boolean)),
}


def _grace(check: Check, node: Node) -> str | None:
    found: str | None = check.typed(node, duration)
    if found is not None and "$" not in found and seconds(found) > MAX_GRACE:
        check.warn(
            "ignored",
            node.position,
            f"{node.name}: services are killed {MAX_GRACE:.0f} s after they were asked to stop",
        )
    return found


def _restart(check: Check, node: Node) -> None:
    policy = check.typed(node, _policy)
    if policy is None or policy in ("no", "false"):
        return
    if not check.trusted:
        message = f"{node.name} is refused here: a step that ended stays ended"
        check.error("untrusted", node.position, message, 'use "no"')
    else:
        message = f"{node.name} has no effect here: a step that ended stays ended"
        check.warn("ignored", node.position, message, "use `retry` of the step")


def _policy(value: Any) -> str:
    text = str(value).lower()
    if not re.fullmatch(r"no|false|always|unless-stopped|on-failure(:[0-9]+)?", text):
        raise ValueError("must be `no`, `always`, `on-failure` or `unless-stopped`")
    return text


def _security_opt(check: Check, node: Node) -> None:
    for item in node.elements() if check.is_list(node) else ():
        if item.value not in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"):
            message = f"{item.name}: `{str(item.value)[:60]}` is refused: the limits of containers stay on"
            check.error("refused", item.position, message, "remove it")


def _logging(check: Check, node: Node) -> None:
    found = check.table(node, {"driver": Allow(text), "options": Allow(pairs)})
    driver = found.get("driver", "local")
    if driver not in ("local", "json-file", "none"):
        message = f"{node.name}.driver: `{driver[:40]}` is refused: output stays on this server"
        check.error("refused", node.child("driver").position, message, "remove `logging`: all output is kept")
    elif check.trusted:
        check.warn("ignored", node.key_position, f"{node.name} has no effect here: all output is kept")


def _init(check: Check, node: Node) -> None:
    if check.typed(node, boolean) is False:
        check.warn("ignored", node.position, f"{node.name} has no effect here: containers always have an init process")


def _extra_hosts(check: Check, node: Node) -> list[str] | None:
    if isinstance(node.value, Mapping):
        found = pairs(check, node)
        return [f"{name}={address or ''}" for name, address in (found or {}).items()]
    return texts(check, node)


def _grants(kind: str) -> Allow:
    """Return the rule of `configs` or `secrets` of a service."""

    def read(check: Check, node: Node) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = []
        for item in node.elements() if check.is_list(node) else ():
            is_long = isinstance(item.value, Mapping)
            entry: dict[str, Any] = check.table(item, _GRANT) if is_long else {"source": check.fixed(item)}
            source = entry.get("source")
            if source is None:
                hint = f"the name of a {kind} of this file"
                check.error("value", item.position, f"{item.name} needs a `source`", hint)
                continue
            check.refer(kind, source, item)
            default = f"/run/secrets/{source}" if kind == "secret" else f"/{source}"
            place: str = entry.get("target", default)
            entry["target"] = place if place.startswith("/") or kind == "config" else f"/run/secrets/{place}"
            if mounts.target(check, item, entry["target"]):
                result.append(entry)
        return result

    return Allow(read)


_OWNER = Ignore("the file is mounted as it is")
_GRANT: dict[str, Rule] = {
    "source": Allow(lambda check, node: check.fixed(node)),
    "target": Allow(lambda check, node: check.fixed(node)),
    "uid": _OWNER,
    "gid": _OWNER,
    "mode": _OWNER,
}

RULES: dict[str, Rule] = {
    **REFUSED,
    **IGNORED,
    **deploy.RULES,
    "image": Allow(typed(image_name)),
    "build": Allow(build, "building images runs programs of the file with more rights than a step"),
    "command": Allow(command),
    "entrypoint": Allow(command),
    "environment": Allow(pairs),
    "labels": Allow(labels),
    "depends_on": Allow(_depends_on),
    "links": Allow(_links),
    "networks": Allow(_networks),
    "network_mode": Allow(_network_mode),
    "ports": Allow(mounts.ports),
    "expose": Allow(texts),
    "volumes": Allow(mounts.volumes),
    "tmpfs": Allow(mounts.tmpfs),
    "configs": _grants("config"),
    "secrets": _grants("secret"),
    "healthcheck": Allow(_healthcheck),
    "working_dir": Allow(text),
    "user": Allow(text),
    "hostname": Allow(typed(matching(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?", _HOST_NAME))),
    "stop_signal": Allow(typed(matching(r"(SIG)?[A-Z0-9+]{2,12}|[0-9]{1,2}", "a signal such as `SIGTERM`"))),
    "stop_grace_period": Allow(_grace),
    "tty": Allow(typed(boolean)),
    "stdin_open": Allow(typed(boolean)),
    "read_only": Allow(typed(boolean)),
    "cap_drop": Allow(texts),
    "profiles": Allow(texts),
    "init": Allow(_init),
    "restart": Allow(_restart),
    "security_opt": Allow(_security_opt),
    "logging": Allow(_logging),
    "dns": Allow(texts, _MACHINE),
    "dns_search": Allow(texts, _MACHINE),
    "dns_opt": Allow(texts, _MACHINE),
    "extra_hosts": Allow(_extra_hosts, _MACHINE),
    "group_add": Allow(texts, "groups of the machine own devices and files"),
}
