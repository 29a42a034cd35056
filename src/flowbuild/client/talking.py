"""Talking about a server: people at a terminal, and coding agents with tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flowbuild.client.base import ServerClient


class Talk(Protocol):
    """Talks about a server with whoever is at the terminal; returns the exit code."""

    async def __call__(self, client: ServerClient, project: str) -> int:
        """Talk until there is nothing more to say. `project`: the one that is meant when none is named."""
        ...


@dataclass(frozen=True, slots=True)
class AgentsRequest:
    """Where programs reach the tools of a server over HTTP. `names`: of the host, as they call it."""

    host: str = "127.0.0.1"
    port: int = 8090
    names: tuple[str, ...] = ()


class Agents(Protocol):
    """Serves the tools of a server to coding agents. Raises InvalidRequest when what that takes is not installed."""

    async def stdio(self, client: ServerClient, project: str) -> None:
        """Serve who started this program, until it hangs up."""
        ...

    async def http(self, url: str, project: str, request: AgentsRequest) -> None:
        """Serve programs that bring a token for the server at `url`, until told to stop."""
        ...
