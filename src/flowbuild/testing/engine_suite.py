"""What every engine must do: a class of tests, run on each implementation of `engine.base.Engine`.

A subclass gives the fixtures `engine`, `again` (makes another engine on the same machine, as after a crash) and
`names` (a `Names` of its own). Services come from `service`: the dummy engine reads their environment, the real one
runs their command, and both do the same.
"""

# ruff: noqa: S101, D102, PT017  a module of tests without pytest: their names say what they check

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowbuild.core.states import Outcome, Reason
from flowbuild.engine.base import (
    SERVICE_LABEL,
    Engine,
    ImageUnavailable,
    Labels,
    LogRecord,
    Unit,
    UnitSpec,
    Verdict,
)
from flowbuild.testing.images import BUSYBOX

MISSING_IMAGE = "registry.invalid/flow-test/missing:1"
MEMORY = "24m"
SCRIPT = """
[ -n "$FLOW_TEST_STUBBORN" ] && trap '' TERM || trap 'exit 143' TERM
printf %s "$FLOW_TEST_LOG"
printf %s "$FLOW_TEST_ERR" >&2
[ -n "$FLOW_TEST_WRITE" ] && printf %s "${FLOW_TEST_WRITE#*=}" >"/workspace/${FLOW_TEST_WRITE%%=*}"
[ -n "$FLOW_TEST_UNHEALTHY" ] || touch /tmp/healthy
[ -n "$FLOW_TEST_OOM" ] && exec tail -c 500000000 /dev/zero
until=$(( $(date +%s) + ${FLOW_TEST_SLEEP:-0} ))
while [ "$(date +%s)" -lt "$until" ]; do sleep 1 & wait $!; done
exit "${FLOW_TEST_EXIT:-0}"
"""


def service(*, health: bool = False, needs: Mapping[str, str] | None = None, **script: object) -> dict[str, Any]:
    """Return a service of a compose file that acts out a `flowbuild.testing.engine.Script`, given in lower case.

    `health`: with a healthcheck. `needs`: condition by service.
    """
    made: dict[str, Any] = {
        "image": BUSYBOX,
        "command": ["sh", "-c", SCRIPT],
        "environment": {f"FLOW_TEST_{key.upper()}": str(value) for key, value in script.items()},
        "network_mode": "none",
    }
    if health:
        check = {"test": ["CMD", "test", "-e", "/tmp/healthy"], "interval": "200ms", "retries": 3}  # noqa: S108  in the container
        made["healthcheck"] = check
    if script.get("oom"):
        made |= {"mem_limit": MEMORY, "memswap_limit": MEMORY}
    if script.get("error"):
        made["command"] = ["/no/such/program"]
    if needs:
        made["depends_on"] = {name: {"condition": condition} for name, condition in needs.items()}
    return made


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one test: everything it makes in the engine belongs to `instance`."""

    instance: str

    def spec(self, services: Mapping[str, Any], *main: str, step: str = "unit", run: str = "r1") -> UnitSpec:
        """Return a unit; its main services default to all."""
        labels = Labels(self.instance, run, step, 1, 1)
        project = f"{self.instance}-{run}-{step}"
        return UnitSpec(project, labels, {"services": services}, main or tuple(services))


async def finish(engine: Engine, spec: UnitSpec) -> Verdict:
    """Run a unit through its life and return its verdict."""
    unit = await engine.create(spec, lambda _line: None)
    try:
        return await engine.start(unit) or await engine.wait(unit)
    finally:
        await engine.stop(unit, grace=0, force=True)
        await engine.remove(unit)


async def output(engine: Engine, unit: Unit, since_ns: Mapping[str, int] | None = None) -> list[LogRecord]:
    """Return all records of a unit."""
    return [record async for record in engine.logs(unit, since_ns or {})]


def joined(records: list[LogRecord], stream: str) -> bytes:
    """Return the bytes of one stream."""
    return b"".join(record.data for record in records if record.stream == stream)


def quiet(_line: str) -> None:
    """Ignore progress."""


HEALTHY = "service_healthy"
COMPLETED = "service_completed_successfully"
STARTED = "service_started"
FOREVER = 600


class VerdictSuite:
    """Ends of units."""

    async def test_an_engine_that_is_there_answers(self, engine: Engine) -> None:
        assert await engine.returned(60)

    async def test_success(self, engine: Engine, names: Names) -> None:
        verdict = await finish(engine, names.spec({"a": service()}))
        assert (verdict.outcome, verdict.reason, verdict.exit_code) == (Outcome.SUCCEEDED, None, 0)

    async def test_exit_code_names_service_and_code(self, engine: Engine, names: Names) -> None:
        verdict = await finish(engine, names.spec({"a": service(exit=3)}))
        assert (verdict.outcome, verdict.reason, verdict.exit_code) == (Outcome.FAILED, Reason.EXIT_CODE, 3)
        assert '"a"' in verdict.message
        assert "3" in verdict.message

    async def test_first_failing_main_in_order_decides(self, engine: Engine, names: Names) -> None:
        services = {"late": service(exit=7, sleep=1), "ok": service(), "early": service(exit=9)}
        verdict = await finish(engine, names.spec(services, "ok", "late", "early"))
        assert verdict.exit_code == 7

    async def test_failed_side_service_is_mentioned(self, engine: Engine, names: Names) -> None:
        services = {"main": service(sleep=1), "side": service(exit=4)}
        verdict = await finish(engine, names.spec(services, "main"))
        assert verdict.outcome is Outcome.SUCCEEDED
        assert "side" in verdict.message
        assert {end.service: end.exit_code for end in verdict.services} == {"main": 0, "side": 4}

    async def test_side_service_does_not_keep_the_unit(self, engine: Engine, names: Names) -> None:
        services = {"main": service(), "side": service(sleep=FOREVER)}
        verdict = await finish(engine, names.spec(services, "main"))
        assert verdict.outcome is Outcome.SUCCEEDED
        assert [end.exit_code for end in verdict.services if end.service == "side"] == [None]

    async def test_out_of_memory(self, engine: Engine, names: Names) -> None:
        verdict = await finish(engine, names.spec({"a": service(oom=1)}))
        assert (verdict.outcome, verdict.reason, verdict.exit_code) == (Outcome.FAILED, Reason.OOM, 137)

    async def test_command_that_does_not_exist_is_the_steps_fault(self, engine: Engine, names: Names) -> None:
        error = 'exec: "/no/such/program": no such file or directory'
        verdict = await finish(engine, names.spec({"a": service(error=error)}))
        assert (verdict.outcome, verdict.reason, verdict.exit_code) == (Outcome.FAILED, Reason.EXIT_CODE, 127)
        assert "/no/such/program" in verdict.message

    async def test_missing_image(self, engine: Engine) -> None:
        try:
            await engine.images([BUSYBOX, MISSING_IMAGE], quiet)
        except ImageUnavailable as error:
            assert MISSING_IMAGE in error.message
            assert error.hint
        else:
            raise AssertionError("an image came out of nothing")
        assert set(await engine.images([BUSYBOX, BUSYBOX], quiet)) == {BUSYBOX}

    async def test_many_units_at_once(self, engine: Engine, names: Names) -> None:
        specs = [names.spec({"a": service(exit=number)}, step=f"s{number}") for number in range(20)]
        verdicts = await asyncio.gather(*(finish(engine, spec) for spec in specs))
        assert [verdict.exit_code for verdict in verdicts] == list(range(20))
        assert not await engine.found(names.instance)


class DependencySuite:
    """`depends_on` and background units."""

    async def test_conditions_are_met_in_order(self, engine: Engine, names: Names) -> None:
        services = {
            "app": service(needs={"db": HEALTHY, "migrate": COMPLETED}),
            "migrate": service(sleep=1, needs={"db": HEALTHY}),
            "db": service(health=True, sleep=FOREVER, needs={"volume": STARTED}),
            "volume": service(sleep=FOREVER),
        }
        verdict = await finish(engine, names.spec(services, "app"))
        assert verdict.outcome is Outcome.SUCCEEDED, verdict
        assert {end.service: end.status for end in verdict.services} == {
            "app": "exited",
            "migrate": "exited",
            "db": "running",
            "volume": "running",
        }

    async def test_unhealthy_dependency(self, engine: Engine, names: Names) -> None:
        services = {"app": service(needs={"db": HEALTHY}), "db": service(health=True, unhealthy=1, sleep=FOREVER)}
        verdict = await finish(engine, names.spec(services, "app"))
        assert (verdict.outcome, verdict.reason, verdict.exit_code) == (Outcome.FAILED, Reason.UNHEALTHY, None)
        assert {end.service: end.status for end in verdict.services}["app"] == "created"

    async def test_dependency_that_dies_while_awaited(self, engine: Engine, names: Names) -> None:
        services = {
            "app": service(needs={"db": HEALTHY}),
            "db": service(health=True, unhealthy=1, exit=5, sleep=1),
        }
        services["db"]["healthcheck"]["retries"] = 1000  # it stays "starting" until it dies
        verdict = await finish(engine, names.spec(services, "app"))
        assert verdict.outcome is Outcome.FAILED
        assert verdict.reason is Reason.DEPENDENCY_FAILED
        assert "5" in verdict.message

    async def test_dependency_that_does_not_complete(self, engine: Engine, names: Names) -> None:
        services = {"app": service(needs={"job": COMPLETED}), "job": service(exit=6)}
        verdict = await finish(engine, names.spec(services, "app"))
        assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, Reason.DEPENDENCY_FAILED)
        assert '"job"' in verdict.message
        assert "6" in verdict.message

    async def test_optional_dependency_may_fail(self, engine: Engine, names: Names) -> None:
        services = {"app": service(), "job": service(exit=6)}
        services["app"]["depends_on"] = {"job": {"condition": COMPLETED, "required": False}}
        verdict = await finish(engine, names.spec(services, "app"))
        assert verdict.outcome is Outcome.SUCCEEDED

    async def test_background_unit(self, engine: Engine, names: Names) -> None:
        services = {"web": service(health=True, sleep=FOREVER), "job": service()}
        unit = await engine.create(names.spec(services, "web"), quiet)
        assert await engine.start(unit) is None
        assert await engine.wait_healthy(unit) is None
        assert [found.running for found in await engine.found(names.instance)] == [True]
        await engine.stop(unit, grace=5)
        assert (await engine.wait(unit)).exit_code == 143
        await engine.remove(unit)

    async def test_background_unit_that_ends_or_stays_unhealthy(self, engine: Engine, names: Names) -> None:
        cases = (
            (service(exit=2), Reason.EXIT_CODE),
            (service(), Reason.UNHEALTHY),
            (service(health=True, unhealthy=1, sleep=FOREVER), Reason.UNHEALTHY),
        )
        for number, (definition, reason) in enumerate(cases):
            # A healthcheck of the other service keeps the unit from being ready before the end is seen.
            services = {"web": definition, "slow": service(health=True, unhealthy=1, sleep=FOREVER)}
            services["slow"]["healthcheck"]["retries"] = 1000  # "starting" for ever
            spec = names.spec(services if number < 2 else {"web": definition}, "web", step=f"s{number}")
            unit = await engine.create(spec, quiet)
            verdict = await engine.start(unit) or await engine.wait_healthy(unit)
            assert verdict is not None
            assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, reason), verdict
            await engine.stop(unit, grace=0, force=True)
            await engine.remove(unit)


class LifeSuite:
    """Stopping, output, adoption, removal."""

    async def test_graceful_stop_and_force(self, engine: Engine, names: Names) -> None:
        for step, force, code in (("soft", False, 143), ("hard", True, 137)):
            unit = await engine.create(names.spec({"a": service(log="up\n", sleep=FOREVER)}, step=step), quiet)
            await engine.start(unit)
            async for record in engine.logs(unit, {}):  # it is up, its trap is set
                assert record.data == b"up\n"
                break
            await engine.stop(unit, grace=20, force=force)
            await engine.stop(unit, grace=20, force=force)
            assert (await engine.wait(unit)).exit_code == code
            await engine.remove(unit)

    async def test_stubborn_service_is_killed_after_the_grace_time(self, engine: Engine, names: Names) -> None:
        unit = await engine.create(names.spec({"a": service(log="up\n", sleep=FOREVER, stubborn=1)}), quiet)
        await engine.start(unit)
        await anext(aiter(engine.logs(unit, {})))
        await engine.stop(unit, grace=1)
        assert (await engine.wait(unit)).exit_code == 137
        await engine.remove(unit)

    async def test_output_by_stream_and_resumed(self, engine: Engine, names: Names) -> None:
        spec = names.spec({"a": service(log="out\rput\n\x1b[1mé", err="bad\n"), "b": service(log="other")})
        unit = await engine.create(spec, quiet)
        reading = asyncio.create_task(output(engine, unit))  # before the start: it waits
        await engine.start(unit)
        records = await reading
        mine = [record for record in records if record.service == "a"]
        assert joined(mine, "stdout") == "out\rput\n\x1b[1mé".encode()
        assert joined(mine, "stderr") == b"bad\n"
        times = [record.time_ns for record in mine]
        assert times == sorted(set(times))
        for kept in range(len(mine) + 1):
            since = {"a": mine[kept - 1].time_ns} if kept else {}
            rest = [record for record in await output(engine, unit, since) if record.service == "a"]
            assert rest == mine[kept:]
        await engine.remove(unit)

    async def test_output_ends_when_a_service_never_started(self, engine: Engine, names: Names) -> None:
        services = {"app": service(log="never", needs={"job": COMPLETED}), "job": service(exit=1, log="job")}
        unit = await engine.create(names.spec(services, "app"), quiet)
        reading = asyncio.create_task(output(engine, unit))
        assert await engine.start(unit) is not None
        await engine.stop(unit, grace=0)
        assert joined(await reading, "stdout") == b"job"
        await engine.remove(unit)

    async def test_adopted_after_a_crash(self, engine: Engine, again: Callable[[], Engine], names: Names) -> None:
        spec = names.spec({"a": service(log="x", exit=8, sleep=1)})
        assert await engine.adopt(spec) is None
        created = await engine.create(spec, quiet)
        adopted = await again().adopt(spec)
        assert adopted is not None
        assert (adopted.containers, adopted.started) == (created.containers, False)
        await engine.start(created)
        other = again()
        adopted = await other.adopt(spec)
        assert adopted is not None
        assert adopted.started
        assert await other.start(adopted) is None  # nothing is started twice
        assert (await other.wait(adopted)).exit_code == 8
        assert joined(await output(other, adopted), "stdout") == b"x"
        await other.remove(adopted)
        assert await other.adopt(spec) is None

    async def test_removed_twice_and_gone_in_between(self, engine: Engine, names: Names) -> None:
        unit = await engine.create(names.spec({"a": service(sleep=FOREVER)}), quiet)
        await engine.start(unit)
        waiting = asyncio.create_task(engine.wait(unit))
        await asyncio.sleep(0)
        await engine.remove(unit)
        await engine.remove(unit)
        verdict = await waiting
        assert verdict.outcome is not Outcome.SUCCEEDED
        await engine.stop(unit, grace=1)
        assert await output(engine, unit) == []

    async def test_sweep_keeps_what_it_is_told(self, engine: Engine, names: Names) -> None:
        for run in ("r1", "r2", "r3"):
            await engine.network(f"{names.instance}-{run}", Labels(names.instance, run))
            await engine.create(names.spec({"a": service()}, run=run), quiet)
        other = Names(f"{names.instance}x")
        foreign = await engine.create(other.spec({"a": service()}), quiet)
        swept = await engine.sweep(names.instance, keep=frozenset({"r1", f"{names.instance}-r2-unit"}))
        assert (len(swept.containers), len(swept.networks)) == (1, 1)
        assert {found.labels.run for found in await engine.found(names.instance)} == {"r1", "r2"}
        assert len((await engine.sweep(names.instance, run="r2")).containers) == 1
        assert {found.labels.run for found in await engine.found(names.instance)} == {"r1"}
        await engine.sweep(names.instance)
        assert not await engine.found(names.instance)
        assert [found.project for found in await engine.found(other.instance)] == [foreign.spec.project]
        await engine.sweep(other.instance)

    async def test_network_may_race_with_itself(
        self, engine: Engine, again: Callable[[], Engine], names: Names
    ) -> None:
        labels = Labels(names.instance, "r1")
        engines = (engine, again(), again())
        await asyncio.gather(*(each.network(f"{names.instance}-n", labels) for each in engines))
        await engine.network(f"{names.instance}-n", labels)
        assert len((await engine.sweep(names.instance)).networks) == 1

    async def test_plain_names_of_services(self, engine: Engine, names: Names) -> None:
        definition = service(log="x") | {"labels": {SERVICE_LABEL: "db"}}
        app = service(needs={"db.step": STARTED}) | {"labels": {SERVICE_LABEL: "app"}}
        unit = await engine.create(names.spec({"db.step": definition, "app.step": app}, "app"), quiet)
        assert set(unit.containers) == {"db", "app"}
        verdict = await engine.start(unit)
        assert verdict is None, verdict
        assert (await engine.wait(unit)).outcome is Outcome.SUCCEEDED
        assert {record.service for record in await output(engine, unit)} == {"db"}
        await engine.remove(unit)


class EngineSuite(VerdictSuite, DependencySuite, LifeSuite):
    """All of them."""
