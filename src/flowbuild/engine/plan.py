"""What a unit's compose file means to the engine: names, dependencies, order; and the file as compose gets it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flowbuild.engine.base import SERVICE_LABEL, UnitSpec

UNIT_LABEL = (
    "flow.unit"  # project of a container, network or volume; images lack it, so what is run from them lacks it too
)
IMAGE_LABEL = "flow.image"  # the one name under which a built image is ours

# The engine's default driver (json-file) replaces bytes that are not UTF-8; `local` keeps them. One huge file at most:
# what a rotation throws away before it was read is lost. How much a step may write is the runner's business.
LOGGING = {"driver": "local", "options": {"max-size": "8g", "max-file": "1", "compress": "false"}}

OWN_NETWORK_KEYS = frozenset({"name", "internal", "labels"})  # a network with more than these is left to compose


class Condition(StrEnum):
    """When a service that others depend on counts as ready."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class Dependency:
    """One entry of `depends_on`; when it is not `required` its failure does not matter."""

    service: str
    condition: Condition
    required: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Services by plain name: their key in the file and what they wait for. `builds`: some image must be built."""

    keys: Mapping[str, str]
    dependencies: Mapping[str, tuple[Dependency, ...]]
    builds: bool

    def stop_order(self) -> list[list[str]]:
        """Group services so that each group may be stopped once those before it have ended: dependents first."""
        left = dict(self.dependencies)
        order = []
        while left:
            needed = {dependency.service for entries in left.values() for dependency in entries}
            group = [service for service in left if service not in needed] or list(left)  # compose refuses cycles
            order.append(group)
            left = {service: entries for service, entries in left.items() if service not in group}
        return order


def make_plan(spec: UnitSpec) -> Plan:
    """Read services and dependencies out of the compose file of a unit."""
    services: Mapping[str, Mapping[str, Any]] = spec.compose.get("services") or {}
    plain = {key: labels_of(service).get(SERVICE_LABEL, key) for key, service in services.items()}
    return Plan(
        keys={name: key for key, name in plain.items()},
        dependencies={plain[key]: _dependencies(service, plain) for key, service in services.items()},
        builds=any(service.get("build") for service in services.values()),
    )


def _dependencies(service: Mapping[str, Any], plain: Mapping[str, str]) -> tuple[Dependency, ...]:
    entries = service.get("depends_on") or {}
    if not isinstance(entries, Mapping):
        entries = {key: {} for key in entries}
    return tuple(
        Dependency(plain[key], Condition(entry.get("condition", Condition.STARTED)), bool(entry.get("required", True)))
        for key, entry in entries.items()
        if key in plain  # an optional dependency may be missing altogether
    )


def labels_of(part: Mapping[str, Any]) -> dict[str, str]:
    """Return labels of a part of a compose file, which knows two forms of them."""
    labels = part.get("labels") or {}
    if isinstance(labels, Mapping):
        return {key: "" if value is None else str(value) for key, value in labels.items()}
    return {key: value for key, _, value in (str(label).partition("=") for label in labels)}


def own_networks(spec: UnitSpec) -> dict[str, bool]:
    """Return the private networks that the engine makes itself (by key: is it internal?), with a subnet of its choice.

    Compose would take one of the engine's default pools, and those end after some 30 networks per machine.
    """
    declared: Mapping[str, Mapping[str, Any] | None] = spec.compose.get("networks") or {}
    used = {name for service in (spec.compose.get("services") or {}).values() for name in _networks(service)}
    networks = {name: declared.get(name) or {} for name in sorted(used)}
    return {
        name: bool(definition.get("internal"))
        for name, definition in networks.items()
        if OWN_NETWORK_KEYS.issuperset(definition)
    }


def _networks(service: Mapping[str, Any]) -> tuple[str, ...]:
    if service.get("network_mode"):
        return ()
    return tuple(service.get("networks") or ("default",))


def has_only_containers(spec: UnitSpec) -> bool:
    """Whether a unit makes nothing but its containers: no network, no named volume, no image."""
    networks: Mapping[str, Mapping[str, Any] | None] = spec.compose.get("networks") or {}
    others_only = not own_networks(spec) and all((network or {}).get("external") for network in networks.values())
    return others_only and not spec.compose.get("volumes") and not make_plan(spec).builds


def network_name(spec: UnitSpec, key: str) -> str:
    """Return the name of a private network in the engine."""
    definition = (spec.compose.get("networks") or {}).get(key) or {}
    return str(definition.get("name") or f"{spec.project}_{key}")


def unit_labels(spec: UnitSpec) -> dict[str, str]:
    """Return the labels of all containers, networks and volumes of a unit."""
    return spec.labels.as_dict() | {UNIT_LABEL: spec.project}


def made_services(spec: UnitSpec) -> dict[str, dict[str, Any]]:
    """Return the services as they are made, by key: with our labels and a log driver."""
    services: Mapping[str, Mapping[str, Any]] = spec.compose.get("services") or {}
    return {key: _service(spec, key, service) for key, service in services.items()}


def document(spec: UnitSpec) -> bytes:
    """Return the file that compose reads: labels on all that it makes, values protected from interpolation."""
    labels = unit_labels(spec)
    file = dict(spec.compose)
    file["name"] = spec.project
    file["services"] = made_services(spec)
    file["volumes"] = {key: _labelled(volume, labels) for key, volume in (spec.compose.get("volumes") or {}).items()}
    networks = {key: _labelled(network, labels) for key, network in (spec.compose.get("networks") or {}).items()}
    file["networks"] = networks | {
        key: {"external": True, "name": network_name(spec, key)} for key in own_networks(spec)
    }
    text = json.dumps(file, ensure_ascii=False).replace("$", "$$")
    # Escapes of YAML: it does not know JSON's pairs for what is beyond U+FFFF, and folds some characters as line ends.
    return re.sub(r"[^\x00-\x7e]", lambda found: f"\\U{ord(found[0]):08x}", text).encode("ascii")


def _service(spec: UnitSpec, key: str, service: Mapping[str, Any]) -> dict[str, Any]:
    made = {"logging": LOGGING, **service, "labels": labels_of(service) | unit_labels(spec)}
    if service.get("build"):
        made["image"] = service.get("image") or f"{spec.project}-{key}"
        build = service["build"]
        build = dict(build) if isinstance(build, Mapping) else {"context": build}
        made["build"] = build | {"labels": labels_of(build) | spec.labels.as_dict() | {IMAGE_LABEL: made["image"]}}
    return made


def _labelled(part: Mapping[str, Any] | None, labels: dict[str, str]) -> dict[str, Any]:
    part = dict(part or {})
    return part if part.get("external") else part | {"labels": labels_of(part) | labels}
