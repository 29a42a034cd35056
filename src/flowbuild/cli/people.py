"""Commands around people on a server: accounts, roles, API tokens, the audit log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from flowbuild.cli import options
from flowbuild.cli.asking import Name, ask, asking, every, group, password, path_of, print_row
from flowbuild.cli.choosing import Choice
from flowbuild.cli.render.text import clean
from flowbuild.cli.views import print_json, say

Person = Annotated[str, typer.Argument(metavar="NAME", help="Name of the person.")]


def add_commands(app: typer.Typer, choice: Choice) -> None:
    """Add the commands to the command line."""
    _add_users(app, choice)
    _add_members(app, choice)
    _add_tokens(app, choice)
    _add_audit(app, choice)


def _add_users(app: typer.Typer, choice: Choice) -> None:
    users = group(app, "users", "People on a server; for its admins.")

    @users.command("list")
    def list_users(as_json: options.Json = False) -> None:
        """List the people on the server."""
        found = asking(choice, lambda client: every(client, "users"))
        if as_json:
            print_json(found)
            return
        for user in found:
            marks = [user["role"]] * (user["role"] == "admin") + ["disabled"] * bool(user["disabled_at"])
            print_row(user["name"], user["display_name"], user["email"], ", ".join(marks))

    @users.command("add")
    def add(
        name: Person,
        email: Annotated[str, typer.Option("--email", help="Also by which a login provider finds the account.")] = "",
        admin: Annotated[bool, typer.Option("--admin", help="May do everything on the server.")] = False,
        no_password: Annotated[bool, typer.Option("--no-password", help="Comes in by a login provider only.")] = False,
    ) -> None:
        """Add a person; their first password comes from FLOW_PASSWORD or is asked for."""
        body = {"name": name, "email": email, "role": "admin" if admin else "user"}
        if not no_password:
            body["password"] = password(f"password of {name}: ", twice=True)
        asking(choice, lambda client: client.ask("POST", "users", body))
        say(f"added {name}; flow members set PROJECT {name} ROLE gives them a role")

    @users.command("disable")
    def disable(name: Person) -> None:
        """Log a person out and let nobody in by that name any more; what they made stays."""
        asking(choice, lambda client: client.ask("PATCH", path_of("users", name), {"disabled": True}))

    @users.command("enable")
    def enable(name: Person) -> None:
        """Let a disabled person in again."""
        asking(choice, lambda client: client.ask("PATCH", path_of("users", name), {"disabled": False}))

    @users.command("password")
    def set_password(name: Person) -> None:
        """Give a person a new password and log them out everywhere."""
        body = {"password": password(f"new password of {name}: ", twice=True)}
        asking(choice, lambda client: client.ask("PUT", path_of("users", name, "password"), body))


def _add_members(app: typer.Typer, choice: Choice) -> None:
    members = group(app, "members", "Roles of people in a project: viewer, developer, approver, maintainer.")

    @members.command("list")
    def list_members(project: Name, as_json: options.Json = False) -> None:
        """List who has a role in a project."""
        found = asking(choice, lambda client: client.ask("GET", path_of("projects", project, "members")))
        if as_json:
            print_json(found)
            return
        for member in found:
            print_row(member["name"], member["role"], member["display_name"])

    @members.command("set")
    def put(project: Name, name: Person, role: Annotated[str, typer.Argument(metavar="ROLE")]) -> None:
        """Give a person a role, instead of the one they had; each role includes those before it."""
        path = path_of("projects", project, "members", name)
        asking(choice, lambda client: client.ask("PUT", path, {"role": role}))

    @members.command("remove")
    def remove(project: Name, name: Person) -> None:
        """Take the role of a person away."""
        asking(choice, lambda client: client.ask("DELETE", path_of("projects", project, "members", name)))


def _add_tokens(app: typer.Typer, choice: Choice) -> None:
    tokens = group(app, "tokens", "API tokens: your own.")

    @tokens.command("list")
    def list_tokens(as_json: options.Json = False) -> None:
        """List your tokens, the newest first."""
        found = asking(choice, lambda client: client.ask("GET", "tokens"))
        if as_json:
            print_json(found)
            return
        for token in found:
            where = f"only {token['project']}" if token["project"] else ""
            print_row(token["id"], token["name"], f"…{token['hint']}", ",".join(token["scopes"]), where, _state(token))

    @tokens.command("create")
    def create(
        name: Annotated[str, typer.Argument(metavar="NAME", help="What you will know it by.")],
        scopes: Annotated[
            list[str], typer.Option("--scope", help="read, run, approve, secrets, manage, account, admin; repeat it.")
        ],
        only: Annotated[str, typer.Option("--only", metavar="PROJECT", help="It opens nothing else.")] = "",
        days: Annotated[float, typer.Option("--days", help="How long it lasts, up to 366.")] = 90,
        user: Annotated[str, typer.Option("--name", help="Your name on the server.")] = "",
    ) -> None:
        """Print a new token, this once. It takes your password: a token cannot make others."""
        entering = {"name": user or ask("your name: "), "password": password("your password: ")}
        body = {"name": name, "scopes": scopes, "project": only or None, "days": days}

        async def main() -> Any:
            async with choice.elsewhere(anonymous=True) as session:
                entered = await session.client.ask("POST", "login", entering)
                return await session.client.ask("POST", "tokens", body, form_token=entered["form_token"])

        print(asyncio.run(main())["token"])

    @tokens.command("revoke")
    def revoke(token: Annotated[str, typer.Argument(metavar="ID", help="As `flow tokens list` shows it.")]) -> None:
        """Let a token open nothing any more."""
        asking(choice, lambda client: client.ask("DELETE", path_of("tokens", token)))


def _add_audit(app: typer.Typer, choice: Choice) -> None:
    @app.command("audit")
    def audit(
        project: Annotated[str, typer.Option("--of", metavar="PROJECT", help="Only what was done in a project.")] = "",
        limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="At most so many.")] = 50,
        verify: Annotated[bool, typer.Option("--verify", help="Look whether somebody tampered with the log.")] = False,
        as_json: options.Json = False,
    ) -> int:
        """Show who did what on the server, the newest first."""
        if verify:
            verdict = asking(choice, lambda client: client.ask("GET", "audit/verify"))
            print_json(verdict) if as_json else print(clean(verdict["problem"] or _whole(verdict)))
            return 1 if verdict["problem"] else 0
        place = path_of("projects", project, "audit") if project else "audit"
        found = asking(choice, lambda client: client.ask("GET", place, limit=str(limit)))["items"]
        if as_json:
            print_json(found)
            return 0
        for row in found:
            at = datetime.fromtimestamp(row["at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
            print_row(
                f"{at}Z", row["actor"] or "?", row["action"], row["object"], row["project"], row["address"], row["via"]
            )
        return 0


def _whole(verdict: Mapping[str, Any]) -> str:
    return f"all {verdict['rows']} entries are as they were written; the newest has the hash {verdict['hash']}"


def _state(token: Mapping[str, Any]) -> str:
    if token["revoked_at"]:
        return "revoked"
    left = (token["expires_at"] - time.time()) / 86_400
    return "over" if left <= 0 else f"{left:.0f} days left"
