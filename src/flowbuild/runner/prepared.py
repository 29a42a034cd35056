"""Units that were created before they were needed. Creating costs compose several hundred ms: nobody should wait for it.

A prepared unit is used only when the specification wanted in the end equals the one it was made from, to the letter;
otherwise (a variable changed, say) it is removed and made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from flowbuild.core.errors import FlowError
from flowbuild.engine.base import Engine, Unit, UnitSpec


@dataclass(frozen=True, slots=True)
class _Begun:
    """A unit that is being made: from what, with what was said about its images."""

    spec: UnitSpec
    images: Mapping[str, str]
    unit: asyncio.Task[Unit]


class Prepared:
    """Units by project name. `clean` takes work that nobody waits for."""

    def __init__(self, engine: Engine, clean: Callable[[Coroutine[Any, Any, Any]], None]) -> None:
        self._engine = engine
        self._clean = clean
        self._begun: dict[str, _Begun] = {}

    def begin(self, spec: UnitSpec, images: Mapping[str, str]) -> None:
        """Start to create a unit that will probably be needed; `images` is what the engine says about its images."""
        if spec.project not in self._begun:
            task = asyncio.create_task(self._engine.create(spec, lambda _line: None))
            self._begun[spec.project] = _Begun(spec, images, task)

    def images(self, project: str) -> Mapping[str, str] | None:
        """Return what the engine said about the images of a unit, so that nobody need wait for it to say so again."""
        begun = self._begun.get(project)
        return None if begun is None else begun.images

    async def take(self, spec: UnitSpec) -> Unit | None:
        """Return the unit when it was made from just this specification; wait for it when it is being made."""
        begun = self._begun.pop(spec.project, None)
        if begun is None:
            return None
        try:
            unit = await begun.unit
        except FlowError:
            return None  # whoever needs it tries again, and tells why it does not work
        if begun.spec == spec:
            return unit
        await self._engine.remove(unit)
        return None

    async def drop_run(self, run: str) -> None:
        """Remove what was prepared for a run and never used."""
        for project, begun in list(self._begun.items()):
            if begun.spec.labels.run == run and self._begun.pop(project, None) is not None:
                self._clean(self._remove(begun.unit))

    async def drop_all(self) -> None:
        """Remove everything that was never used."""
        for run in {begun.spec.labels.run for begun in self._begun.values()}:
            await self.drop_run(run)

    async def _remove(self, task: asyncio.Task[Unit]) -> None:
        try:
            unit = await task
        except FlowError:
            return
        await self._engine.remove(unit)
