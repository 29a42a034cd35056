"""Finding and removing what carries our labels; nothing else is ever touched. That something is gone already is fine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from flowbuild.core.errors import EngineError
from flowbuild.engine.api import Api
from flowbuild.engine.base import Found, Labels, Swept, Unit
from flowbuild.engine.plan import IMAGE_LABEL, UNIT_LABEL, has_only_containers, unit_labels

PARALLEL = 8  # removals at a time; more only queue up inside the engine

Listed = Mapping[str, Any]


def labels_from(found: Mapping[str, str]) -> Labels:
    """Read back what `Labels.as_dict` wrote. Raises ValueError when somebody else wrote it."""
    return Labels(
        found["flow.instance"],
        found.get("flow.run", ""),
        found.get("flow.step", ""),
        int(found.get("flow.attempt", "0")),
        int(found.get("flow.epoch", "0")),
    )


class Cleaner:
    """Removes objects of one engine by label."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._slots = asyncio.Semaphore(PARALLEL)

    async def containers(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """List containers with the labels that are a unit's own: what is run from a built image inherits labels."""
        return [found for found in await self._api.listed("containers", labels) if UNIT_LABEL in found["Labels"]]

    async def remove(self, unit: Unit) -> None:
        """Remove all that one attempt made."""
        if unit.containers and has_only_containers(unit.spec):
            await self._each([{"Id": container} for container in unit.containers.values()], "Id", self._container)
            return
        attempt = unit.spec.labels.as_dict()
        await self._remove(unit_labels(unit.spec), attempt, lambda _labels: True)

    async def sweep(self, instance: str, run: str | None, keep: frozenset[str]) -> Swept:
        """Remove all that an instance, or one run of it, made, except projects and runs in `keep`."""
        labels = {"flow.instance": instance} | ({} if run is None else {"flow.run": run})
        kept_runs = {
            found["Labels"].get("flow.run") for found in await self.containers(labels) if _project(found) in keep
        }

        def wanted(labels: Mapping[str, str]) -> bool:
            if {labels.get(UNIT_LABEL), labels.get("flow.run")} & keep:
                return False
            of_a_run = UNIT_LABEL not in labels  # its network, or an image that a kept project may still need
            return not (of_a_run and labels.get("flow.run") in kept_runs)

        return await self._remove(labels, labels, wanted)

    async def found(self, instance: str) -> Sequence[Found]:
        """List the projects of an instance that have containers."""
        projects: dict[str, Found] = {}
        for container in await self.containers({"flow.instance": instance}):
            project, running = _project(container), container["State"] == "running"
            try:
                labels = labels_from(container["Labels"])
            except ValueError:
                continue
            running |= project in projects and projects[project].running
            projects[project] = Found(labels, project, running)
        return list(projects.values())

    async def _remove(
        self, labels: Mapping[str, str], image_labels: Mapping[str, str], wanted: Callable[[Mapping[str, str]], bool]
    ) -> Swept:
        containers = [found for found in await self.containers(labels) if wanted(found["Labels"])]
        removed = await self._each(containers, "Id", self._container)
        networks, volumes, images = await asyncio.gather(
            self._api.listed("networks", labels),
            self._api.listed("volumes", labels),
            self._api.listed("images", image_labels),
        )
        gone = await asyncio.gather(
            self._each([found for found in networks if wanted(found["Labels"])], "Id", self._network),
            self._each([found for found in volumes if wanted(found["Labels"])], "Name", self._volume),
            self._each([found for found in images if wanted(found["Labels"])], "Id", self._image),
        )
        return Swept(removed, *gone)

    async def _each(self, found: Sequence[Listed], key: str, remove: Callable[[Listed], Any]) -> tuple[str, ...]:
        """Remove all of them, also when some cannot be; then raise what went wrong first."""

        async def one(thing: Listed) -> bool:
            async with self._slots:
                return bool(await remove(thing))

        results = await asyncio.gather(*(one(thing) for thing in found), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return tuple(str(thing[key]) for thing, result in zip(found, results, strict=True) if result)

    async def _container(self, found: Listed) -> bool:
        path = f"containers/{found['Id']}"
        answer = await self._api.call("DELETE", path, params={"force": "1", "v": "1"}, facts={404, 409})
        if answer is None:  # gone, or being removed by somebody else: then until it is
            await self._api.call("POST", f"{path}/wait", params={"condition": "removed"}, facts={404})
        return True

    async def _network(self, found: Listed) -> bool:
        try:
            return await self._api.call("DELETE", f"networks/{found['Id']}", facts={403, 404}) is not None
        except EngineError as error:
            if "active endpoints" in error.message:  # newer engines say 400 for what was 403
                return False
            raise

    async def _volume(self, found: Listed) -> bool:
        return await self._api.call("DELETE", f"volumes/{quote(found['Name'])}", facts={404, 409}) is not None

    async def _image(self, found: Listed) -> bool:
        """Remove the name that we gave; an image derived from ours inherits labels but has another name."""
        name, tags = found["Labels"].get(IMAGE_LABEL, ""), found["RepoTags"] or ()
        full = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        if full in tags:
            return await self._api.call("DELETE", f"images/{quote(full, safe='/:')}", facts={404, 409}) is not None
        if all(tag.startswith("<none>") for tag in tags):
            return await self._api.call("DELETE", f"images/{found['Id']}", facts={404, 409}) is not None
        return False


def _project(container: Listed) -> str:
    return str(container["Labels"][UNIT_LABEL])
