"""Commands around bots on chat networks: let them in, and say who you are there."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import typer

from flowbuild.cli import options
from flowbuild.cli.asking import ask, asking, group, heard_of, password, path_of, print_row
from flowbuild.cli.choosing import Choice
from flowbuild.cli.views import print_json, say
from flowbuild.client.base import ServerClient
from flowbuild.core.errors import NotFound, Unauthenticated

Bot = Annotated[str, typer.Argument(metavar="NAME", help="Name of the bot.")]


def add_commands(app: typer.Typer, choice: Choice) -> None:
    """Add the commands to the command line."""
    _add_bots(app, choice)
    _add_link(app, choice)
    _add_links(app, choice)


def _add_bots(app: typer.Typer, choice: Choice) -> None:
    bots = group(app, "bots", "Bots on chat networks; for admins of a server.")

    @bots.command("list")
    def list_bots(as_json: options.Json = False) -> None:
        """List the bots of the server."""
        found = asking(choice, lambda client: client.ask("GET", "bots"))
        if as_json:
            print_json(found)
            return
        for bot in found:
            state = "revoked" if bot["revoked_at"] else heard_of(bot["seen_at"], time.time())
            print_row(bot["name"], bot["network"], bot["called"], f"by {bot['created_by']}", state)

    @bots.command("add")
    def add(
        name: Bot,
        network: Annotated[str, typer.Option("--network", metavar="NETWORK", help="matrix, slack or telegram.")],
    ) -> None:
        """Print the token of a new bot, this once. It acts for whoever links themselves: keep it as you would a password."""
        body = {"name": name, "network": network}
        print(asking(choice, lambda client: client.ask("POST", "bots", body))["token"])

    @bots.command("revoke")
    def revoke(name: Bot) -> None:
        """Let the token of a bot open nothing any more. Who is linked stays so, for the next bot of the network."""
        asking(choice, lambda client: client.ask("DELETE", path_of("bots", name)))


def _add_link(app: typer.Typer, choice: Choice) -> None:
    @app.command("link")
    def link(
        user: Annotated[str, typer.Option("--name", help="Your name there; without it that of your login.")] = "",
    ) -> None:
        """Print what to say to the bot so that it knows who you are. It takes your password: a token links nobody."""
        entering = {
            "name": user or _my_name(choice) or ask("your name: ", hint="--name"),
            "password": password("your password: "),
        }

        async def main() -> Any:
            async with choice.elsewhere(anonymous=True) as session:
                entered = await session.client.ask("POST", "login", entering)
                made = await session.client.ask("POST", "account/link-codes", form_token=entered["form_token"])
                return made["code"], await session.client.ask("GET", "account/bots", form_token=entered["form_token"])

        code, bots = asyncio.run(main())
        say("say this to the bot, where nobody else reads, within ten minutes:")
        print(f"link {code}")
        for bot in bots:
            say(f"{bot['called'] or bot['name']} on {bot['network']}")
        if not bots:
            say("there is no bot yet: an admin adds one with flow bots add")


def _my_name(choice: Choice) -> str:
    """Return who one is logged in as, "" when nobody."""
    try:
        me = asking(choice, lambda client: client.ask("GET", "me"))
    except Unauthenticated:
        return ""
    return str(me["name"]) if me["kind"] != "anonymous" else ""


def _add_links(app: typer.Typer, choice: Choice) -> None:
    @app.command("links")
    def links(as_json: options.Json = False) -> None:
        """List who you are on chat networks."""
        found = asking(choice, lambda client: client.ask("GET", "account/links"))
        if as_json:
            print_json(found)
            return
        for each in found:
            print_row(each["network"], each["sender"])

    @app.command("unlink")
    def unlink(
        network: Annotated[str, typer.Argument(metavar="NETWORK", help="As `flow links` shows it.")],
    ) -> None:
        """Let bots of a network act for you no more."""

        async def find_and_unlink(client: ServerClient) -> None:
            mine = [each["sender"] for each in await client.ask("GET", "account/links") if each["network"] == network]
            if not mine:
                raise NotFound(f"you are not linked on {network}", hint="flow links")
            for sender in mine:
                await client.ask("DELETE", path_of("account", "links", network, sender))

        asking(choice, find_and_unlink)
