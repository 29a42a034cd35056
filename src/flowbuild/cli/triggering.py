"""Commands around what starts pipelines by itself: webhooks and what they delivered, schedules."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from flowbuild.cli import options
from flowbuild.cli.asking import Name, asking, group, path_of, print_row
from flowbuild.cli.choosing import Choice
from flowbuild.cli.views import print_json, say

TOKEN = "FLOW_FORGE_TOKEN"  # noqa: S105 (the name of a variable)
Hook = Annotated[str, typer.Argument(metavar="NAME", help="Name of the webhook.")]
Delivery = Annotated[str, typer.Argument(metavar="ID", help="As `flow deliveries list` shows it.")]
Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="Name of the pipeline.")]
Position = Annotated[int, typer.Option("--position", help="Which of its schedules, from 0.")]


def add_commands(app: typer.Typer, choice: Choice) -> None:
    """Add the commands to the command line."""
    _add_hooks(app, choice)
    _add_deliveries(app, choice)
    _add_schedules(app, choice)


def _add_hooks(app: typer.Typer, choice: Choice) -> None:
    hooks = group(app, "hooks", "Webhooks of a project: who may tell that something happened.")

    @hooks.command("list")
    def list_hooks(project: Name, as_json: options.Json = False) -> None:
        """List the webhooks of a project."""
        found = asking(choice, lambda client: client.ask("GET", path_of("projects", project, "hooks")))
        if as_json:
            print_json(found)
            return
        for hook in found:
            print_row(hook["name"], hook["kind"], hook["url"], "tells statuses" if hook["has_token"] else "")

    @hooks.command("add")
    def add(
        project: Name,
        kind: Annotated[str, typer.Argument(metavar="KIND", help="github, gitlab, gitea, bitbucket or generic.")],
        name: Annotated[str, typer.Option("--name", help="What it is called; pipelines name a generic one.")] = "forge",
        api_url: Annotated[str, typer.Option("--api-url", help="Of the forge's API, if it is not the usual one.")] = "",
    ) -> None:
        """Add a webhook; print its address and, this once, its secret: both are for the settings of the forge.

        A token in FLOW_FORGE_TOKEN lets the server tell the forge how runs of its commits went.
        """
        body = {"kind": kind, "name": name, "api_url": api_url or None, "token": os.environ.get(TOKEN) or None}
        made = asking(choice, lambda client: client.ask("POST", path_of("projects", project, "hooks"), body))
        print_row("address", made["url"])
        print_row("secret", made["secret"])
        if not made["has_token"] and kind != "generic":
            say(f"it tells no statuses: give a token of the forge in {TOKEN} to have them told")

    @hooks.command("remove")
    def remove(project: Name, name: Hook) -> None:
        """Remove a webhook, with what it delivered."""
        asking(choice, lambda client: client.ask("DELETE", path_of("projects", project, "hooks", name)))


def _add_deliveries(app: typer.Typer, choice: Choice) -> None:
    deliveries = group(app, "deliveries", "What webhooks delivered, and what followed from it.")

    @deliveries.command("list")
    def list_deliveries(
        project: Name,
        limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="At most so many.")] = 20,
        as_json: options.Json = False,
    ) -> None:
        """List what was delivered, the newest first."""
        path = path_of("projects", project, "deliveries")
        found = asking(choice, lambda client: client.ask("GET", path, limit=str(limit)))["items"]
        if as_json:
            print_json(found)
            return
        for each in found:
            print_row(each["id"], _time(each["received_at"]), each["hook"], each["event"], each["state"])
            for line in _followed(each["result"]):
                print_row("   ", line)

    @deliveries.command("approve")
    def approve(
        project: Name,
        delivery: Delivery,
        commit: Annotated[str, typer.Option("--commit", help="The one that you looked at; it may have changed.")],
    ) -> None:
        """Let what comes from outside run, at one commit and once. It gets no secrets."""
        path = path_of("projects", project, "deliveries", delivery, "approve")
        asking(choice, lambda client: client.ask("POST", path, {"commit": commit}))

    @deliveries.command("again")
    def again(project: Name, delivery: Delivery) -> None:
        """Look again at a delivery that failed, or from which nothing followed."""
        path = path_of("projects", project, "deliveries", delivery, "again")
        asking(choice, lambda client: client.ask("POST", path))


def _add_schedules(app: typer.Typer, choice: Choice) -> None:
    schedules = group(app, "schedules", "Schedules of a project, as its default branch has them.")

    @schedules.command("list")
    def list_schedules(project: Name, as_json: options.Json = False) -> None:
        """List the schedules of a project and when each is due."""
        found = asking(choice, lambda client: client.ask("GET", path_of("projects", project, "schedules")))
        if as_json:
            print_json(found)
            return
        for each in found:
            due = "paused" if each["paused_at"] else f"next {_time(each['next'][0])}" if each["next"] else "never again"
            print_row(each["pipeline"], str(each["position"]), each["words"], each["branch"], due, each["error"])

    @schedules.command("pause")
    def pause(project: Name, pipeline: Pipeline, position: Position = 0) -> None:
        """Let a schedule begin nothing until it is resumed."""
        _set_paused(choice, project, pipeline, position, paused=True)

    @schedules.command("resume")
    def resume(project: Name, pipeline: Pipeline, position: Position = 0) -> None:
        """Let a schedule go on; what was due meanwhile is not made up for."""
        _set_paused(choice, project, pipeline, position, paused=False)


def _set_paused(choice: Choice, project: str, pipeline: str, position: int, *, paused: bool) -> None:
    path = path_of("projects", project, "schedules", pipeline, str(position))
    asking(choice, lambda client: client.ask("PATCH", path, {"paused": paused}))


def _followed(result: Mapping[str, Any]) -> list[str]:
    """Return what followed from a delivery, a line for each pipeline or reason."""
    lines = [result["note"]] if result.get("note") else []
    if result.get("commit"):
        lines.append(f"waits for approval of commit {result['commit']}")
    for event in result.get("events", ()):
        lines += [event[key] for key in ("why", "problem") if event.get(key)]
        for each in event.get("pipelines", ()):
            words = each.get("problem") or (f"run {each['run']}" if each.get("run") else each.get("why", ""))
            lines.append(f"{each['pipeline']}: {words}")
    return lines


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
