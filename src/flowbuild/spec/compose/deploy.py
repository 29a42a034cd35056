"""`deploy`, `gpus` and the other keys that say how much of a machine a service needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowbuild.core.placement import Constraint
from flowbuild.spec.compose.checker import Allow, Check, Ignore, Rule
from flowbuild.spec.compose.scalars import integer, matching, number, one_of, pairs, size, swap, text, texts, typed
from flowbuild.spec.compose.tree import Node

MAX_PIDS = 4096
_BEYOND = "an untrusted run may limit itself, nothing else"
_SWARM = "a step is not a Swarm service"
_GPU = "it uses devices of the machine"
_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice"),
    *("nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
)


def _nested(rules: dict[str, Rule], untrusted: str = "") -> Allow:
    return Allow(lambda check, node: check.table(node, rules), untrusted)


def devices(check: Check, node: Node) -> list[dict[str, Any]] | None:
    """Read a list of requests for GPUs; `all` stands for one request of everything."""
    if node.value == "all":
        return [{"count": -1, "capabilities": ["gpu"]}]
    if not check.is_list(node):
        return None
    found = [check.table(item, _DEVICE) for item in node.elements()]
    return [{"capabilities": ["gpu"], **entry} for entry in found]


def _count(value: Any) -> int:
    return -1 if value == "all" else integer(-1, 64)(value)


def _capabilities(check: Check, node: Node) -> list[str] | None:
    found = texts(check, node)
    for name in found or ():
        if name not in ("gpu", "compute", "utility", "video", "graphics", "display", "nvidia"):
            check.error("refused", node.position, f"{node.name}: the capability `{name[:40]}` is refused", "use `gpu`")
    return found


def _constraints(check: Check, node: Node) -> list[str] | None:
    if not check.is_list(node):
        return None
    found = [check.typed(item, _constraint) for item in node.elements()]
    return [each for each in found if each is not None]


def _constraint(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 (parsers raise ValueError)
    return str(Constraint.parse(value))


def _generic(check: Check, node: Node) -> list[dict[str, Any]] | None:
    """Read a list of generic resources as `{kind, value}`; the same kind may come several times."""
    if not check.is_list(node):
        return None
    found = []
    for item in node.elements():
        told = check.table(item, {"discrete_resource_spec": _nested(_DISCRETE)}).get("discrete_resource_spec", {})
        if len(told) == len(_DISCRETE):
            found.append(told)
        else:
            check.error("value", item.position, f"{item.name} needs `discrete_resource_spec` with `kind` and `value`")
    return found


_DISCRETE: dict[str, Rule] = {
    "kind": Allow(typed(matching(r"[A-Za-z0-9_.-]{1,64}", "a word such as `GPU`"))),
    "value": Allow(typed(integer(1, 1_000_000))),
}
_DEVICE: dict[str, Rule] = {
    "capabilities": Allow(_capabilities),
    "driver": Allow(typed(one_of("nvidia", "amd"))),
    "count": Allow(typed(_count)),
    "device_ids": Allow(texts),
    "options": Allow(pairs),
}
_AMOUNT: dict[str, Rule] = {"cpus": Allow(typed(number(0, 1024))), "memory": Allow(typed(size))}
_RULES: dict[str, Rule] = {
    "resources": _nested(
        {
            "limits": _nested({**_AMOUNT, "pids": Allow(typed(integer(1, MAX_PIDS)))}),
            "reservations": _nested(
                {**_AMOUNT, "devices": Allow(devices, _GPU), "generic_resources": Allow(_generic, _GPU)},
            ),
        }
    ),
    "placement": _nested(
        {
            "constraints": Allow(_constraints),
            "preferences": Ignore(_SWARM),
            "max_replicas_per_node": Ignore(_SWARM),
        },
        _BEYOND,
    ),
    "replicas": Allow(typed(integer(1, 1)), _BEYOND),
    "mode": Allow(typed(one_of("replicated", "replicated-job")), _BEYOND),
    "restart_policy": Ignore("a step that ended stays ended; use `retry` of the step"),
    "update_config": Ignore(_SWARM),
    "rollback_config": Ignore(_SWARM),
    "endpoint_mode": Ignore(_SWARM),
    "labels": Ignore(_SWARM),
}


def deploy(check: Check, node: Node) -> dict[str, Any]:
    """Read `deploy`: limits, reservations and placement; the rest is about Swarm services."""
    found = check.table(node, _RULES)
    return {key: found[key] for key in ("resources", "placement") if key in found}


def ulimits(check: Check, node: Node) -> dict[str, Any] | None:
    """Read `ulimits`: a number, or soft and hard."""
    if not check.is_mapping(node):
        return None
    result: dict[str, Any] = {}
    for key, item in node.items():
        if key not in _ULIMITS:
            check.error(
                "unknown_key", item.key_position, f"unknown key `{item.name[:120]}`", f"one of {', '.join(_ULIMITS)}"
            )
        elif isinstance(item.value, Mapping):
            both = check.table(item, {"soft": Allow(typed(_LIMIT)), "hard": Allow(typed(_LIMIT))})
            if len(both) == 2:
                result[key] = both
            else:
                check.error("value", item.position, f"{item.name} needs both `soft` and `hard`")
        elif (limit := check.typed(item, _LIMIT)) is not None:
            result[key] = {"soft": limit, "hard": limit}
    return result


_LIMIT = integer(-1, 2**31 - 1)

RULES: dict[str, Rule] = {
    "deploy": Allow(deploy),
    "gpus": Allow(devices, _GPU),
    "ulimits": Allow(ulimits),
    "cpus": Allow(typed(number(0, 1024))),
    "cpu_shares": Allow(typed(integer(0, 262144))),
    "cpu_quota": Allow(typed(integer(0, 10**9))),
    "cpu_period": Allow(typed(integer(0, 10**6))),
    "cpuset": Allow(typed(matching(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", "a list of processors such as `0-2,4`"))),
    "mem_limit": Allow(typed(size)),
    "mem_reservation": Allow(typed(size)),
    "memswap_limit": Allow(typed(swap)),
    "mem_swappiness": Allow(typed(integer(0, 100))),
    "pids_limit": Allow(typed(integer(1, MAX_PIDS))),
    "shm_size": Allow(typed(size)),
    "platform": Allow(text),
    "scale": Allow(typed(integer(1, 1))),
}
