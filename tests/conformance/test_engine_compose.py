"""The real engine keeps the contract: docker compose and Docker Engine of this machine."""

import asyncio
import secrets

import pytest

from flowbuild.engine.compose import ComposeEngine
from flowbuild.testing.engine_suite import EngineSuite, Names
from flowbuild.testing.images import ensure_busybox

pytestmark = pytest.mark.docker


@pytest.fixture
async def again():
    ensure_busybox()
    engines = []

    def make():
        engines.append(ComposeEngine(patience=5, answer_seconds=10))
        return engines[-1]

    yield make
    await asyncio.gather(*(engine.close() for engine in engines))


@pytest.fixture
async def engine(again, names):
    engine = again()
    yield engine
    await engine.sweep(names.instance)


@pytest.fixture
def names():
    return Names(f"flowtest{secrets.token_hex(4)}")


class TestComposeEngine(EngineSuite):
    pass
