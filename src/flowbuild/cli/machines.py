"""Commands around runners: be one, let machines in, look after them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from flowbuild.cli import options
from flowbuild.cli.asking import asking, group, heard_of, path_of
from flowbuild.cli.choosing import Choice
from flowbuild.cli.logins import normal
from flowbuild.cli.render.text import clean
from flowbuild.cli.views import print_json, say
from flowbuild.client.base import RunnerRequest
from flowbuild.client.operating import Operator
from flowbuild.core.errors import NotFound

Name = Annotated[str, typer.Argument(metavar="RUNNER", help="Name of the runner.")]


def add_runner(app: typer.Typer, operator: Operator) -> None:
    """Add the command that is a runner."""

    @app.command("runner")
    def runner(
        server: Annotated[
            list[str] | None,
            typer.Option(
                "--server",
                metavar="URL",
                help="Like https://flow.example.org; may be repeated when servers share a database.",
            ),
        ] = None,
        code: Annotated[str, typer.Option("--code", help="What `flow runners add` printed; once per machine.")] = "",
        name: Annotated[str, typer.Option("--name", help="What the runner is called; default: this machine.")] = "",
        label: Annotated[
            list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="Says what it is; may be repeated.")
        ] = None,
    ) -> None:
        """Execute steps of a server on this machine, which needs Docker, git and git-lfs.

        The first time with --server and --code, or FLOW_JOIN_TOKEN; it then knows who it is. SIGTERM or Ctrl-C stops it, and containers go on:
        the next start finds them, within a minute. `flow runners drain` lets it finish what it has.
        """
        servers = tuple(dict.fromkeys(normal(each) for each in server or ()))
        operator.work(RunnerRequest(servers, code, name, options.pairs(label, "label")))


def add_commands(app: typer.Typer, choice: Choice) -> None:
    """Add the commands about runners of a server."""
    runners = group(app, "runners", "Look after the runners of a server.")
    _add_states(runners, choice)

    @runners.command("list")
    def list_runners(as_json: options.Json = False) -> None:
        """List the machines that execute steps besides that of the server, and what they work on."""
        found = asking(choice, lambda client: client.ask("GET", "runners"))
        if as_json:
            print_json(found)
            return
        work = asking(choice, lambda client: client.ask("GET", "queue", limit="1000"))
        now = time.time()
        for each in found:
            print(clean(_line(each, now)))
            for one in work:
                if one["runner"] == each["name"]:
                    print(
                        clean(f"    {one['project']} {one['number']}  {one['step']}  {_since(one['started_at'], now)}")
                    )

    @runners.command("add")
    def add() -> None:
        """Make a code for a new runner; it is good for ten minutes, once."""
        made = asking(choice, lambda client: client.ask("POST", "runners/codes"))
        say("on the new machine, within ten minutes:")
        print(f"flow runner --server {choice.url()} --code {made['code']}")

    @runners.command("show")
    def show(runner: Name, as_json: options.Json = False) -> None:
        """Show a machine: what it offers, what is reserved of it, how loaded it is, and what constraints see of it."""
        found = next(
            (each for each in asking(choice, lambda client: client.ask("GET", "runners")) if each["name"] == runner),
            None,
        )
        if found is None:
            raise NotFound(f"there is no runner {runner!r}", hint="flow runners list")
        if as_json:
            print_json(found)
            return
        print(clean(_line(found, time.time())))
        for line in _details(found):
            print(clean(f"    {line}"))

    @runners.command("rotate")
    def rotate(runner: Name) -> None:
        """Have a runner make a new key for itself; the one it has ends when it uses that."""
        asking(choice, lambda client: client.ask("POST", path_of("runners", runner, "rotate")))
        say(f"{runner} makes itself a new key as soon as it is heard of; flow runners list shows when")

    @runners.command("revoke")
    def revoke(runner: Name) -> None:
        """Never let a runner in again; what it works on is lost."""
        asking(choice, lambda client: client.ask("DELETE", path_of("runners", runner)))


def _add_states(runners: typer.Typer, choice: Choice) -> None:
    """Add the commands that say whether a runner gets work."""

    @runners.command("cordon")
    def cordon(runner: Name) -> None:
        """Give a runner no more work; it goes on with what it has, and stays. `activate` gives it work again."""
        asking(choice, lambda client: client.ask("POST", path_of("runners", runner, "cordon")))

    @runners.command("drain")
    def drain(runner: Name) -> None:
        """Give a runner no more work; its program ends when it has none left."""
        asking(choice, lambda client: client.ask("POST", path_of("runners", runner, "drain")))

    @runners.command("activate")
    def activate(runner: Name) -> None:
        """Give a runner work again that got none."""
        asking(choice, lambda client: client.ask("POST", path_of("runners", runner, "activate")))


def _line(runner: Mapping[str, Any], now: float) -> str:
    silent = runner["state"] != "revoked" and not runner["heard"] and runner["seen_at"] is not None
    state = f"{runner['state']}, silent" if silent else runner["state"]
    parts = [runner["name"], state, f"{runner['busy']} of {runner['capacity']} busy"]
    parts += ["inside the server"] if runner["embedded"] else [heard_of(runner["seen_at"], now)]
    parts += [_key(runner, now)] if runner["state"] != "revoked" and not runner["embedded"] else []
    parts += [version] if (version := runner["facts"].get("version")) else []
    return "  ".join([*parts, *(f"{key}={value}" for key, value in runner["labels"].items())])


def _details(runner: Mapping[str, Any]) -> Iterator[str]:
    """Yield what `show` says besides the line of the list."""
    total, reserved = runner["total"], runner["reserved"]
    if runner["closed"]:
        yield f"no work: it {runner['closed']}"
    yield f"cpus      {reserved['cpus']:g} of {total['cpus']:g} reserved"
    yield f"memory    {_size(reserved['memory'])} of {_size(total['memory'])} reserved"
    for kind, amount in sorted(total["generic"].items()):
        yield f"{kind:<9} {reserved['generic'].get(kind, 0)} of {amount} reserved"
    if (load := runner["load"]) is not None:
        yield f"load      {load['processes']:g}"
        yield f"free      {_size(load['memory_free'])} of memory, {_size(load['disk_free'])} of the disk; {_size(load['kept'])} kept of runs"
    yield from (f"{name} = {value}" for name, value in sorted(runner["attributes"].items()))


def _size(number: int) -> str:
    return f"{number / (1 << 30):.1f} GiB"


def _key(runner: Mapping[str, Any], now: float) -> str:
    ends = runner["key_ends_at"]
    left = "" if ends is None else ", over" if ends <= now else f", ends in {_days(ends - now)}"
    return f"key {_days(now - runner['key_made_at'])} old{left}{', a new one is to come' * runner['key_wanted']}"


def _days(seconds: float) -> str:
    days = max(0, int(seconds // 86_400))
    return f"{days} day{'s' * (days != 1)}"


def _since(at: float | None, now: float) -> str:
    return "is being prepared" if at is None else f"for {max(0, now - at):.0f} s"
