"""Commands that start runs or change their course."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from flowbuild.cli import options
from flowbuild.cli.following import Follower, exit_code
from flowbuild.cli.views import choose_view, say
from flowbuild.client.base import Connect, DebugRequest, RunView, Session, StartRequest
from flowbuild.core.states import Outcome

Start = Callable[[Session], Awaitable[RunView]]


def add_commands(app: typer.Typer, connect: Connect) -> None:
    """Add the commands to the command line."""
    _add_run(app, connect)
    _add_rerun(app, connect)
    _add_resume(app, connect)
    _add_cancel(app, connect)
    _add_delete(app, connect)
    _add_gates(app, connect)
    _add_debug(app, connect)


def _follow(connect: Connect, shared: options.Driving, start: Start, *, abandon: bool) -> int:
    async def main() -> RunView:
        view = choose_view(json_lines=shared.json_lines, plain=shared.plain, drive=True)
        async with connect(shared.directory, drive=True, abandon=abandon) as session:
            for run in session.abandoned:
                say(_abandoned(run))
            run = await start(session)
            return await Follower(session, view, shared.approve or ()).run(run)

    return exit_code(asyncio.run(main()))


def _abandoned(run: RunView) -> str:
    was = f"run {run.number} of {run.project} was interrupted"
    if all(step.outcome not in (None, Outcome.CANCELLED) for step in run.steps):
        return f"{was} when all of its steps had ended; it is ended now"
    return f"{was} and is ended now; flow rerun {run.id} --from STEP"


def _add_run(app: typer.Typer, connect: Connect) -> None:
    @app.command("run")
    @options.driving
    def run(
        shared: options.Driving,
        pipeline: Annotated[
            str, typer.Argument(metavar="PIPELINE", help="Its name; not needed when there is one.")
        ] = "",
        file: Annotated[
            str, typer.Option("-f", "--file", metavar="FILE", help="Pipeline file instead of those of the repository.")
        ] = "",
        inputs: options.Inputs = None,
        variables: options.Variables = None,
        no_cache: options.NoCache = False,
    ) -> int:
        """Run a pipeline of this repository.

        Its files are taken as they are now, uncommitted work included. Exit codes: 0 succeeded, 1 failed, 2 wrong usage or
        pipeline file, 3 errored, 4 cancelled.

        Ctrl-C once stops the run gracefully, twice kills what runs.
        """
        request = StartRequest(
            directory=shared.directory,
            pipeline=pipeline,
            file=file,
            inputs=options.pairs(inputs, "input"),
            variables=options.pairs(variables, "variable"),
            secrets=shared.secrets(),
            fresh=no_cache,
        )
        return _follow(connect, shared, lambda session: session.client.start(request), abandon=True)


def _add_rerun(app: typer.Typer, connect: Connect) -> None:
    @app.command("rerun")
    @options.driving
    def rerun(
        shared: options.Driving,
        run: options.Run,
        from_steps: Annotated[
            list[str] | None, typer.Option("--from", metavar="STEP", help="First step to run again; may be repeated.")
        ] = None,
        failed: Annotated[bool, typer.Option("--failed", help="From all steps that went wrong.")] = False,
        variables: options.Variables = None,
        no_cache: options.NoCache = False,
    ) -> int:
        """Run a finished run again, or a part of it.

        All of it, or from a step on, taking over everything before it. The steps of --from and --failed really run,
        whatever the step cache holds.
        """
        changed, values = options.pairs(variables, "variable"), shared.secrets()
        return _follow(
            connect,
            shared,
            lambda session: session.client.rerun(
                run, from_steps=from_steps or [], failed=failed, variables=changed, secrets=values, fresh=no_cache
            ),
            abandon=True,
        )


def _add_resume(app: typer.Typer, connect: Connect) -> None:
    @app.command("resume")
    @options.driving
    def resume(
        shared: options.Driving,
        run: Annotated[
            str, typer.Argument(metavar="RUN", help="The run; the latest interrupted one if not given.")
        ] = "",
    ) -> int:
        """Go on with a run whose program was killed.

        Containers that still run are found again.
        """
        values = shared.secrets()
        return _follow(connect, shared, lambda session: session.client.resume(run, secrets=values), abandon=False)


def _add_cancel(app: typer.Typer, connect: Connect) -> None:
    @app.command("cancel")
    def cancel(
        run: options.Run,
        directory: options.Directory = ".",
        force: Annotated[bool, typer.Option("--force", help="Kill at once instead of stopping gracefully.")] = False,
    ) -> None:
        """End a run that another terminal drives.

        Or one that was interrupted, with what it left in the engine.
        """

        async def main() -> None:
            async with connect(directory) as session:
                view = await session.client.get(run)
                if view.state.final:
                    say(f"run {view.number} has ended already: {view.state}")
                    return
                await session.client.cancel(view.id, force=force)
            if view.interrupted:
                await _end_interrupted(connect, directory, view.id)
            else:
                say(f"run {view.number} is being ended; flow watch {view.number} shows how")

        asyncio.run(main())


async def _end_interrupted(connect: Connect, directory: str, run: str) -> None:
    """Do what its own program would have done for a run that was asked to end; a session that drives cleans up, too."""
    async with connect(directory, drive=True) as session:
        view = await session.client.get(run)
        if not view.state.final:
            await session.client.resume(run, secrets={})
            async for update in session.client.watch(run):
                view = update.run
            await session.settle(run)
    say(f"run {view.number} was interrupted and is ended now: {view.state}")


def _add_delete(app: typer.Typer, connect: Connect) -> None:
    @app.command("delete")
    def delete(run: options.Run, directory: options.Directory = ".") -> None:
        """Delete a run that has ended, with its repository and logs.

        What was started again from it stays.
        """

        async def main() -> None:
            async with connect(directory) as session:
                view = await session.client.get(run)
                await session.client.delete(view.id)
            say(f"run {view.number} is deleted")

        asyncio.run(main())


def _add_gates(app: typer.Typer, connect: Connect) -> None:
    def steer(directory: str, verb: Callable[[Session], Awaitable[None]]) -> None:
        async def main() -> None:
            async with connect(directory) as session:
                await verb(session)

        asyncio.run(main())

    @app.command("approve")
    def approve(
        run: options.Run, step: options.Step, directory: options.Directory = ".", comment: options.Comment = ""
    ) -> None:
        """Let a step that waits for approval act on its environment."""
        steer(directory, lambda session: session.client.approve(run, step, comment=comment))

    @app.command("reject")
    def reject(
        run: options.Run, step: options.Step, directory: options.Directory = ".", comment: options.Comment = ""
    ) -> None:
        """Refuse a step that waits for approval: it is failed."""
        steer(directory, lambda session: session.client.reject(run, step, comment=comment))


def _add_debug(app: typer.Typer, connect: Connect) -> None:
    @app.command("debug")
    def debug(
        run: options.Run,
        step: options.Step,
        command: Annotated[
            list[str] | None, typer.Argument(metavar="-- COMMAND", help="Run this instead of a shell.")
        ] = None,
        directory: options.Directory = ".",
        service: Annotated[
            str, typer.Option("--service", metavar="NAME", help="Service whose image is used; default: the main one.")
        ] = "",
        output: Annotated[bool, typer.Option("--output", help="What the step left, instead of what it got.")] = False,
        attempt: options.Attempt = None,
        secret: options.Secrets = None,
        secret_file: options.SecretFile = None,
    ) -> int:
        """Open a shell in the exact input of a step.

        Or in what it left, with --output. Whatever is done there, nothing in the run changes. Of a step of a server, the
        shell is on this machine, and secrets are those that you give.
        """
        request = DebugRequest(
            run=run,
            step=step,
            service=service,
            attempt=attempt,
            output=output,
            command=tuple(command or ()),
            secrets=options.secrets(secret, secret_file),
        )

        return asyncio.run(_debug(connect, directory, request))


async def _debug(connect: Connect, directory: str, request: DebugRequest) -> int:
    """Run the shell; a signal that ends us (a terminal that is closed) leaves nothing of it in the engine."""
    task, ended_by = asyncio.current_task(), list[int]()
    assert task is not None  # noqa: S101  (we are in one)

    def end(number: int) -> None:
        ended_by.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        async with connect(directory) as session:
            return await session.debug(request)
    except asyncio.CancelledError:
        if not ended_by:
            raise
        return 128 + ended_by[0]
