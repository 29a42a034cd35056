"""Sessions on a server elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from flowbuild.client.base import Check, DebugRequest, RunView
from flowbuild.client.http import HttpClient
from flowbuild.core.errors import FlowError
from flowbuild.workspace.git import clone_from


@dataclass(slots=True)
class RemoteSession:
    """See client.base.ServerSession."""

    client: HttpClient
    url: str
    token: str
    abandoned: Sequence[RunView] = ()

    async def settle(self, run: str) -> None:
        """Return at once: what a run used is not on this machine."""

    async def doctor(self) -> Sequence[Check]:
        """See Session."""
        try:
            about, me = await self.client.ask("GET", "server"), await self.client.ask("GET", "me")
        except FlowError as error:
            return [Check(False, f"server {self.url}: {error.message}", error.hint)]
        who = me["name"] or "nobody in particular"
        return [Check(True, f"server {self.url}, version {about['version']}"), Check(True, f"you are {who} there")]

    async def debug(self, request: DebugRequest) -> int:
        """See Session; on the engine of this machine."""
        from flowbuild.wiring.shells import debug_elsewhere  # noqa: PLC0415 (loads the engine's libraries)

        return await debug_elsewhere(await self.client.debug(request), self.url, self.token, request)


@asynccontextmanager
async def dial(url: str, token: str, project: str | None) -> AsyncIterator[RemoteSession]:
    """Open a session on the server at `url`; see client.base.Dial."""
    client = HttpClient(url, token, project=project, clone=clone_from)
    try:
        yield RemoteSession(client, url, token)
    finally:
        await client.close()
