"""Commands for a server elsewhere: come in, look after projects, start pipelines."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flowbuild.cli import options
from flowbuild.cli.asking import Name, ask, asking, group, password, path_of
from flowbuild.cli.choosing import Choice
from flowbuild.cli.following import Follower, exit_code
from flowbuild.cli.logins import Login, Logins, normal
from flowbuild.cli.render.text import clean
from flowbuild.cli.views import choose_view, print_json, say
from flowbuild.client.base import RunView, ServerClient, ServerSession
from flowbuild.core.errors import NotFound

SCOPES = ("read", "run", "approve", "secrets", "manage", "account", "admin")


def add_commands(app: typer.Typer, choice: Choice) -> None:
    """Add the commands to the command line."""
    _add_setup(app, choice)
    _add_login(app, choice)
    _add_trigger(app, choice)
    _add_projects(app, choice)
    _add_secrets(app, choice)


def _add_setup(app: typer.Typer, choice: Choice) -> None:
    @app.command("setup")
    def setup(
        code: Annotated[str, typer.Option("--code", help="What the server printed when it started.")],
        address: Annotated[str, typer.Argument(metavar="ADDRESS")] = "http://127.0.0.1:8080",
        name: Annotated[str, typer.Option("--name", help="What you will be called.")] = "",
    ) -> None:
        """Make the first account of a server, that of its admin, and log in."""
        choice.server = normal(address)
        body = {"code": code, "name": name or ask("name: "), "password": password("new password: ", twice=True)}

        async def main() -> str:
            async with choice.elsewhere(anonymous=True) as session:
                await session.client.ask("POST", "setup", body)
                return await _token(session, body["name"], body["password"])

        _keep(choice.server, asyncio.run(main()))


def _add_login(app: typer.Typer, choice: Choice) -> None:
    @app.command("login")
    def login(
        address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Like https://flow.example.org.")],
        name: Annotated[str, typer.Option("--name", help="Your name there.")] = "",
        with_token: Annotated[
            bool, typer.Option("--with-token", help="Read an API token from standard input.")
        ] = False,
    ) -> None:
        """Log in to a server; the commands that look at runs take it with --server ADDRESS."""
        choice.server = normal(address)
        if with_token:
            token = sys.stdin.readline().strip()
        else:
            person, typed = name or ask("name: "), password("password: ")

            async def main() -> str:
                async with choice.elsewhere(anonymous=True) as session:
                    return await _token(session, person, typed)

            token = asyncio.run(main())
        _keep(choice.server, token)

    @app.command("logout")
    def logout(address: Annotated[str, typer.Argument(metavar="ADDRESS")]) -> None:
        """Forget the login on a server."""
        Logins().drop(normal(address))


async def _token(session: ServerSession, name: str, secret: str) -> str:
    """Log in and return an API token for this machine; the login itself ends with the session."""
    entered = await session.client.ask("POST", "login", {"name": name, "password": secret})
    wanted = {"name": f"flow on {socket.gethostname()}"[:128], "scopes": list(SCOPES)}
    if not entered["admin"]:
        wanted["scopes"] = [scope for scope in SCOPES if scope != "admin"]
    made = await session.client.ask("POST", "tokens", wanted, form_token=entered["form_token"])
    return str(made["token"])


def _keep(url: str, token: str) -> None:
    Logins().put(Login(url, token))
    say(f"logged in to {url}; flow --server {url} runs lists its runs")


def _add_trigger(app: typer.Typer, choice: Choice) -> None:
    @app.command("trigger")
    def trigger(
        project: Name,
        pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="Name of the pipeline.")],
        ref: Annotated[str, typer.Option("--ref", metavar="REF", help="Branch, tag or commit.")] = "",
        inputs: options.Inputs = None,
        variables: options.Variables = None,
        no_cache: options.NoCache = False,
        detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
        json_lines: options.Json = False,
        plain: options.Plain = False,
    ) -> int:
        """Start a pipeline of a project on the server and follow it; exit codes as of `flow run`."""
        body = {
            "ref": ref,
            "inputs": options.pairs(inputs, "input"),
            "variables": options.pairs(variables, "variable"),
            "fresh": no_cache,
        }
        choice.project = choice.project or project
        path = path_of("projects", project, "pipelines", pipeline, "runs")

        async def main() -> RunView | None:
            view = choose_view(json_lines=json_lines, plain=plain, drive=False)
            async with choice.elsewhere() as session:
                begun = await session.client.ask("POST", path, body)
                if detach:
                    print_json(begun) if json_lines else print(begun["id"])
                    return None
                return await Follower(session, view).run(await session.client.get(begun["id"]))

        ended = asyncio.run(main())
        return 0 if ended is None else exit_code(ended)


def _add_projects(app: typer.Typer, choice: Choice) -> None:
    projects = group(app, "projects", "Look after the projects of a server.")

    @projects.command("list")
    def list_projects(as_json: options.Json = False) -> None:
        """List the projects that you may see."""
        found = asking(choice, lambda client: client.ask("GET", "projects"))
        if as_json:
            print_json(found)
            return
        for project in found:
            trouble = f"  (cannot be fetched: {project['fetch_error']})" if project["fetch_error"] else ""
            print(clean(f"{project['name']}  {project['url']}{trouble}"))

    @projects.command("add")
    def add(
        project: Name,
        url: Annotated[str, typer.Argument(metavar="URL", help="https://…, ssh://… or user@host:path.")],
        user: Annotated[
            str, typer.Option("--user", help="For https; the password comes from FLOW_PASSWORD or a prompt.")
        ] = "",
        key: Annotated[Path | None, typer.Option("--key", help="File with a private key, for ssh.")] = None,
        branch: Annotated[str, typer.Option("--branch", help="Default branch, if not that of the repository.")] = "",
        public: Annotated[bool, typer.Option("--public", help="Everybody may look.")] = False,
    ) -> None:
        """Add a project; its repository must answer."""
        body: dict[str, Any] = {"name": project, "url": url, "default_branch": branch}
        body["visibility"] = "public" if public else "private"
        if user:
            body["credential"] = {
                "user": user,
                "password": os.environ.get("FLOW_PASSWORD") or password("its password: "),
            }
        elif key is not None:
            body["credential"] = {"key": key.read_text()}
        asking(choice, lambda client: client.ask("POST", "projects", body))
        say(f"added {project}; flow trigger {project} PIPELINE starts a run")


def _add_secrets(app: typer.Typer, choice: Choice) -> None:
    secrets = group(app, "secrets", "Secrets of a project; nobody can read them again.")

    @secrets.command("set")
    def put(
        project: Name,
        name: Annotated[str, typer.Argument(metavar="NAME")],
        environment: Annotated[str, typer.Option("--environment", help="Only for steps that act on it.")] = "",
        branches: Annotated[str, typer.Option("--branches", metavar="PATTERN", help="Only for these branches.")] = "",
        steps: Annotated[list[str] | None, typer.Option("--step", help="Only for this step; may be repeated.")] = None,
    ) -> None:
        """Set a secret; its value is read from standard input, or asked for."""
        value = password(f"value of {name}: ") if sys.stdin.isatty() else sys.stdin.read().removesuffix("\n")
        body = {"value": value, "environment": environment, "branches": branches, "steps": steps or []}
        asking(choice, lambda client: client.ask("PUT", path_of("projects", project, "secrets", name), body))

    @secrets.command("list")
    def list_secrets(project: Name, as_json: options.Json = False) -> None:
        """List the names of the secrets of a project, and where they count."""
        found = asking(choice, lambda client: client.ask("GET", path_of("projects", project, "secrets")))
        if as_json:
            print_json(found)
            return
        for secret in found:
            where = [f"environment {secret['environment']}"] * bool(secret["environment"])
            where += [f"branches {secret['branches']}"] * bool(secret["branches"])
            where += [f"steps {', '.join(secret['steps'])}"] * bool(secret["steps"])
            print(clean(f"{secret['name']}  {'; '.join(where) or 'everywhere'}"))

    @secrets.command("remove")
    def remove(
        project: Name,
        name: Annotated[str, typer.Argument(metavar="NAME")],
        environment: Annotated[str, typer.Option("--environment", help="The value for this one.")] = "",
        branches: Annotated[str, typer.Option("--branches", metavar="PATTERN", help="The value for these.")] = "",
    ) -> None:
        """Forget a secret."""
        place = path_of("projects", project, "secrets")

        async def find_and_remove(client: ServerClient) -> None:
            wanted = (name, environment, branches)
            for secret in await client.ask("GET", place):
                if (secret["name"], secret["environment"], secret["branches"]) == wanted:
                    await client.ask("DELETE", f"{place}/{secret['id']}")
                    return
            raise NotFound(
                f"there is no such secret {name!r}", hint=f"flow secrets list {project} shows those there are"
            )

        asking(choice, find_and_remove)
