"""Questions to a canonical model: what decides, what must be pulled, what it reads and where it must run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowbuild.core.model import Position
from flowbuild.core.placement import Amounts, Constraint, Needs
from flowbuild.spec.compose import interpolate, scalars
from flowbuild.spec.compose.checker import did_you_mean
from flowbuild.spec.compose.complete import dependencies
from flowbuild.spec.compose.tree import confined
from flowbuild.spec.findings import Finding

Model = Mapping[str, Any]


def main_services(model: Model, declared: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the services whose end decides: those declared, or those that no other service depends on."""
    if declared:
        return tuple(declared)
    services = model["services"]
    needed = {name for service in services.values() for name in dependencies(service)}
    return tuple(name for name in services if name not in needed)


def check_main(model: Model, declared: Sequence[str], position: Position) -> list[Finding]:
    """Return a finding at `position` for each declared main service that the file does not have, or that repeats."""
    known = tuple(model["services"])
    findings = []
    for index, name in enumerate(declared):
        if name not in known:
            hint = did_you_mean(name, known) or f"services are: {', '.join(known)}"
            findings.append(Finding("compose_main", position, f"there is no service `{name[:60]}`", hint))
        elif name in declared[:index]:
            findings.append(Finding("compose_main", position, f"the service `{name}` is named twice", "name it once"))
    return findings


def images(model: Model, variables: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the references to pull, variables replaced. Images that the file itself builds are not among them.

    Raises interpolate.MissingVariable (a ValueError) when a reference needs a variable that is not set.
    """
    values = variables or {}
    built = built_names(model, values)
    wanted = (
        interpolate.substitute(service["image"], values)
        for service in model["services"].values()
        if "build" not in service
    )
    return tuple(dict.fromkeys(name for name in wanted if name not in built))


def built_names(model: Model, variables: Mapping[str, str]) -> dict[str, str]:
    """Return which service builds the image that the file calls by a name: `image` beside `build`."""
    return {
        interpolate.substitute(service["image"], variables): name
        for name, service in model["services"].items()
        if "build" in service and "image" in service
    }


def variables_used(model: Model) -> tuple[str, ...]:
    """Return the names of all variables that the model reads, in order of appearance."""
    found = [name for text in _strings(model) for name in interpolate.names(text)]
    passed = [
        name
        for service in model["services"].values()
        for values in (service.get("environment", {}), service.get("build", {}).get("args", {}))
        for name, value in values.items()
        if value is None
    ]
    return tuple(dict.fromkeys([*found, *passed]))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def published_ports(model: Model) -> dict[str, list[Any]]:
    """Return the ports that are published on the machine, by service; none in an untrusted model."""
    return {name: service["ports"] for name, service in model["services"].items() if service.get("ports")}


def mount_paths(model: Model) -> tuple[str, ...]:
    """Return the paths of the workspace that `volumes` mount; the runner makes a directory where one is missing."""
    mounts = [entry for service in model["services"].values() for entry in service.get("volumes", ())]
    return tuple(dict.fromkeys(confined("", entry["source"]) for entry in mounts if entry["type"] == "bind"))


def bind_paths(model: Model) -> tuple[str, ...]:
    """Return every path of the workspace that the engine reads, relative to the workspace; "." is itself.

    Those of `mount_paths` and `read_paths`. Before `create` the runner checks that the real path of each stays inside
    the workspace.
    """
    return tuple(dict.fromkeys([*mount_paths(model), *read_paths(model)]))


def read_paths(model: Model) -> tuple[str, ...]:
    """Return the paths of the workspace that become part of the step: build contexts, Dockerfiles, configs, secrets."""
    found: list[str] = []
    for service in model["services"].values():
        build = service.get("build")
        if build is not None:
            context = confined("", build["context"])
            found.append(context)
            found.append(confined(context, build.get("dockerfile", "Dockerfile")))
            found += build.get("additional_contexts", {}).values()
    for section in ("configs", "secrets"):
        found += [entry["file"] for entry in model[section].values() if "file" in entry]
    return tuple(dict.fromkeys(confined("", path) for path in found))


def dockerfiles(model: Model) -> dict[str, tuple[str, ...]]:
    """Return where the Dockerfile of each service that is built may be in the workspace; the first that is there counts.

    The runner checks and copies them: an engine reads a file only when it builds, and runs the image that the file may
    name for that (see `dockerfile_problem`).
    """
    found = {}
    for name, service in model["services"].items():
        build = service.get("build")
        if build is not None and "dockerfile_inline" not in build:
            names = (build["dockerfile"],) if "dockerfile" in build else ("Dockerfile", "dockerfile")
            found[name] = tuple(confined(confined("", build["context"]), file) for file in names)
    return found


def inline_files(model: Model, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the text of configs that stand in the file, by name.

    The runner writes them to `EmitContext.files`/<name>: compose would copy them in `up` only, not in `create`.
    """
    return {
        name: interpolate.substitute(entry["content"], variables or {})
        for name, entry in model["configs"].items()
        if "content" in entry
    }


def needs(model: Model, variables: Mapping[str, str] | None = None) -> Needs:
    """Return what the step asks of a machine, variables replaced; all its services run on one.

    Raises ValueError, also as interpolate.MissingVariable, when that says nothing once they are.
    """
    constraints: dict[Constraint, None] = {}
    amounts = Amounts()
    for service in model["services"].values():
        asked = {key: service[key] for key in ("deploy", "mem_reservation") if key in service}
        asked = interpolate.map_strings(asked, lambda text: interpolate.substitute(text, variables or {}))
        deploy = asked.get("deploy", {})
        for text in deploy.get("placement", {}).get("constraints", ()):
            constraints[Constraint.parse(text)] = None
        reserved = deploy.get("resources", {}).get("reservations", {})
        memory = reserved.get("memory", asked.get("mem_reservation"))
        generic: Counter[str] = Counter()
        for each in reserved.get("generic_resources", ()):
            generic[each["kind"]] += int(each["value"])
        amounts += Amounts(float(reserved.get("cpus") or 0), scalars.size(memory or 0), dict(generic))
    return Needs(tuple(constraints), amounts, len(model["services"]))
