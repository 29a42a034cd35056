"""`flow channels`: where people are told what happened, of a project or one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from flowbuild.cli import options
from flowbuild.cli.asking import asking, group, path_of, print_row
from flowbuild.cli.choosing import Choice
from flowbuild.cli.views import print_json, say
from flowbuild.core.errors import InvalidRequest

Of = Annotated[str, typer.Option("--of", metavar="PROJECT", help="The channels of a project; without it your own.")]
Channel = Annotated[str, typer.Argument(metavar="NAME", help="Name of the channel.")]
On = Annotated[
    list[str] | None,
    typer.Option(
        "--on", metavar="EVENT", help="started, finished, failed, recovered, approval, …; repeat it, or commas."
    ),
]
Pipelines = Annotated[list[str] | None, typer.Option("--pipeline", metavar="PATTERN", help="Only of these; repeat it.")]
Branches = Annotated[list[str] | None, typer.Option("--branch", metavar="PATTERN", help="Only of these; repeat it.")]
Mine = Annotated[bool | None, typer.Option("--mine/--all", help="Only runs that you began, or whose commit is yours.")]
Hours = Annotated[
    str | None,
    typer.Option("--quiet", metavar="HH:MM-HH:MM", help="Hours in which nothing is told; empty: there are none."),
]
Urgent = Annotated[list[str] | None, typer.Option("--urgent", metavar="EVENT", help="What is told in these, too.")]
Digest = Annotated[
    str | None, typer.Option("--digest", metavar="WHEN", help="hourly, or a time of day like 08:30; empty: at once.")
]
Zone = Annotated[str | None, typer.Option("--timezone", metavar="NAME", help="Of both, like Europe/Riga.")]
Mention = Annotated[bool | None, typer.Option("--mention/--no-mention", help="Name the author of a failure.")]


def add_commands(app: typer.Typer, choice: Choice) -> None:
    """Add the commands to the command line."""
    channels = group(app, "channels", "Where people are told what happened: e-mail, webhooks, chats.")
    _add_lists(channels, choice)
    _add_new(channels, choice)
    _add_change(channels, choice)
    _add_others(channels, choice)


def _add_lists(channels: typer.Typer, choice: Choice) -> None:
    @channels.command("list")
    def list_channels(of: Of = "", as_json: options.Json = False) -> None:
        """List channels and what they are told."""
        found = asking(choice, lambda client: client.ask("GET", _place(of)))
        if as_json:
            print_json(found)
            return
        for each in found:
            state = "disabled" if each["disabled"] else ""
            print_row(each["name"], each["kind"], each["target"], _words(each["rule"]), state)

    @channels.command("log")
    def log(
        name: Channel,
        of: Of = "",
        limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="At most so many.")] = 20,
        as_json: options.Json = False,
    ) -> None:
        """Show what a channel was told, and is to be told, the newest first."""
        path = _place(of, name, "dispatches")
        found = asking(choice, lambda client: client.ask("GET", path, limit=str(limit)))["items"]
        if as_json:
            print_json(found)
            return
        for each in found:
            run = f"{each['pipeline']} {each['number']}" if each["run"] else "machine"
            about = "test" if each["test"] else f"{run}  {each['event']}"
            when = f"at {_time(each['next_at'])}" if each["next_at"] is not None else ""
            print_row(each["id"], _time(each["created_at"]), about, each["state"], when, each["error"])


def _add_new(channels: typer.Typer, choice: Choice) -> None:
    @channels.command("add")
    def add(
        name: Channel,
        kind: Annotated[str, typer.Argument(metavar="KIND", help="email, webhook, matrix, slack or telegram.")],
        target: Annotated[
            str, typer.Argument(metavar="TARGET", help="Addresses, a URL, a room; not of your own.")
        ] = "",
        of: Of = "",
        on: On = None,
        pipelines: Pipelines = None,
        branches: Branches = None,
        mine: Mine = None,
        quiet: Hours = None,
        urgent: Urgent = None,
        digest: Digest = None,
        timezone: Zone = None,
        mention: Mention = None,
    ) -> None:
        """Add a channel. The secret that a webhook is signed with is printed this once."""
        given = _given(on, pipelines, branches, mine, digest, timezone, mention)
        body = {"name": name, "kind": kind, "target": target, "rule": _rule({}, given, quiet, urgent)}
        made = asking(choice, lambda client: client.ask("POST", _place(of), body))
        _print_secret(made)
        say(f"added {name}; flow channels test {name}{_option(of)} tries it")


def _add_change(channels: typer.Typer, choice: Choice) -> None:
    @channels.command("change")
    def change(
        name: Channel,
        of: Of = "",
        target: Annotated[str | None, typer.Option("--target", help="Where it leads.")] = None,
        on: On = None,
        pipelines: Pipelines = None,
        branches: Branches = None,
        mine: Mine = None,
        quiet: Hours = None,
        urgent: Urgent = None,
        digest: Digest = None,
        timezone: Zone = None,
        mention: Mention = None,
        disabled: Annotated[bool | None, typer.Option("--disable/--enable", help="Tell it nothing; again.")] = None,
        new_secret: Annotated[bool, typer.Option("--new-secret", help="Of a webhook; it is printed.")] = False,
    ) -> None:
        """Change a channel; what is not named stays."""
        given = _given(on, pipelines, branches, mine, digest, timezone, mention)

        async def work(client: Any) -> Any:
            body: dict[str, Any] = {"target": target, "disabled": disabled, "renew_secret": new_secret or None}
            if given or quiet is not None or urgent is not None or timezone is not None:
                known = {each["name"]: each for each in await client.ask("GET", _place(of))}
                body["rule"] = _rule(known[name]["rule"] if name in known else {}, given, quiet, urgent)
            return await client.ask("PATCH", _place(of, name), body)

        changed = asking(choice, work)
        _print_secret(changed)


def _add_others(channels: typer.Typer, choice: Choice) -> None:
    @channels.command("remove")
    def remove(name: Channel, of: Of = "") -> None:
        """Remove a channel, with its log and what waits for it."""
        asking(choice, lambda client: client.ask("DELETE", _place(of, name)))

    @channels.command("test")
    def test(name: Channel, of: Of = "") -> None:
        """Send something to a channel at once."""
        asking(choice, lambda client: client.ask("POST", _place(of, name, "test")))
        say(f"sent; flow channels log {name}{_option(of)} shows what became of it")

    @channels.command("again")
    def again(
        name: Channel, dispatch: Annotated[str, typer.Argument(metavar="ID", help="As the log shows it.")], of: Of = ""
    ) -> None:
        """Send once more what was sent, or given up."""
        asking(choice, lambda client: client.ask("POST", _place(of, name, "dispatches", dispatch, "again")))


def _print_secret(channel: Mapping[str, Any]) -> None:
    if channel["secret"]:
        say("the secret that its requests are signed with, shown this once:")
        print(channel["secret"])


def _place(of: str, *parts: str) -> str:
    return path_of("projects", of, "channels", *parts) if of else path_of("account", "channels", *parts)


def _option(of: str) -> str:
    return f" --of {of}" if of else ""


def _given(
    on: Sequence[str] | None,
    pipelines: Sequence[str] | None,
    branches: Sequence[str] | None,
    *rest: Any,
) -> dict[str, Any]:
    """Return the parts of a rule that were named."""
    lists = {"on": on, "pipelines": pipelines, "branches": branches}
    found: dict[str, Any] = {name: _listed(value) for name, value in lists.items() if value is not None}
    others = dict(zip(("mine", "digest", "timezone", "mention"), rest, strict=True))
    return found | {name: value for name, value in others.items() if value is not None}


def _rule(
    old: Mapping[str, Any], given: Mapping[str, Any], quiet: str | None, urgent: Sequence[str] | None
) -> dict[str, Any]:
    """Return a rule with what was named instead of what it was. Raises InvalidRequest."""
    rule: dict[str, Any] = {**old, **given}
    hours = dict(old.get("quiet") or {})
    if quiet == "":
        return {**rule, "quiet": None}
    if quiet is not None:
        begin, dash, end = quiet.partition("-")
        if not dash:
            raise InvalidRequest(f"{quiet!r} are no hours", hint="like 22:00-07:00")
        hours |= {"begin": begin.strip(), "end": end.strip()}
    if urgent is not None:
        hours["urgent"] = _listed(urgent)
    if "timezone" in given and hours:
        hours["timezone"] = given["timezone"]
    return {**rule, "quiet": hours} if hours else rule


def _listed(values: Sequence[str]) -> list[str]:
    """Return what stands in options, each with commas between or repeated; an empty one is nothing."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _words(rule: Mapping[str, Any]) -> str:
    """Return a rule in short."""
    words = [",".join(rule["on"]) or "nothing by itself"]
    for name in ("pipelines", "branches"):
        words += [f"{name} {','.join(rule[name])}"] if rule[name] else []
    words += ["mine"] if rule["mine"] else []
    words += [f"digest {rule['digest']}"] if rule["digest"] else []
    words += [f"quiet {rule['quiet']['begin']}-{rule['quiet']['end']}"] if rule["quiet"] else []
    return "; ".join(words)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
