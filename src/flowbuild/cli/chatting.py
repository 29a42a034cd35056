"""Talking to the server in words: what bots answer on chat networks, in a terminal; and its tools for coding agents."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from flowbuild.cli.choosing import Choice
from flowbuild.client.talking import Agents, AgentsRequest, Talk


def add_commands(app: typer.Typer, choice: Choice, talk: Talk) -> None:
    """Add the commands to the command line."""

    @app.command("chat")
    def chat() -> int:
        """Talk to a server that you are logged in to, as to its bots: `help` says what can be said.

        What is no terminal is read line by line, a command each, and `watch` waits for the end. Exit codes: 1 the run that was watched
        last failed, 2 a line was refused, 3 something did not work.
        """

        async def main() -> int:
            async with choice.elsewhere() as session:
                return await talk(session.client, choice.project)

        return asyncio.run(main())


def add_agents(app: typer.Typer, choice: Choice, agents: Agents) -> None:
    """Add the command that serves coding agents."""

    @app.command("mcp")
    def mcp(
        http: Annotated[bool, typer.Option("--http", help="Over HTTP, with the token of each caller.")] = False,
        host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
        port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="Where to listen.")] = 8090,
        allow_host: Annotated[
            list[str] | None,
            typer.Option("--allow-host", metavar="NAME", help="By which name others reach it; may be repeated."),
        ] = None,
    ) -> None:
        """Serve the tools of a server to coding agents, by the Model Context Protocol.

        Over standard input and output with your login, or FLOW_TOKEN. docs/mcp.md says how agents are told of it.
        """
        if http:
            request = AgentsRequest(host, port, tuple(allow_host or ()))
            asyncio.run(agents.http(choice.url(), choice.project, request))
            return

        async def main() -> None:
            async with choice.elsewhere() as session:
                await agents.stdio(session.client, choice.project)

        asyncio.run(main())
