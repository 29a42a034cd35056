"""Command line tools: whatever they do, they end when their time is over."""

import asyncio
import os

import pytest

from flowbuild.engine.process import TimedOut, run

ENVIRONMENT = {"PATH": os.environ["PATH"]}
LIMIT = 60.0  # seconds; it is only there so that nothing hangs


async def test_output_up_to_the_last_line():
    lines = []
    done = await run(["sh", "-c", "seq 100; exit 3"], env=ENVIRONMENT, seconds=LIMIT, on_line=lines.append)
    assert (done.code, lines[-1], done.lines[-1], len(done.lines)) == (3, "100", "100", 40)


@pytest.mark.parametrize("command", ["yes", "yes | tr -d '\\n'", "sleep 1000", "yes & sleep 1000"])
async def test_a_tool_whose_time_is_over_is_gone_however_much_it_writes(command):
    """More output than anybody has read yet must not keep us waiting for its end."""
    async with asyncio.timeout(LIMIT):
        for _ in range(5):
            with pytest.raises(TimedOut):
                await run(["sh", "-c", command], env=ENVIRONMENT, seconds=0.2)
