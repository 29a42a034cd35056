"""Units that were created before they were needed. Creating costs compose several hundred ms: nobody should wait for it.

A prepared unit is used only when the specification wanted in the end equals the one it was made from, to the letter;
otherwise (a variable changed, say) it is removed and made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from flowbuild.core.errors import FlowError
from flowbuild.engine.base import Engine, Unit, UnitSpec


class Prepared:
    """Units by project name. `clean` takes work that nobody waits for."""

    def __init__(self, engine: Engine, clean: Callable[[Coroutine[Any, Any, Any]], None]) -> None:
        self._engine = engine
        self._clean = clean
        self._units: dict[str, tuple[UnitSpec, asyncio.Task[Unit]]] = {}

    def begin(self, spec: UnitSpec) -> None:
        """Start to create a unit that will probably be needed."""
        if spec.project not in self._units:
            task = asyncio.create_task(self._engine.create(spec, lambda _line: None))
            self._units[spec.project] = (spec, task)

    async def take(self, spec: UnitSpec) -> Unit | None:
        """Return the unit when it was made from just this specification; wait for it when it is being made."""
        wanted, task = self._units.pop(spec.project, (None, None))
        if task is None:
            return None
        try:
            unit = await task
        except FlowError:
            return None  # whoever needs it tries again, and tells why it does not work
        if wanted == spec:
            return unit
        await self._engine.remove(unit)
        return None

    async def drop_run(self, run: str) -> None:
        """Remove what was prepared for a run and never used."""
        for project, (spec, task) in list(self._units.items()):
            if spec.labels.run == run and self._units.pop(project, None) is not None:
                self._clean(self._remove(task))

    async def drop_all(self) -> None:
        """Remove everything that was never used."""
        for run in {spec.labels.run for spec, _ in self._units.values()}:
            await self.drop_run(run)

    async def _remove(self, task: asyncio.Task[Unit]) -> None:
        try:
            unit = await task
        except FlowError:
            return
        await self._engine.remove(unit)
