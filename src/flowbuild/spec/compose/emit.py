"""Our own compose file, written from a canonical model: the only one that the engine ever sees.

Naming of services: compose makes the key of a service an alias on every network it is attached to, and the engine adds
the host name. On the network of a run, shared by parallel steps, a plain `db` would then answer for all of them
(measured: two addresses, taken in turn). So services are keyed `<service>.<step>` here, which is also what other steps
call them; the plain name is an alias on the private network only. The host name `<service>.<step>` makes the engine
write the plain name into the container's own /etc/hosts, which is enough for a step of one service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowbuild.core.model import Position
from flowbuild.spec.compose import interpolate
from flowbuild.spec.compose.checker import Check
from flowbuild.spec.compose.complete import complete
from flowbuild.spec.compose.files import Files
from flowbuild.spec.compose.model import built_names, main_services
from flowbuild.spec.compose.scalars import seconds
from flowbuild.spec.compose.service import BUILT, MAX_GRACE
from flowbuild.spec.compose.tree import Source, confined
from flowbuild.spec.findings import Finding, InvalidFile, has_errors

SERVICE_LABEL = "flow.service"
PIDS_LIMIT = 512
_RUN = "flow.run"  # key of the network of the run
_MAX_HOSTNAME = 63
_DROPPED_CAPABILITIES = ("NET_RAW", "MKNOD", "AUDIT_WRITE")
_KEPT = (  # what is written as it stands in the model
    *("command", "entrypoint", "working_dir", "user", "tty", "stdin_open", "read_only", "healthcheck", "stop_signal"),
    *("ports", "expose", "dns", "dns_search", "dns_opt", "extra_hosts", "group_add", "platform"),
    *("cpu_shares", "cpu_quota", "cpu_period", "cpuset", "memswap_limit", "mem_swappiness", "shm_size"),
    *("tmpfs", "ulimits"),
)


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or file of the machine that every service sees at `target`, read-only."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class EmitContext:
    """What the runner adds to a model. Paths are absolute paths of the machine whose engine runs the step.

    `network` is the run's network, which exists already; with `across` it is one across machines, and the file does not name it:
    what makes containers may not know it yet, and `joining` tells who is to join it then. `main_environment` holds variables and secrets for main
    services, `flow_environment` the FLOW_* values for all. `variables` are what `${NAME}` in the file may read.
    `image_digests` maps references (see `images`) to what is run instead. `files` is the directory of `inline_files`,
    `dockerfiles` holds by service the checked copy of a Dockerfile that stands in the workspace.
    """

    project: str
    step: str
    labels: Mapping[str, str]
    network: str
    workspace: str
    variables_dir: str
    files: str = ""
    dockerfiles: Mapping[str, str] = field(default_factory=dict)
    main: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    main_environment: Mapping[str, str] = field(default_factory=dict)
    flow_environment: Mapping[str, str] = field(default_factory=dict)
    image_digests: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False
    across: bool = False


def service_key(service: str, step: str) -> str:
    """Return the key of a service in the emitted file: also its name on the network of the run."""
    return f"{service}.{step}"


def emit(model: Mapping[str, Any], context: EmitContext) -> dict[str, Any]:
    """Return the whole file for `docker compose create`; its values are literal, `$` means nothing in them any more.

    Variables are replaced and the result is checked once more, for the trust class of the context: a variable may come
    from a step. Raises InvalidFile with findings that name the value; their place is the top of the file.
    """
    resolved = _resolve(model, context)
    services = resolved["services"]
    own = _private_networks(services)
    builds = built_names(resolved, {})
    result: dict[str, Any] = {
        "name": context.project,
        "services": {
            service_key(name, context.step): _service(name, resolved, context, own, builds) for name in services
        },
        "networks": {} if context.across else {_RUN: {"external": True, "name": context.network}},
    }
    for name in own:
        internal = {"internal": True} if resolved["networks"].get(name, {}).get("internal") else {}
        result["networks"][name] = {**internal, "labels": dict(context.labels)}
    if resolved["volumes"]:
        result["volumes"] = {name: {"labels": dict(context.labels)} for name in resolved["volumes"]}
    return result


def joining(model: Mapping[str, Any], step: str) -> dict[str, str]:
    """Return the services that are on the network of the run, with their names there."""
    return {
        name: service_key(name, step) for name, service in model["services"].items() if "network_mode" not in service
    }


def _resolve(model: Mapping[str, Any], context: EmitContext) -> dict[str, Any]:
    """Replace variables and check the result."""
    place = Position("compose", 1, 1)
    findings: list[Finding] = []
    resolved: dict[str, Any] = {section: {} for section in model}
    for section, entries in model.items():
        for name, entry in entries.items():
            try:
                filled = _passed(entry, context.variables) if section == "services" else entry
                resolved[section][name] = interpolate.map_strings(
                    filled, lambda text: interpolate.substitute(text, context.variables)
                )
            except ValueError as error:
                hint = "declare it under `variables:` of the pipeline, or as an input"
                findings.append(Finding("compose_variable", place, f"{section}.{name}: {error}", hint))
    if not findings:
        check = Check(trusted=context.trusted, final=True)
        root = Source(place.file, "", lambda _path, _key: place, resolved).top
        resolved = complete(check, Files(lambda _path: None, check).project(root), root)
        findings = list(check.findings)
    if has_errors(findings):
        raise InvalidFile(findings)
    return resolved


def _passed(service: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Give names without a value the value of the variable, or leave them out: `environment: [CI]`."""
    result = dict(service)
    if "environment" in result:
        result["environment"] = _filled(result["environment"], variables)
    if "args" in result.get("build", {}):
        result["build"] = {**result["build"], "args": _filled(result["build"]["args"], variables)}
    return result


def _filled(values: Mapping[str, str | None], variables: Mapping[str, str]) -> dict[str, str]:
    known = {name: interpolate.escape(variables[name]) for name in values if name in variables}
    return {
        name: known[name] if value is None else value
        for name, value in values.items()
        if value is not None or name in known
    }


def _private_networks(services: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the networks of the step itself: none when it has one service only, which would be alone there."""
    if len(services) == 1:
        return ()
    attached = [
        service.get("networks") or {"default": {}} for service in services.values() if "network_mode" not in service
    ]
    return tuple(dict.fromkeys(name for networks in attached for name in networks))


def _service(
    name: str, model: Mapping[str, Any], context: EmitContext, own: tuple[str, ...], builds: Mapping[str, str]
) -> dict[str, Any]:
    service = model["services"][name]
    is_main = name in main_services(model, context.main)
    environment = {**(context.main_environment if is_main else {}), **service.get("environment", {})}
    result = {key: service[key] for key in _KEPT if key in service}
    result |= _image(name, service, context, builds)
    result |= _limits(service, context)
    result |= _network(name, service, context, own)
    result["environment"] = {**environment, **context.flow_environment}
    result["labels"] = {**service.get("labels", {}), **context.labels, SERVICE_LABEL: name}
    result["volumes"] = _mounts(service, model, context)
    if is_main:
        result.setdefault("working_dir", "/workspace")
    if "depends_on" in service:
        result["depends_on"] = {service_key(key, context.step): entry for key, entry in service["depends_on"].items()}
    return result


def _image(name: str, service: Mapping[str, Any], context: EmitContext, builds: Mapping[str, str]) -> dict[str, Any]:
    """Return where the image comes from. What is built gets a name of ours: a tag of the user would poison later runs."""
    if "build" not in service:
        reference = service["image"]
        if reference in builds:
            return {"image": built_image(builds[reference], context.project)}
        return {"image": context.image_digests.get(reference, reference), "pull_policy": "never"}
    build = dict(service["build"])
    build["context"] = _below(context.workspace, build["context"])
    for key, path in build.get("additional_contexts", {}).items():
        build["additional_contexts"] = {**build["additional_contexts"], key: _below(context.workspace, path)}
    if name in context.dockerfiles:
        build["dockerfile"] = context.dockerfiles[name]
    build["labels"] = {**build.get("labels", {}), **context.labels}
    return {"image": built_image(name, context.project), "build": build}


def built_image(service: str, project: str) -> str:
    """Return the name of the image that a step builds for one of its services."""
    return f"{BUILT}{project.lower()}:{service}"


def _limits(service: Mapping[str, Any], context: EmitContext) -> dict[str, Any]:
    """Return what is always forced, and limits of the user.

    Amounts of `deploy.resources` are written as keys of the service: compose refuses a file in which both appear.
    """
    resources = service.get("deploy", {}).get("resources", {})
    limits, reserved = resources.get("limits", {}), resources.get("reservations", {})
    dropped = list(_DROPPED_CAPABILITIES) if context.trusted else ["ALL"]
    result: dict[str, Any] = {
        "init": True,
        "restart": "no",
        "security_opt": ["no-new-privileges:true"],
        "cap_drop": list(dict.fromkeys([*dropped, *service.get("cap_drop", [])])),
        "pids_limit": service.get("pids_limit", limits.get("pids", PIDS_LIMIT)),
        "stop_grace_period": f"{min(seconds(service.get('stop_grace_period', '10s')), MAX_GRACE):g}s",
    }
    amounts = {
        "cpus": limits.get("cpus"),
        "mem_limit": limits.get("memory"),
        "mem_reservation": reserved.get("memory"),
    }
    result |= {key: service.get(key, value) for key, value in amounts.items() if service.get(key, value) is not None}
    devices = [*reserved.get("devices", []), *service.get("gpus", [])]
    if devices:
        result["deploy"] = {"resources": {"reservations": {"devices": devices}}}
    return result


def _network(name: str, service: Mapping[str, Any], context: EmitContext, own: tuple[str, ...]) -> dict[str, Any]:
    mode = service.get("network_mode", "")
    if mode.startswith("service:"):
        return {"network_mode": f"service:{service_key(mode.removeprefix('service:'), context.step)}"}
    if mode:
        return {"network_mode": mode}
    networks: dict[str, Any] = {} if context.across else {_RUN: {}}
    for network, entry in (service.get("networks") or {"default": {}}).items():
        if network in own:
            aliases = dict.fromkeys(
                [name, *([service["hostname"]] if "hostname" in service else []), *entry.get("aliases", [])]
            )
            networks[network] = {"aliases": list(aliases)}
    attached = {"networks": networks} if networks else {"network_mode": "none"}  # until it is joined to that of the run
    hostname = service_key(service.get("hostname", name), context.step)
    if len(hostname) > _MAX_HOSTNAME:
        return {**attached, "extra_hosts": [*service.get("extra_hosts", []), f"{name}=127.0.0.1"]}
    return {**attached, "hostname": hostname}


def _mounts(service: Mapping[str, Any], model: Mapping[str, Any], context: EmitContext) -> list[dict[str, Any]]:
    """Return all mounts in long form. A bind never makes its source: that would follow links planted in the workspace."""
    mounts = [_bind(context.workspace, "/workspace"), _bind(context.variables_dir, "/variables")]
    mounts += [_bind(mount.source, mount.target, read_only=True) for mount in context.mounts]
    for entry in service.get("volumes", ()):
        if entry["type"] != "bind":
            mounts.append(entry)
        elif entry["target"].rstrip("/") != "/workspace":  # the whole workspace is there already
            source = _below(context.workspace, entry["source"])
            mounts.append(_bind(source, entry["target"], read_only=entry.get("read_only", False)))
    for section in ("configs", "secrets"):
        for grant in service.get(section, ()):
            defined = model[section][grant["source"]]
            source = (
                _below(context.workspace, defined["file"])
                if "file" in defined
                else f"{context.files}/{grant['source']}"
            )
            mounts.append(_bind(source, grant["target"], read_only=True))
    return mounts


def _bind(source: str, target: str, *, read_only: bool = False) -> dict[str, Any]:
    readable = {"read_only": True} if read_only else {}
    return {"type": "bind", "source": source, "target": target, **readable, "bind": {"create_host_path": False}}


def _below(top: str, path: str) -> str:
    """Return the path of the machine for a path of the workspace; `confined` removes every `..` once more."""
    inside = confined("", path)
    return top if inside == "." else f"{top.rstrip('/')}/{inside}"
