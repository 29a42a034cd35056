"""Commands that keep pipelines of a server from beginning, and let them go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from flowbuild.cli import options
from flowbuild.cli.asking import Name, asking, path_of, print_row
from flowbuild.cli.choosing import Choice
from flowbuild.cli.render.text import clean
from flowbuild.cli.triggering import Pipeline
from flowbuild.cli.views import print_json, say


def add_commands(app: typer.Typer, choice: Choice) -> None:
    """Add the commands to the command line."""

    @app.command("hold")
    def hold(
        project: Name,
        pipeline: Pipeline,
        reason: Annotated[str, typer.Option("--reason", help="Shown to whoever wants to start it.")] = "",
    ) -> None:
        """Let nothing of a pipeline begin: by hand, by pushes, schedules or other pipelines. What runs goes on."""
        path = path_of("projects", project, "pipelines", pipeline, "hold")
        made = asking(choice, lambda client: client.ask("PUT", path, {"reason": reason}))
        say(clean(f"{pipeline} is {_held(made)}"))
        say(clean(f"  hint: flow unhold {project} {pipeline} lets it go"))

    @app.command("pipelines")
    def pipelines(
        project: Annotated[str, typer.Argument(metavar="PROJECT", help="Only those of one project.")] = "",
        as_json: options.Json = False,
    ) -> None:
        """List the pipelines of a server, how each ran last, and who holds it."""
        wanted = {"project": project} if project else {}
        found = asking(choice, lambda client: client.ask("GET", "pipelines", last="1", **wanted))
        if as_json:
            print_json(found)
            return
        for each in found:
            for pipeline in each["pipelines"]:
                ran = [f"run {run['number']} {run['state']}" for run in pipeline["runs"]]
                print_row(each["name"], pipeline["name"], *ran, _held(pipeline["hold"]))

    @app.command("unhold")
    def unhold(project: Name, pipeline: Pipeline) -> None:
        """Let a pipeline begin again, whoever holds it; what did not begin meanwhile is not made up for."""
        asking(choice, lambda client: client.ask("DELETE", path_of("projects", project, "pipelines", pipeline, "hold")))


def _held(hold: Mapping[str, Any] | None) -> str:
    """Return who holds a pipeline and why; empty when nobody does."""
    if hold is None:
        return ""
    return f"held by {hold['by']}" + (f": {hold['reason']}" if hold["reason"] else "")
