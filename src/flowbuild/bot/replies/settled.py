"""What is said about who one is, what one is told, what is meant, and what can be said."""

from __future__ import annotations

from flowbuild.bot.commands import COMMANDS, meant
from flowbuild.bot.facts import HelpShown, Holding, Known, Linked, Notified, Using
from flowbuild.bot.messages import Block, Message, Span, Table, Tone, line
from flowbuild.bot.replies import parts
from flowbuild.bot.words import brief


def holding(fact: Holding, now: float) -> Message:
    """A pipeline is held, or not any more."""
    del now
    name = brief(f"{fact.project}/{fact.pipeline}")
    if not fact.held:
        return Message(f"{name} may begin again", Tone.GOOD)
    undo = line("", parts.code(f"unhold {parts.typed(f'{fact.project}/{fact.pipeline}')}"), " lets it begin again.")
    because = (line(f"Reason: {brief(fact.reason, 500)}"),) if fact.reason else ()
    return Message(f"{name} is held: nothing of it begins", Tone.WAITS, blocks=(*because, undo))


def notified(fact: Notified, now: float) -> Message:
    """What is told unasked."""
    del now
    where = f"of {brief(fact.project)} in this room" if fact.project else "of your runs in direct messages"
    from_now = "from now on " if fact.changed else ""
    if not fact.events:
        hint = line(
            "", parts.code("notify on failed recovered"), " changes that; ", parts.code("help notify"), " has all."
        )
        return Message(f"Nothing {where} is told {from_now}unasked", blocks=(hint,))
    return Message(f"Told {from_now}{where}: {', '.join(brief(each, 40) for each in fact.events[:20])}")


def linked(fact: Linked, now: float) -> Message:
    """Somebody is known now."""
    del now
    hint = line("What you say to me I do with your rights from now on. ", parts.code("whoami"), " says which.")
    return Message(f"You are {brief(fact.user, 80)}", Tone.GOOD, blocks=(hint,))


def known(fact: Known, now: float) -> Message:
    """Who somebody is."""
    del now
    here = (line(f"Here {brief(fact.project)} is meant when no project is named."),) if fact.project else ()
    me = fact.me
    if me.kind == "anonymous":
        page = Span("the page of your account", url=fact.page)
        how = line("Make a code on ", page, " and tell it to me in a direct message: ", parts.code("link CODE"))
        return Message("I do not know you: you see what is public", blocks=(how, *here))
    roles = Table(("project", "role"), [(brief(name), brief(role)) for name, role in list(me.roles.items())[:25]])
    blocks: list[Block] = [roles] if me.roles else []
    admin = ", an admin of the server" if me.admin else ""
    return Message(f"You are {brief(me.name, 80)}{admin}", blocks=(*blocks, *here))


def using(fact: Using, now: float) -> Message:
    """Which project is meant."""
    del now
    if not fact.project:
        hint = line("", parts.code("use PROJECT"), " sets it for this room.")
        return Message("No project is meant here when none is named", blocks=(hint,))
    again = " from now on" if fact.changed else ""
    return Message(f"{brief(fact.project)} is meant here{again} when no project is named")


def help_(fact: HelpShown, now: float) -> Message:
    """What can be said."""
    del now
    if fact.command:
        return _one(fact.command)
    rows = [(each.usage, each.summary) for each in COMMANDS]
    names = line("RUN is 12, shop#12, an id or its beginning, or `last`. Names may be cut short while they are unique.")
    asks = line("What changes something asks first; ", parts.code("never mind"), " ends every question.")
    return Message("What I can do", blocks=(Table(("command", ""), rows), names, asks))


def _one(word: str) -> Message:
    command = meant(word)
    blocks: list[Block] = [line(command.summary)]
    if command.aliases:
        blocks.append(line(f"Also: {', '.join(command.aliases)}"))
    if command.asks:
        blocks.append(line(f"Says first what it will do, and waits for a yes: {command.asks}."))
    blocks += [line(parts.code(each)) for each in command.examples]
    return Message(command.usage, blocks=tuple(blocks))
