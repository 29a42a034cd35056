"""Who somebody is, what they are told, what is meant in a room."""

from __future__ import annotations

import hashlib
from typing import Any

from flowbuild.bot import actions, seen
from flowbuild.bot.acting import finding
from flowbuild.bot.acting.errands import Errand, path
from flowbuild.bot.facts import HelpShown, Known, Linked, Notified, Using
from flowbuild.bot.words import Refused
from flowbuild.core.errors import Forbidden
from flowbuild.core.notifying import NewsKind, Rule

_ALONE = "`notify on failed` in a direct message"


async def whoami(_action: actions.Whoami, errand: Errand) -> Known:
    """Say who asks."""
    me = seen.read(seen.me, await errand.client.ask("GET", "me"))
    if me.kind != "anonymous":
        return Known(me, errand.place.project)
    server = seen.read(seen.server, await errand.client.ask("GET", "server"))
    return Known(me, errand.place.project, f"{server.public_url}/account?tab=chat")


async def link(action: actions.Link, errand: Errand) -> Linked:
    """Let somebody be known by a code; in a direct message only, because a code that others read is theirs, too."""
    if not errand.place.network:
        raise Refused("there is nothing to link here", hint="`whoami` says who you are: whoever logged in")
    if not errand.place.direct:
        hint = (
            "others may have read that code: make another one, which takes its place, and tell me in a direct message"
        )
        raise Refused("others read here, so I do not look at codes", hint=hint)
    said = {"code": action.code, "sender": errand.place.sender, "name": errand.place.sender_name}
    answer = await errand.own().ask("POST", "bot/links", said)
    name = answer.get("user") if isinstance(answer, dict) else answer
    return Linked(str(name))


async def use(action: actions.Use, errand: Errand) -> Using:
    """Keep which project is meant in a room. In one where others are it takes somebody who is known."""
    if not action.project:
        return Using(errand.place.project)
    project = await finding.project(errand, action.project, actions.Use)
    if not errand.place.direct and seen.read(seen.me, await errand.client.ask("GET", "me")).kind == "anonymous":
        raise Refused(
            "I do not know you, so you do not say what is meant here", hint="in a direct message: `link CODE`"
        )
    errand.use(project)
    return Using(project, changed=True)


async def help_(action: actions.Help, _errand: Errand) -> HelpShown:
    """Say what can be said."""
    return HelpShown(action.command)


async def notify(action: actions.Notify, errand: Errand) -> Notified:
    """List or change what is told in this room of its project, or to this person of what is theirs."""
    if not errand.place.network:
        raise Refused(
            "nothing is told here unasked",
            hint="channels of projects and of people tell by e-mail, webhook and chat; here there is `watch RUN`",
        )
    place, project = "account/channels", ""
    if not errand.place.direct:
        project = await finding.project(
            errand, action.project, lambda name: actions.Notify(action.verb, action.events, name)
        )
        place = path("projects", project, "channels")
    target = "" if errand.place.direct else errand.place.room
    known = seen.read(seen.channels, await errand.client.ask("GET", place))
    mine = next((each for each in known if (each.kind, each.target) == (errand.place.network, target)), None)
    told = [str(kind) for kind in _told(mine)]
    if action.verb == "list":
        return Notified(project, told)
    wanted = [str(kind) for kind in NewsKind if _wanted(str(kind), told, action)]
    try:
        await _keep(errand, place, mine, target, wanted)
    except Forbidden as error:
        if not project:
            raise
        hint = f"it takes somebody who maintains {project}. To you alone I may tell: {_ALONE}"
        raise Refused(f"you may not change what {project} tells in rooms", hint=hint) from error
    return Notified(project, wanted, changed=True)


def _told(channel: seen.Channel | None) -> list[Any]:
    return [] if channel is None or channel.disabled else list(channel.rule.get("on", Rule().on))


def _wanted(kind: str, told: list[str], action: actions.Notify) -> bool:
    if action.verb == "on":
        return kind in told or kind in action.events
    return kind in told and bool(action.events) and kind not in action.events


async def _keep(errand: Errand, place: str, mine: seen.Channel | None, target: str, events: list[str]) -> None:
    """Change the rule of the channel of this room or person; makes it when there is none, removes it when nothing is left."""
    if not events:
        if mine is not None:
            await errand.client.ask("DELETE", f"{place}/{path(mine.name)}")
        return
    if mine is not None:
        await errand.client.ask(
            "PATCH", f"{place}/{path(mine.name)}", {"rule": {**mine.rule, "on": events}, "disabled": False}
        )
        return
    rule = {"on": events, "mine": errand.place.direct}
    name = errand.place.network
    if target:
        name += f"-{hashlib.sha256(target.encode()).hexdigest()[:8]}"  # rooms have no names that one could rely on
    await errand.client.ask("POST", place, {"name": name, "kind": errand.place.network, "target": target, "rule": rule})
