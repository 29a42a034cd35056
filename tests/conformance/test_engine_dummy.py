"""The dummy engine keeps the contract."""

import asyncio
import time

import pytest

from flowbuild.engine.base import EngineUnreachable
from flowbuild.testing.engine import DummyEngine, Machine
from flowbuild.testing.engine_socket import SocketEngine, serving_engine
from flowbuild.testing.engine_suite import MISSING_IMAGE, EngineSuite, Names, finish, service


async def fast_sleep(seconds):
    await asyncio.sleep(seconds / 100)


@pytest.fixture
def machine():
    return Machine(missing_images=frozenset({MISSING_IMAGE}))


@pytest.fixture
def again(machine):
    return lambda: DummyEngine(machine, sleep=fast_sleep)


@pytest.fixture
def engine(again):
    return again()


@pytest.fixture
def names():
    return Names("dummy")


class TestDummyEngine(EngineSuite):
    pass


class TestBehindASocket(EngineSuite):
    @pytest.fixture
    async def address(self, machine, tmp_path_factory):
        address = tmp_path_factory.mktemp("s") / "engine.sock"
        async with serving_engine(DummyEngine(machine, sleep=fast_sleep), address):
            yield address

    @pytest.fixture
    def again(self, address):
        return lambda: SocketEngine(str(address))

    async def test_who_hangs_up_waits_no_more(self, engine, names, machine):
        unit = await engine.create(names.spec({"a": service(sleep=36000)}), lambda _line: None)
        await engine.start(unit)
        waiting = asyncio.create_task(engine.wait(unit))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await engine.stop(unit, grace=0, force=True)
        await engine.remove(unit)
        assert machine.units == {}

    async def test_without_a_server_the_engine_is_cut_off(self, tmp_path):
        with pytest.raises(EngineUnreachable):
            await SocketEngine(str(tmp_path / "none")).ready()
        assert not await SocketEngine(str(tmp_path / "none")).returned(0.1)


async def test_hours_take_no_time(names):
    async def no_sleep(seconds):
        await asyncio.sleep(0)

    began = time.monotonic()
    verdict = await finish(DummyEngine(sleep=no_sleep), names.spec({"a": service(sleep=36000, exit=1)}))
    assert verdict.exit_code == 1
    assert time.monotonic() - began < 5


async def test_lost_container_is_not_a_failure(engine, names):
    verdict = await finish(engine, names.spec({"a": service(lost=1)}))
    assert (verdict.outcome, verdict.reason) == ("errored", "infra_lost")


async def test_cut_off(engine, machine):
    machine.reachable = False
    with pytest.raises(Exception, match="cut off"):
        await engine.info()


async def test_writes_into_the_workspace(engine, names, tmp_path):
    definition = service(write="dir/file=text") | {
        "volumes": [{"type": "bind", "source": str(tmp_path), "target": "/workspace"}]
    }
    await finish(engine, names.spec({"a": definition}))
    assert (tmp_path / "dir/file").read_text() == "text"
