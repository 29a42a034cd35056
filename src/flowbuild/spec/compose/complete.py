"""The last checks, which need all services together, and the canonical model that comes out of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowbuild.spec.compose.checker import Check, Reference, did_you_mean
from flowbuild.spec.compose.files import Service
from flowbuild.spec.compose.merge import by_target, unique
from flowbuild.spec.compose.mounts import published
from flowbuild.spec.compose.tree import Node

_SECTION = {"network": "networks", "volume": "volumes", "config": "configs", "secret": "secrets"}
_DROPPED = ("links", "profiles", "scale", "_env_file")


def complete(check: Check, project: Mapping[str, Any], root: Node) -> dict[str, Any]:
    """Return the canonical model: services that run, every name in them defined."""
    services: dict[str, Service] = project["services"]
    running = {name: service for name, service in services.items() if not service.data.get("profiles")}
    for name in services.keys() - running.keys():
        message = f"the service `{name}` is left out: it belongs to a profile, and no profile is active here"
        check.warn("ignored", services[name].position, message, "remove `profiles` to run it")
    if not running:
        check.error("value", root.position, "there is no service to run", "add one under `services:`")
    for name, service in running.items():
        for reference in service.references:
            _defined(check, reference, project, running)
        _consistent(check, name, service)
    model = {section: dict(project[section]) for section in ("networks", "volumes", "configs", "secrets")}
    model = {"services": {name: _service(check, service) for name, service in running.items()}, **model}
    _link(model["services"], running)
    _no_cycle(check, model["services"], running)
    return model


def _defined(check: Check, reference: Reference, project: Mapping[str, Any], running: Mapping[str, Service]) -> None:
    """Check that what a service refers to exists."""
    what, wanted = reference.kind, reference.name
    known = set(running) if what == "service" else set(project[_SECTION[what]])
    if wanted in known or (what == "network" and wanted == "default"):
        return
    hint = did_you_mean(wanted, known)
    if what == "service" and wanted in project["services"]:
        hint = "it belongs to a profile, and no profile is active here"
    elif not hint and what != "service":
        hint = f"declare it under `{_SECTION[what]}:` of this file"
    check.error("reference", reference.position, f"there is no {what} `{wanted[:60]}`", hint)


def _consistent(check: Check, name: str, service: Service) -> None:
    data, place = service.data, service.position
    if "image" not in data and "build" not in data:
        check.error("value", place, f"the service `{name}` has neither `image` nor `build`", "say which image it runs")
    if "network_mode" in data and "networks" in data:
        check.error("value", place, f"the service `{name}` has both `network_mode` and `networks`", "keep one")
    if "network_mode" in data and ("ports" in data or "hostname" in data):
        message = f"the service `{name}` has no network of its own, so it cannot have `ports` or `hostname`"
        check.error("value", place, message, "remove them")
    limits = data.get("deploy", {}).get("resources", {}).get("limits", {})
    for own, other in (("mem_limit", "memory"), ("cpus", "cpus"), ("pids_limit", "pids")):
        if own in data and limits.get(other, data[own]) != data[own]:
            message = f"the service `{name}`: `{own}` and `deploy.resources.limits.{other}` say different things"
            check.error("value", place, message, "keep one")


def _service(check: Check, service: Service) -> dict[str, Any]:
    """Return a service of the model, what the trust class changes applied."""
    data = {key: value for key, value in service.data.items() if key not in _DROPPED}
    environment = {**service.data.get("_env_file", {}), **data.get("environment", {})}
    if environment:
        data["environment"] = environment
    if "ports" in data and not check.trusted:
        message = "ports are not published on the machine: services of the run reach them as `<service>.<step>`"
        check.warn("ignored", service.position, message)
        data["expose"] = unique([*data.get("expose", []), *published(data.pop("ports"))])
    if "volumes" in data:
        data["volumes"] = by_target(data["volumes"])
    return data


def _link(services: dict[str, Any], running: Mapping[str, Service]) -> None:
    """Express `links` as dependencies and aliases."""
    for name, service in running.items():
        for alias, wanted in service.data.get("links", {}).items():
            if wanted not in services:
                continue
            before = services[name].get("depends_on", {})
            services[name]["depends_on"] = {wanted: {"condition": "service_started"}, **before}
            if alias != wanted and "network_mode" not in services[wanted]:
                attached = services[wanted].get("networks") or {"default": {}}
                services[wanted]["networks"] = {
                    network: {**entry, "aliases": unique([*entry.get("aliases", []), alias])}
                    for network, entry in attached.items()
                }


def dependencies(service: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the services that must be there before `service`."""
    mode = service.get("network_mode", "")
    shared = (mode.removeprefix("service:"),) if mode.startswith("service:") else ()
    return (*service.get("depends_on", {}), *shared)


def _no_cycle(check: Check, services: Mapping[str, Any], running: Mapping[str, Service]) -> None:
    """Find a circle of dependencies, by leaving out what depends on nothing that is left."""
    left = {name: set(dependencies(service)) for name, service in services.items()}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    if not left:
        return
    way = [next(iter(left))]
    while (following := next(name for name in left if name in left[way[-1]])) not in way:
        way.append(following)
    way = [*way[way.index(following) :], following]
    place = next(known.position for known in running[way[0]].references if known.name == way[1])
    check.error("cycle", place, f"services depend on each other: {' → '.join(way)}", "break the circle")
