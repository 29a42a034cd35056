"""Commands about who one is, what one is told, and what is meant here."""

from __future__ import annotations

from flowbuild.bot.actions import Action, Help, Link, Notify, Use, Whoami
from flowbuild.bot.commands.base import Command, Reader
from flowbuild.core.notifying import NewsKind

EVENTS = ", ".join(NewsKind)
_SAID = {
    "success": NewsKind.SUCCEEDED,
    "failure": NewsKind.FAILED,
    "fail": NewsKind.FAILED,
    "error": NewsKind.ERRORED,
    "recovery": NewsKind.RECOVERED,
    "start": NewsKind.STARTED,
    "end": NewsKind.FINISHED,
    "waiting": NewsKind.APPROVAL,
    "canceled": NewsKind.CANCELLED,
    "approvals": NewsKind.APPROVAL,
}


def _notify(reader: Reader) -> Action:
    verb = reader.maybe().lower() or "list"
    if verb not in ("on", "off", "list"):
        raise reader.refused(f"notify: on, off or list, not {verb[:40]!r}")
    project, events = "", list[str]()
    for word in reader.words():
        if word.name == "project":
            project = word.value
            continue
        for each in word.text.lower().replace("-", "_").split(","):
            event = _SAID.get(each, each)
            if event and event != "all" and event not in tuple(NewsKind):
                raise reader.refused(f"there is no event {each[:40]!r}; there are {EVENTS}")
            events += [str(event)] if event and event != "all" else [str(kind) for kind in NewsKind] if event else []
    if verb == "on" and not events:
        raise reader.refused(f"notify on: of what? There are {EVENTS}")
    return Notify(verb, tuple(dict.fromkeys(events)), project)


def _link(reader: Reader) -> Action:
    code = reader.take("with which code")
    reader.end()
    return Link(code)


def _whoami(reader: Reader) -> Action:
    reader.end()
    return Whoami()


def _use(reader: Reader) -> Action:
    project = reader.maybe()
    reader.end()
    return Use(project)


def _help(reader: Reader) -> Action:
    command = reader.maybe()
    reader.end()
    return Help(command)


COMMANDS = (
    Command(
        "notify",
        "notify on EVENT … | off [EVENT …] | list [project=PROJECT]",
        f"What is told here unasked: in a room of its project, in a direct message of what is yours. Events: {EVENTS}.",
        _notify,
        aliases=("tell",),
        examples=("notify on failed recovered", "notify off started", "notify list"),
    ),
    Command(
        "link",
        "link CODE",
        "Say who you are on the server, with a code of your account page there or of `flow link`. In direct messages only.",
        _link,
    ),
    Command("whoami", "whoami", "Who you are on the server, and what you may.", _whoami, aliases=("me",)),
    Command("use", "use [PROJECT]", "Which project is meant in this room when none is named.", _use),
    Command("help", "help [COMMAND]", "What can be said.", _help, aliases=("h", "?", "commands")),
)
