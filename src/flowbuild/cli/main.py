"""The command line `flow`. Exit codes: 0 succeeded, 1 failed, 2 wrong usage or file, 3 errored, 4 cancelled, 5 interrupted."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from flowbuild.cli import (
    bots,
    chatting,
    checking,
    holding,
    looking,
    machines,
    people,
    running,
    servers,
    serving,
    telling,
    triggering,
)
from flowbuild.cli.choosing import Choice
from flowbuild.cli.views import say
from flowbuild.client.base import Connect, Dial
from flowbuild.client.operating import Operator
from flowbuild.client.talking import Agents, Talk
from flowbuild.core.errors import FlowError, SystemFailed
from flowbuild.spec.findings import InvalidFile


def run_program(
    connect: Connect,
    arguments: list[str] | None = None,
    *,
    operator: Operator | None = None,
    dial: Dial | None = None,
    talk: Talk | None = None,
    agents: Agents | None = None,
) -> int:
    """Run the program with the arguments of the command line; return its exit code."""
    try:
        with _one_error():
            result = build(connect, operator, dial, talk, agents)(
                args=arguments, prog_name="flow", standalone_mode=False
            )
    except FlowError as error:
        _print_error(error)
        return 3 if isinstance(error, SystemFailed) else 2
    except (BrokenPipeError, SystemExit):  # SystemExit: what typer makes of a closed pipe
        return 0  # whoever read us has seen enough
    except OSError as error:
        _print_error(_refused(error))
        return 3
    except Exception as error:
        show = getattr(error, "show", None)  # usage errors of typer know how to show themselves
        if show is None:
            raise
        show()
        return 2
    return result if isinstance(result, int) else 0


def build(
    connect: Connect,
    operator: Operator | None = None,
    dial: Dial | None = None,
    talk: Talk | None = None,
    agents: Agents | None = None,
) -> typer.Typer:
    """Return the command line: connected to the server in this process by `connect`, to others by `dial`.

    With an `operator` it can be one, with `talk` one can talk to others, with `agents` programs can.
    """
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Run pipelines of docker compose steps, look at runs, start them again from any step.",
        epilog="docs/tutorial.md leads from a new repository to a finished run.",
    )
    choice = Choice(connect, dial)
    app.callback()(_options(choice))
    running.add_commands(app, choice)
    looking.add_commands(app, choice)
    checking.add_commands(app, choice)
    if dial is not None:
        servers.add_commands(app, choice)
        people.add_commands(app, choice)
        bots.add_commands(app, choice)
        triggering.add_commands(app, choice)
        holding.add_commands(app, choice)
        telling.add_commands(app, choice)
        machines.add_commands(app, choice)
    if talk is not None:
        chatting.add_commands(app, choice, talk)
    if agents is not None:
        chatting.add_agents(app, choice, agents)
    if operator is not None:
        serving.add_commands(app, operator)
        serving.add_bot(app, operator)
        machines.add_runner(app, operator)
    return app


def _show_version(wanted: bool) -> None:  # noqa: FBT001  (the value of an option)
    if wanted:
        from importlib.metadata import version

        print(f"flow {version('flow-build-server')}")
        raise typer.Exit


def _options(choice: Choice) -> Callable[..., None]:
    """Return what takes the options that stand before the command."""

    def options(
        _version: Annotated[
            bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
        ] = False,
        server: Annotated[
            str, typer.Option("--server", metavar="ADDRESS", help="A server that you are logged in to; or FLOW_SERVER.")
        ] = "",
        project: Annotated[
            str,
            typer.Option(
                "--project",
                metavar="NAME",
                help="Project there that numbers of runs count in; without --server: of the latest login.",
            ),
        ] = "",
    ) -> None:
        choice.server = server or choice.server
        choice.project = project or choice.project
        choice.far = bool(project)

    return options


@contextmanager
def _one_error() -> Iterator[None]:
    """Raise the first error of a group by itself: tasks that fail together fail for the reason of the first."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group


def _refused(error: OSError) -> SystemFailed:
    """Say what the operating system refused."""
    what = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror or str(error)
    hint = "free some space, or name a directory on another disk in FLOW_HOME" if error.errno == errno.ENOSPC else ""
    return SystemFailed(f"the machine refused: {what}", hint=hint)


def _print_error(error: FlowError) -> None:
    if isinstance(error, InvalidFile):
        for finding in error.findings:
            say(str(finding))
    say(f"flow: {error.message}")
    if error.hint:
        say(f"  hint: {error.hint}")
