"""Starting services in the order of `depends_on`, and waiting for its conditions without ever hanging on a dead one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from flowbuild.core.errors import StepFailed
from flowbuild.core.states import Outcome, Reason
from flowbuild.engine import binds
from flowbuild.engine.api import Api, EngineRefused, together
from flowbuild.engine.base import Unit, Verdict
from flowbuild.engine.observe import States, inspected, observed
from flowbuild.engine.plan import Condition, Dependency, Plan
from flowbuild.engine.verdict import ContainerState, judge, not_let_in

JOIN_TRIES = 3  # an engine that was just restarted is deaf to its Swarm for half a minute


def next_services(plan: Plan, states: States, engine_started_ns: int) -> list[str] | Verdict:
    """Return the services that may start now; or the verdict when one cannot be started or a dependency failed. Pure."""
    ready = []
    for service, dependencies in plan.dependencies.items():
        state = states[service]
        if state is None or (state.status == "created" and state.error):
            return judge(states, [service], engine_started_ns)
        if state.status != "created":
            continue
        blocked = False
        for dependency in dependencies:
            met = _met(dependency, states[dependency.service])
            if isinstance(met, str) and dependency.required:
                found = judge(states, [dependency.service], engine_started_ns, f', which "{service}" waits for')
                return _failed(service, dependency, met, states[dependency.service], found)
            blocked |= met is False
        if not blocked:
            ready.append(service)
    return ready


def _met(dependency: Dependency, state: ContainerState | None) -> bool | str:
    """Whether a dependency is ready; a text says why it never will be."""
    if state is None:
        return "disappeared"
    if state.status == "created":
        return "could not be started" if state.error else False
    if dependency.condition is Condition.STARTED:
        return True
    if dependency.condition is Condition.COMPLETED:
        if not state.ended:
            return False
        return state.exit_code == 0 or f"ended with exit code {state.exit_code}"
    if state.ended:
        return f"ended with exit code {state.exit_code} before it was healthy"
    if not state.health:
        return "has no healthcheck"
    if state.health == "unhealthy":
        return "is unhealthy" + (f": {state.health_output}" if state.health_output else "")
    return state.health == "healthy"


def _failed(service: str, dependency: Dependency, why: str, state: ContainerState | None, found: Verdict) -> Verdict:
    """Turn the verdict on the dependency alone into the one of the unit."""
    if found.outcome is Outcome.ERRORED and (state is None or state.ended):
        return found
    oom = " (out of memory)" if found.reason is Reason.OOM else ""
    return replace(
        found,
        outcome=Outcome.FAILED,
        reason=Reason.DEPENDENCY_FAILED if state is None or state.ended else Reason.UNHEALTHY,
        message=f'service "{dependency.service}", which "{service}" waits for ({dependency.condition}), {why}{oom}',
        exit_code=None,  # of a service that does not decide
    )


async def start(api: Api, unit: Unit, plan: Plan, begun: Callable[[str], None], patience: float) -> Verdict | None:
    """Start all services; see `Engine.start`. `begun` is told each service whose container runs or ran."""
    refused: dict[str, str] = {}
    redirectable = binds.redirectable(unit.spec)
    if len(unit.containers) == 1 and not redirectable:  # it was never started, or nobody would ask: no need to look
        await _start_one(api, unit, next(iter(unit.containers)), begun, refused)
        if not refused:
            return None
    engine_started_ns = await api.started_ns()

    async def start_some(services: Sequence[str], states: States) -> None:
        """Start services; first those whose mounts the others could redirect, one by one while nothing else runs."""
        running = [unit.containers[name] for name, state in states.items() if state and state.status == "running"]
        for service in filter(redirectable.__contains__, services):
            async with binds.paused(api, running):
                await binds.confine(redirectable[service])
                await _start_one(api, unit, service, begun, refused)
            running.append(unit.containers[service])
        others = [service for service in services if service not in redirectable]
        await together(*(_start_one(api, unit, service, begun, refused) for service in others))

    async def advance(states: States) -> Verdict | bool:
        """Start what may start, until nothing may: True when nothing is left."""
        while True:
            states = {
                service: replace(state, error=state.error or refused[service])
                if state is not None and service in refused
                else state
                for service, state in states.items()
            }
            services = next_services(plan, states, engine_started_ns)
            if isinstance(services, Verdict):
                return services
            if not services:
                return not any(state is not None and state.status == "created" for state in states.values())
            try:
                await start_some(services, states)
            except StepFailed as error:
                ends = tuple(state.end() for state in states.values() if state is not None)
                return Verdict(Outcome.FAILED, Reason.REFUSED, error.message, None, ends)
            states = await inspected(api, unit.containers)

    result = await advance(await inspected(api, unit.containers))
    if result is False:
        async with aclosing(observed(api, unit.containers, patience)) as changes:
            async for states in changes:
                result = await advance(states)
                if result is not False:
                    break
    return result if isinstance(result, Verdict) else None


async def _start_one(api: Api, unit: Unit, service: str, begun: Callable[[str], None], refused: dict[str, str]) -> None:
    """Start a container; one that the Swarm did not let into its network is tried again, the engine waits 20 s each time."""
    for tries_left in reversed(range(JOIN_TRIES)):
        try:
            # 304: it runs already; 404: gone, the next look shows it
            await api.call("POST", f"containers/{unit.containers[service]}/start", facts={304, 404})
        except EngineRefused as error:
            if not tries_left or not not_let_in(error.message):
                refused[service] = error.message
                return
        else:
            begun(service)
            return


async def wait_healthy(api: Api, unit: Unit, patience: float) -> Verdict | None:
    """Wait until every service runs and is healthy; see `Engine.wait_healthy`."""
    async with aclosing(observed(api, unit.containers, patience)) as changes:
        async for states in changes:
            verdict, ready = healthy(states, unit.spec.main, await api.started_ns())
            if verdict is not None or ready:
                return verdict
    return None


def healthy(states: States, main: Sequence[str], engine_started_ns: int) -> tuple[Verdict | None, bool]:
    """Return the verdict on a unit that should stay up, or whether it is ready. Pure."""
    ready = True
    for service, state in states.items():
        if state is None or state.ended:
            found = judge(states, [service], engine_started_ns)
            if found.outcome is not Outcome.SUCCEEDED:
                return found, False
            if service in main:
                message = f'service "{service}" ended (exit code 0) instead of staying up'
                return replace(found, outcome=Outcome.FAILED, reason=Reason.UNHEALTHY, message=message), False
            continue  # a side service may do its work and end
        if state.health == "unhealthy":
            why = f": {state.health_output}" if state.health_output else ""
            services = tuple(other.end() for other in states.values() if other is not None)
            message = f'service "{service}" is unhealthy{why}'
            return Verdict(Outcome.FAILED, Reason.UNHEALTHY, message, None, services), False
        ready = ready and state.status == "running" and state.health in ("", "healthy")
    return None, ready
