"""Images: what is on the machine, pulling what is not, and what a registry's refusal means in people's words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import quote

from flowbuild.engine import process
from flowbuild.engine.api import Api
from flowbuild.engine.base import ImageUnavailable, Progress

PARALLEL_PULLS = 3  # the engine itself fetches three layers of each at a time
PULL_SECONDS = 1800.0
REMOVED = "it was removed after it had been made present"


class Problem(Enum):
    """Why an image cannot be had: what is told, and what to do."""

    BAD_REFERENCE = "is not a valid image reference", "write it as name:tag or name@sha256:…"
    UNREACHABLE = "registry cannot be reached", "check the network, or build or load the image on this machine"
    RATE_LIMITED = "registry refuses more pulls for now", "log in (docker login), or use a mirror"
    NOT_FOUND = "no such image, or no right to see it", "check name and tag; docker login for a private one"
    DENIED = "registry denies access", "docker login with an account that may read it"
    PLATFORM = "not made for this machine's processor", "choose an image with this platform"
    DISK_FULL = "the engine has no disk space left", "docker system prune, or a bigger disk"
    OTHER = "could not be pulled", ""

    @property
    def told(self) -> str:
        """The problem in a few words."""
        return self.value[0]

    @property
    def hint(self) -> str:
        """What a person can do."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Retry:
    """Seconds to wait before each further try."""

    pauses: tuple[float, ...] = ()


RETRIES: Mapping[Problem, Retry] = {
    Problem.UNREACHABLE: Retry((1.0,)),
    Problem.RATE_LIMITED: Retry((5.0, 20.0)),
    Problem.OTHER: Retry((1.0, 3.0)),
}

# First match wins; texts of the engine and of registries, lower case.
_TEXTS: tuple[tuple[Problem, tuple[str, ...]], ...] = (
    (Problem.BAD_REFERENCE, ("invalid reference format", "repository name must be lowercase")),
    (Problem.DISK_FULL, ("no space left on device",)),
    (Problem.RATE_LIMITED, ("toomanyrequests", "too many requests", "rate limit")),
    (Problem.PLATFORM, ("no matching manifest", "does not match the specified platform")),
    (Problem.NOT_FOUND, ("manifest unknown", "not found", "does not exist", "no such image", "name unknown")),
    (
        Problem.UNREACHABLE,
        (
            "no such host",
            "connection refused",
            "i/o timeout",
            "network is unreachable",
            "no route to host",
            "timeout exceeded",
            "tls handshake",
            "server misbehaving",
            "temporary failure",
            "connection reset",
            "no answer within",
            "eof",
        ),
    ),
    (Problem.DENIED, ("unauthorized", "denied", "no basic auth", "forbidden")),
)


def classify(text: str) -> Problem:
    """Return what a message of the engine or a registry means."""
    lower = text.lower()
    for problem, texts in _TEXTS:
        if any(known in lower for known in texts):
            return problem
    return Problem.OTHER


class Images:
    """Makes images present. Pulls go through the docker CLI, which knows the user's registry credentials and helpers."""

    def __init__(self, api: Api, env: Mapping[str, str], *, answer_seconds: float) -> None:
        self._api = api
        self._env = env
        self._answer_seconds = answer_seconds
        self._pulls = asyncio.Semaphore(PARALLEL_PULLS)
        self._ids: dict[str, str] = {}  # by digest, which always means the same image

    async def present(self, references: Sequence[str], progress: Progress) -> dict[str, str]:
        """Return digest or id by reference; raises ImageUnavailable for the first in order that cannot be had."""
        unique = list(dict.fromkeys(references))
        found = await asyncio.gather(
            *(self._ensure(reference, progress) for reference in unique), return_exceptions=True
        )
        identities = {}
        for reference, result in zip(unique, found, strict=True):
            if isinstance(result, BaseException):
                raise result
            identities[reference] = result
        return identities

    async def identity(self, image: str) -> str:
        """Return the id of an image that is present; raises ImageUnavailable when it is not."""
        if image.startswith("sha256:"):
            return image
        if image not in self._ids:
            found = await self._inspect(image)
            if found is None:
                raise ImageUnavailable(f"image missing at creation: {image}", hint=REMOVED)
            return str(found["Id"])
        return self._ids[image]

    async def _ensure(self, reference: str, progress: Progress) -> str:
        local = await self._local(reference)
        if local is None and reference.startswith("sha256:"):
            raise ImageUnavailable(f"the image {reference} is not on this machine", hint="no registry has it by its id")
        if local is None:
            async with self._pulls:
                await self._pull(reference, progress)
            local = await self._local(reference)
        if local is None:
            raise ImageUnavailable(f"{reference}: pulled, but the engine does not know it", hint="pull it by hand")
        return local

    async def _local(self, reference: str) -> str | None:
        found = await self._inspect(reference)
        if found is None:
            return None
        repository = reference.partition("@")[0]
        repository = repository.rpartition(":")[0] if ":" in repository.rpartition("/")[2] else repository
        digests = [digest for digest in found.get("RepoDigests") or () if digest.partition("@")[0] == repository]
        if digests:
            self._ids[digests[0]] = str(found["Id"])
        return str(digests[0] if digests else found["Id"])

    async def _inspect(self, reference: str) -> Mapping[str, Any] | None:
        path = f"images/{quote(reference, safe='/:@')}/json"
        found: Mapping[str, Any] | None = await self._api.call("GET", path, facts={400, 404})
        return found

    async def _pull(self, reference: str, progress: Progress) -> None:
        for tries in range(1, 100):
            progress(f"pulling {reference}")
            try:
                done = await process.run(
                    ["docker", "pull", "--", reference],
                    env=self._env,
                    on_line=progress,
                    seconds=PULL_SECONDS,
                    first_line_seconds=self._answer_seconds,
                )
            except process.TimedOut as error:
                said = error.message
            else:
                if done.code == 0:
                    return
                said = done.lines[-1].removeprefix("Error response from daemon: ") if done.lines else "no message"
            problem = classify(said)
            pauses = RETRIES.get(problem, Retry()).pauses
            if tries > len(pauses):
                raise ImageUnavailable(f"{reference}: {problem.told} ({said})", hint=problem.hint)
            progress(f"{reference}: {problem.told} ({said}); trying again in {pauses[tries - 1]:g} s")
            await asyncio.sleep(pauses[tries - 1])
