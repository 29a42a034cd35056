"""Which commands there are. Words in, a typed action out; pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from flowbuild.bot.actions import Action
from flowbuild.bot.commands import looking, settling, starting, steering
from flowbuild.bot.commands.base import Command
from flowbuild.bot.words import Refused, Words, brief

COMMANDS: Sequence[Command] = (
    *starting.COMMANDS,
    *looking.COMMANDS,
    *steering.COMMANDS,
    *settling.COMMANDS,
)
_NAMES = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}
POSSIBLE = f"I know: {', '.join(command.name for command in COMMANDS)}; `help COMMAND` says more"


def named(word: str) -> Command | None:
    """Return the command that is called so, or has it as a short form."""
    return _NAMES.get(word.lower())


def meant(word: str) -> Command:
    """Return the command that a word means, also by its beginning; raises Refused saying what is possible."""
    word = word.lower()
    found = {command.name: command for name, command in _NAMES.items() if word and name.startswith(word)}
    exact = named(word)
    if exact is not None:
        return exact
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise Refused(f"{brief(word, 40)!r} may be {' or '.join(found)}", hint="a letter more, please")
    close = difflib.get_close_matches(word[:40], _NAMES, n=2, cutoff=0.6)
    likely = list(dict.fromkeys(_NAMES[name].name for name in close))
    hint = f"did you mean {' or '.join(likely)}? " if likely else ""
    raise Refused(f"I do not know the command {brief(word, 40)!r}", hint=hint + POSSIBLE)


def parse(words: Words) -> Action:
    """Return what is asked for; raises Refused saying how it is to be asked."""
    if not words.items:
        raise Refused("that says nothing", hint=POSSIBLE)
    return meant(words.first or words.items[0].text).parse(words)
