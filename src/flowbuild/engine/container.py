"""Containers that need no planner: a unit of one ordinary service is one call of the Engine API (ADR 0040). Pure.

Starting compose costs more than creating the container. What is made here equals what compose makes of the same file;
a test holds the two next to each other. Whatever is not listed here is left to compose.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from flowbuild.engine.base import UnitSpec
from flowbuild.engine.plan import made_services

Body = dict[str, Any]

_COMPOSE = "com.docker.compose"
IMAGE_ID_LABEL = f"{_COMPOSE}.image"  # the id of the image; whoever asks the engine for it adds it
_SECONDS = re.compile(r"[0-9]{1,4}s")
_BIND = {"type", "source", "target", "read_only", "bind"}


class _Unknown(Exception):
    """Something that compose knows better."""


def _plain(kind: type) -> Callable[[Any], Any]:
    """Return the reader of values that the engine takes as they are."""

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise _Unknown
        return value

    return read


def _words(value: Any) -> list[str]:
    if not (isinstance(value, list) and value and all(isinstance(word, str) for word in value)):
        raise _Unknown  # text is split, nothing means the default of the image or none at all
    return value


def _only(*accepted: object) -> Callable[[Any], None]:
    """Return the reader of a key that changes nothing with these values."""

    def read(value: Any) -> None:
        if value not in accepted:
            raise _Unknown

    return read


def _cpus(value: Any) -> int:
    if not isinstance(value, int | float):
        raise _Unknown
    return round(value * 10**9)


def _grace(value: Any) -> int:
    if not _SECONDS.fullmatch(str(value)):
        raise _Unknown
    return int(value[:-1])


def _environment(value: Any) -> list[str]:
    if not (isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values())):
        raise _Unknown  # a name without a value is read from the environment of compose
    return [f"{name}={text}" for name, text in value.items()]


def _mounts(value: Any) -> list[Body]:
    mounts = []
    for entry in value:
        is_bind = isinstance(entry, Mapping) and entry.get("type") == "bind" and entry.keys() <= _BIND
        if not is_bind or entry.get("bind") != {"create_host_path": False}:
            raise _Unknown
        mount = {"Type": "bind", "Source": entry["source"], "Target": entry["target"], "BindOptions": {}}
        mounts.append(mount | ({"ReadOnly": True} if entry.get("read_only") else {}))
    return mounts


def _logging(value: Any) -> Body:
    return {"Type": value["driver"], "Config": value["options"]}


_CONFIG: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "command": ("Cmd", _words),
    "entrypoint": ("Entrypoint", _words),
    "environment": ("Env", _environment),
    "hostname": ("Hostname", _plain(str)),
    "stdin_open": ("OpenStdin", _plain(bool)),
    "stop_grace_period": ("StopTimeout", _grace),
    "stop_signal": ("StopSignal", _plain(str)),
    "tty": ("Tty", _plain(bool)),
    "user": ("User", _plain(str)),
    "working_dir": ("WorkingDir", _plain(str)),
}
_HOST: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "cap_drop": ("CapDrop", _words),
    "cpus": ("NanoCpus", _cpus),
    "init": ("Init", _plain(bool)),
    "logging": ("LogConfig", _logging),
    "mem_limit": ("Memory", _plain(int)),
    "mem_reservation": ("MemoryReservation", _plain(int)),
    "pids_limit": ("PidsLimit", _plain(int)),
    "read_only": ("ReadonlyRootfs", _plain(bool)),
    "security_opt": ("SecurityOpt", _words),
    "volumes": ("Mounts", _mounts),
}
_NEUTRAL: dict[str, Callable[[Any], None]] = {"pull_policy": _only("never"), "restart": _only("no")}
_ELSEWHERE = {"image", "labels", "networks", "network_mode"}


def container_name(spec: UnitSpec, key: str) -> str:
    """Return the name of a container in the engine: as compose gives it."""
    return f"{spec.project}-{key}-1"


def container_body(spec: UnitSpec) -> Body | None:
    """Return what the engine is asked to create, or None when compose has to do it."""
    services = made_services(spec)
    if len(services) != 1:
        return None
    [(key, service)] = services.items()
    if "image" not in service:
        return None
    try:
        config, host = _read(service, _CONFIG), _read(service, _HOST)
        network, endpoints = _network(spec, key, service)
        for name in service.keys() - _CONFIG.keys() - _HOST.keys() - _ELSEWHERE:
            _NEUTRAL.get(name, _only())(service[name])
    except _Unknown:
        return None
    body = {
        **config,
        "Image": service["image"],
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {**host, "NetworkMode": network, "RestartPolicy": {"Name": "no"}},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    }
    return body | {"Labels": {**service["labels"], **_compose_labels(spec, key, body)}}


def _read(service: Mapping[str, Any], table: Mapping[str, tuple[str, Callable[[Any], Any]]]) -> Body:
    return {name: read(service[key]) for key, (name, read) in table.items() if key in service}


def _network(spec: UnitSpec, key: str, service: Mapping[str, Any]) -> tuple[str, Body]:
    """Return the network and how to join it: none, or one that exists already, with the aliases that compose gives.

    A network across machines may be unknown to this one; the engine looks for it when it starts the container.
    """
    attachments = [attachment for each in spec.attachments.values() for attachment in each]
    if "network_mode" in service:
        _only("none")(service["network_mode"])
        if len(attachments) > 1:
            raise _Unknown
        for attachment in attachments:
            aliases = {"Aliases": list(attachment.aliases), "IPAMConfig": {}}
            return attachment.network, {attachment.network: aliases}
        return "none", {}
    if attachments:
        raise _Unknown
    declared = spec.compose.get("networks") or {}
    joined = service.get("networks") or {}
    if len(joined) != 1 or not isinstance(joined, Mapping) or any(joined.values()):
        raise _Unknown
    network = declared.get(next(iter(joined))) or {}
    if network.keys() != {"external", "name"}:
        raise _Unknown
    name = str(network["name"])
    return name, {name: {"Aliases": [container_name(spec, key), key], "IPAMConfig": {}}}


def _compose_labels(spec: UnitSpec, key: str, body: Body) -> dict[str, str]:
    """Return the labels by which `docker compose ls`, `ps` and `logs` find a container."""
    return {
        f"{_COMPOSE}.project": spec.project,
        f"{_COMPOSE}.service": key,
        f"{_COMPOSE}.container-number": "1",
        f"{_COMPOSE}.oneoff": "False",
        f"{_COMPOSE}.depends_on": "",
        f"{_COMPOSE}.project.config_files": "-",
        f"{_COMPOSE}.project.working_dir": "/dev/null",
        f"{_COMPOSE}.config-hash": hashlib.sha256(json.dumps(body).encode()).hexdigest(),
    }
