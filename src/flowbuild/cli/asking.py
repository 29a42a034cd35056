"""What commands for a server share: questions to it and to people, groups of commands, rows of a list."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer

from flowbuild.cli.choosing import Choice
from flowbuild.cli.render.text import clean
from flowbuild.client.base import ServerClient
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.human import ago

Name = Annotated[str, typer.Argument(metavar="PROJECT", help="Name of the project.")]


def asking(choice: Choice, query: Callable[[ServerClient], Awaitable[Any]]) -> Any:
    """Return what a query to the server gives."""

    async def main() -> Any:
        async with choice.elsewhere() as session:
            return await query(session.client)

    return asyncio.run(main())


def group(app: typer.Typer, name: str, words: str) -> typer.Typer:
    """Add a group of commands."""
    added = typer.Typer(no_args_is_help=True, help=words, rich_markup_mode=None)
    app.add_typer(added, name=name)
    return added


async def every(client: ServerClient, path: str) -> list[Any]:
    """Return all pages of a list."""
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await client.ask("GET", path, limit="200", cursor=cursor)
        found += page["items"]
        cursor = page["next"]
    return found


def path_of(*parts: str) -> str:
    """Return the path of a thing on the server, from names that may hold anything."""
    return "/".join(quote(part, safe="") for part in parts)


def print_row(*cells: str) -> None:
    """Print what is not empty, side by side."""
    print(clean("  ".join(cell for cell in cells if cell)))


def heard_of(at: float | None, now: float) -> str:
    """Return when something was last heard of, in words."""
    if at is None:
        return "never heard of"
    return f"heard of {ago(at, now) if now - at >= 120 else f'{max(0, now - at):.0f} s ago'}"


def ask(words: str, *, hint: str = "") -> str:
    """Return what a person types; raises InvalidRequest when there is nobody."""
    if not sys.stdin.isatty():
        raise InvalidRequest(f"{words.rstrip(': ')} is needed, and there is no terminal to ask on", hint=hint)
    return input(words).strip()


def password(words: str, *, twice: bool = False) -> str:
    """Return FLOW_PASSWORD, or what a person types, unseen; raises InvalidRequest when there is nobody."""
    given = os.environ.get("FLOW_PASSWORD", "")
    if given:
        return given
    if not sys.stdin.isatty():
        raise InvalidRequest(
            "a password is needed, and there is no terminal to ask on", hint="FLOW_PASSWORD may hold it"
        )
    typed = getpass.getpass(words)
    if twice and getpass.getpass("again: ") != typed:
        raise InvalidRequest("the two passwords differ")
    return typed
