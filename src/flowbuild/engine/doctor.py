"""What is on this machine, and what a person should do when something is missing or too old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from flowbuild.core.errors import EngineError
from flowbuild.engine import process
from flowbuild.engine.api import Api
from flowbuild.engine.base import EngineInfo

ENGINE_FLOOR = (20, 10)
COMPOSE_FLOOR = (2, 20)  # depends_on.required, --no-recreate with --pull; 2.26 is what is tested
COMPOSE_ADVICE = "install docker compose v2 (Debian: docker-compose-v2 or docker-compose-plugin)"
TOOL_SECONDS = 30.0


def version_of(text: str) -> tuple[int, int]:
    """Return major and minor of "2.26.1-4" or "v20.10.24+dfsg1"; (0, 0) when it is no version."""
    parts = text.strip().lstrip("v").split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (IndexError, ValueError):
        return 0, 0


async def examine(api: Api, compose: Sequence[str], env: Mapping[str, str]) -> EngineInfo:
    """Ask engine and compose. Raises EngineError with advice when the product cannot work with them."""
    facts = await engine_facts(api)
    swarm = facts.get("Swarm") or {}
    node = str(swarm.get("NodeID") or "") if swarm.get("LocalNodeState") == "active" else ""
    return EngineInfo(
        name=str(facts["Name"]),
        engine_version=str(facts["ServerVersion"]),
        compose_version=await compose_version(compose, env),
        cpus=int(facts["NCPU"]),
        memory_bytes=int(facts["MemTotal"]),
        warnings=tuple(_warnings(facts)),
        os=str(facts.get("OSType", "")),
        arch=str(facts.get("Architecture", "")),
        node=node,
        role=("manager" if swarm.get("ControlAvailable") else "worker") if node else "",
        labels=dict(str(label).partition("=")[::2] for label in facts.get("Labels") or ()),
        generic=generic_amounts(facts.get("GenericResources") or ()),
    )


def generic_amounts(told: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
    """Return how much there is of each kind of generic resource: numbers are added, named ones are counted.

    Source: GenericResources in the Docker Engine API.
    """
    amounts: Counter[str] = Counter()
    for entry in told:
        if (number := entry.get("DiscreteResourceSpec")) is not None:
            amounts[str(number["Kind"])] += int(number["Value"])
        elif (named := entry.get("NamedResourceSpec")) is not None:
            amounts[str(named["Kind"])] += 1
    return dict(amounts)


async def engine_facts(api: Api) -> Mapping[str, Any]:
    """Return what the engine says about itself; raises EngineError when it is too old, or does not answer."""
    facts: Mapping[str, Any] = await api.call("GET", "info", seconds=20)
    version = str(facts["ServerVersion"])
    if version_of(version) < ENGINE_FLOOR:
        raise EngineError(
            f"Docker Engine {version} is too old; {ENGINE_FLOOR[0]}.{ENGINE_FLOOR[1]:02d} is the oldest that works",
            hint="upgrade Docker Engine",
        )
    return facts


async def compose_version(compose: Sequence[str], env: Mapping[str, str]) -> str:
    """Return the version of compose; raises EngineError when it is missing, broken or too old."""
    try:
        done = await process.run([*compose, "version", "--short"], env=env, seconds=TOOL_SECONDS)
    except process.TimedOut:
        raise
    except EngineError as error:
        raise EngineError("docker compose is not installed", hint=COMPOSE_ADVICE) from error
    if done.code or not done.lines:
        raise EngineError(f"docker compose v2 does not work: {done.text or 'no output'}", hint=COMPOSE_ADVICE)
    version = done.lines[-1].lstrip("v")
    if version_of(version) < COMPOSE_FLOOR:
        raise EngineError(f"docker compose {version} is too old; 2.20 is the oldest that works", hint=COMPOSE_ADVICE)
    return version


def _warnings(facts: Mapping[str, Any]) -> list[str]:
    warnings = [str(warning).removeprefix("WARNING: ") for warning in facts.get("Warnings") or ()]
    if not facts.get("MemoryLimit", True):
        warnings.append("the engine cannot limit memory: steps can take all of it")
    if "local" not in (facts.get("Plugins") or {}).get("Log", ["local"]):
        warnings.append("the log driver `local` is missing: binary output of steps will be changed")
    return warnings
