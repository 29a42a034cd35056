"""Commands that look at runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from flowbuild.cli import options
from flowbuild.cli.following import INTERRUPTED, Follower, exit_code
from flowbuild.cli.views import choose_view, print_diff, print_json, print_log, print_run, print_runs, say
from flowbuild.client.base import Connect, FlowClient, RunView, StepView
from flowbuild.core.human import why

Query = Callable[[FlowClient], Awaitable[int | None]]
Ask = Callable[[str, Query], int | None]


def add_commands(app: typer.Typer, connect: Connect) -> None:
    """Add the commands to the command line."""

    def ask(directory: str, query: Query) -> int | None:
        async def main() -> int | None:
            async with connect(directory) as session:
                return await query(session.client)

        return asyncio.run(main())

    _add_runs(app, ask)
    _add_show(app, ask)
    _add_logs(app, ask)
    _add_diff(app, ask)
    _add_watch(app, connect)


def _add_runs(app: typer.Typer, ask: Ask) -> None:
    @app.command("runs")
    def runs(
        directory: options.Directory = ".",
        everything: Annotated[bool, typer.Option("--all", help="Runs of all projects.")] = False,
        limit: Annotated[
            int, typer.Option("-n", "--limit", metavar="N", min=1, max=1000, help="How many at most.")
        ] = 20,
        as_json: options.Json = False,
    ) -> None:
        """List runs, the newest first."""

        async def query(client: FlowClient) -> None:
            found = await client.runs(everything=everything, limit=limit)
            several = everything or len({run.project for run in found}) > 1  # all of them: outside of any repository
            print_json(found) if as_json else print_runs(found, projects=several)

        ask(directory, query)


def _add_show(app: typer.Typer, ask: Ask) -> None:
    @app.command("show")
    def show(run: options.Run, directory: options.Directory = ".", as_json: options.Json = False) -> None:
        """Show a run: graph, times, changes.

        Every attempt of every step with its phases, and which files and variables it changed.
        """

        async def query(client: FlowClient) -> None:
            found = await client.get(run)
            if as_json:
                print_json(found)
                return
            changed = [step.key for step in found.steps if step.result_commit and not step.reused]
            diffs = {key: await client.diff(found.id, key) for key in changed}
            print_run(found, diffs)

        ask(directory, query)


def _add_logs(app: typer.Typer, ask: Ask) -> None:
    @app.command("logs")
    def logs(
        run: options.Run,
        step: Annotated[str, typer.Argument(metavar="STEP", help="The step; all steps if not given.")] = "",
        directory: options.Directory = ".",
        follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as output comes.")] = False,
        attempt: options.Attempt = None,
        service: Annotated[
            str, typer.Option("--service", metavar="NAME", help="Only this service; bytes exactly as written.")
        ] = "",
    ) -> int | None:
        """Print the log of a step, or of all steps.

        With -f until it ends, or until nobody drives the run: exit code 5 then.
        """

        async def query(client: FlowClient) -> int | None:
            found = await client.get(run)
            if not follow and (note := _no_log(found, step)):
                say(note)
            steps = [step] if step else _in_order(found)
            for key in steps:
                chunks = client.logs(found.id, key, attempt=attempt, service=service, follow=follow)
                await print_log(chunks, prefix=not step, exact=bool(service))
            if not follow or not _cut(await client.get(found.id), step, attempt):
                return None
            say(
                f"run {found.number} was interrupted, nobody drives it: "
                f"flow resume {found.number} goes on with it, flow cancel {found.number} ends it"
            )
            return INTERRUPTED

        return ask(directory, query)


def _add_diff(app: typer.Typer, ask: Ask) -> None:
    @app.command("diff")
    def diff(
        run: options.Run,
        step: options.Step,
        other: Annotated[str, typer.Argument(metavar="STEP", help="Compare with the result of this step.")] = "",
        directory: options.Directory = ".",
        stat: Annotated[bool, typer.Option("--stat", help="Names and sizes only.")] = False,
        as_json: options.Json = False,
    ) -> None:
        """Show which files and variables a step changed."""

        async def query(client: FlowClient) -> None:
            found = await client.diff(run, step, other or None, patch=not stat and not as_json)
            print_json(found) if as_json else print_diff(found)

        ask(directory, query)

    @app.command("clone")
    def clone(
        run: options.Run,
        target: Annotated[str, typer.Argument(metavar="DIR", help="Directory to make.")],
        directory: options.Directory = ".",
    ) -> None:
        """Clone the repository of a run: every step is a commit in it."""

        async def query(client: FlowClient) -> None:
            found = await client.clone(run, target)
            say(f"run {found.number} is in {target}; git log --all --graph shows its steps")

        ask(directory, query)


def _add_watch(app: typer.Typer, connect: Connect) -> None:
    @app.command("watch")
    def watch(
        run: options.Run,
        directory: options.Directory = ".",
        json_lines: options.Json = False,
        plain: options.Plain = False,
    ) -> int:
        """Watch a run that another terminal drives.

        Until it ends, or until nobody drives it: exit code 5 then.
        """

        async def main() -> RunView:
            async with connect(directory) as session:
                view = choose_view(json_lines=json_lines, plain=plain, drive=False)
                return await Follower(session, view).run(await session.client.get(run), steer=False)

        return exit_code(asyncio.run(main()))


def _cut(run: RunView, step: str, attempt: int | None) -> bool:
    """Whether nobody drives the run although what was followed (all of it without `step`) has not ended."""
    tried = [
        found for view in run.steps if view.key == step for found in view.attempts if attempt in (None, found.attempt)
    ]
    return run.interrupted and not (tried and tried[-1].state == "done")


def _no_log(run: RunView, key: str) -> str:
    """Say why there is no log of a step; "" when there is one, or no such step."""
    step = next((step for step in run.steps if step.key == key), None)
    if step is None or step.attempts:
        return ""
    name = f"step {key!r} of run {run.number}"
    if step.reused and run.rerun_of is None:
        return f"{name} was taken over from a run that is gone"
    if step.reused:
        return f"{name} was taken over from run {run.rerun_of}: flow logs {run.rerun_of} {key}"
    if step.outcome is None:
        return f"{name} has not started: it is {step.state}"
    reason = why(step.outcome, step.reason, step.exit_code)
    return f"{name} has no log, it did not run: {step.outcome}{', ' + reason if reason else ''}"


def _in_order(run: RunView) -> list[str]:
    """Return the steps that ran, in the order in which they started."""
    started = [step for step in run.steps if step.attempts]
    return [step.key for step in sorted(started, key=_begin)]


def _begin(step: StepView) -> float:
    """Return when the first attempt of a step began; one that took its result from the cache began when it was queued."""
    first = step.attempts[0]
    return first.started_at or (first.queued_at if first.cached else None) or float("inf")
