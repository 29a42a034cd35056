"""Talking to the server in words: what bots answer on chat networks, in a terminal."""

from __future__ import annotations

import asyncio

import typer

from flowbuild.cli.choosing import Choice
from flowbuild.client.base import Talk


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
