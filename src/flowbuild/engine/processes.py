"""Learns from the kernel that a container ended when the engine does not.

An engine whose containerd is killed misses what ends until a new one is up, and calls it running for ever (measured with
Docker 20.10): whoever waits for the end waits for ever. The first process of a container is known by its number, and the
kernel wakes who waits for its end. All this only on the engine's own machine, and where processes of containers can be
seen; elsewhere the engine alone is believed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from flowbuild.engine.api import Api

GRACE = (
    20.0  # seconds that the engine may take to say that a container ended whose first process is gone: what watches it
)
# tells a new containerd up to 15 s later (tries after 1, 2, 3, 4 and 5 s more), and what it tells is the truth


async def ended_or_missed(api: Api, containers: Mapping[str, str], ends: Coroutine[Any, Any, Any]) -> str | None:
    """Wait for `ends`, which the engine tells; return a service whose end it missed when that is found out first.

    `containers` are those that are waited for, by service. Raises what `ends` does, EngineError.
    """
    waiting = asyncio.ensure_future(ends)
    watching = {asyncio.ensure_future(_missed(api, container)): service for service, container in containers.items()}
    try:
        done, _ = await asyncio.wait({waiting, *watching}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return None if waiting in done else next(watching[task] for task in done)
    finally:
        for task in (waiting, *watching):
            task.cancel()
        await asyncio.gather(waiting, *watching, return_exceptions=True)


async def _missed(api: Api, container: str) -> None:
    """Return when the process of a container is gone and the engine still says that it runs."""
    while True:
        process = await _process(api, container)
        if process is None or (descriptor := _open(process, container)) is None:
            await asyncio.Event().wait()  # nothing to be learned here: the engine alone is believed
            continue
        try:
            await _ended(descriptor)
        finally:
            os.close(descriptor)
        await asyncio.sleep(GRACE)
        if await _process(api, container) == process:
            return


async def _process(api: Api, container: str) -> int | None:
    """Return the number of the first process of a container that runs, as the engine has it."""
    found = await api.inspect(container) if api.local else None
    if found is None or not found["State"]["Running"]:
        return None
    return int(found["State"]["Pid"]) or None


def _open(process: int, container: str) -> int | None:
    """Return a descriptor of a process of the container; None when it cannot be seen, or is that of somebody else."""
    try:
        descriptor = os.pidfd_open(process)
    except OSError:
        return None
    try:
        groups = Path(f"/proc/{process}/cgroup").read_text("utf-8", "replace")
    except OSError:
        groups = ""
    if container in groups:  # read after opening: the number had not been given to another process
        return descriptor
    os.close(descriptor)
    return None


async def _ended(descriptor: int) -> None:
    """Return when the process of a descriptor has ended."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
