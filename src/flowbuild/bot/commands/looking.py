"""Commands that look."""

from __future__ import annotations

from flowbuild.bot.actions import (
    Action,
    Diff,
    Last,
    Log,
    Nodes,
    Pipelines,
    Queue,
    Runs,
    Schedule,
    Status,
    Watch,
    Why,
)
from flowbuild.bot.commands.base import Command, Reader
from flowbuild.core.states import RunState

MOST_RUNS, MOST_LINES = 25, 100


def _status(reader: Reader) -> Action:
    what = reader.maybe()
    reader.end()
    return Status("" if what.lower() == "all" else what)


def _runs(reader: Reader) -> Action:
    what, limit, options = "", 10, dict[str, str]()
    for word in reader.words():
        if word.name in ("branch", "state"):
            options[word.name] = word.value
        elif word.text.isdigit():
            limit = reader.number(word.text, MOST_RUNS)
        elif word.text.lower() in tuple(RunState) and not word.quoted:
            options["state"] = word.text.lower()
        elif not what:
            what = word.text
        else:
            raise reader.refused(f"runs: what is {word.text[:40]!r}?")
    state = options.get("state", "")
    if state and state not in tuple(RunState):
        raise reader.refused(f"there is no state {state[:40]!r}; there are {', '.join(RunState)}")
    return Runs(what, options.get("branch", ""), state, limit)


def _last(reader: Reader) -> Action:
    pipeline, branch = "", ""
    for word in reader.words():
        if word.name == "branch":
            branch = word.value
        elif not pipeline:
            pipeline = word.text
        else:
            raise reader.refused(f"last: what is {word.text[:40]!r}?")
    return Last(pipeline, branch)


def _pipelines(reader: Reader) -> Action:
    project = reader.maybe()
    reader.end()
    return Pipelines(project)


def _watch(reader: Reader) -> Action:
    run = reader.maybe() or "last"
    reader.end()
    return Watch(run)


def _why(reader: Reader) -> Action:
    run = reader.maybe() or "last"
    reader.end()
    return Why(run)


def _log(reader: Reader) -> Action:
    run, step = reader.take("of which run"), reader.take("of which step")
    lines = reader.number(reader.maybe(), MOST_LINES) if reader.more() else 20
    reader.end()
    return Log(run, step, lines)


def _diff(reader: Reader) -> Action:
    run, step, file = reader.take("of which run"), reader.take("of which step"), reader.rest()
    return Diff(run, step, file)


def _schedule(reader: Reader) -> Action:
    what = reader.maybe()
    reader.end()
    return Schedule(what)


def _nodes(reader: Reader) -> Action:
    reader.end()
    return Nodes()


def _queue(reader: Reader) -> Action:
    reader.end()
    return Queue()


COMMANDS = (
    Command(
        "status",
        "status [RUN | PIPELINE | PROJECT | all]",
        "How pipelines are doing, or how far a run is.",
        _status,
        aliases=("s", "st"),
        examples=("status", "status 12", "status release"),
    ),
    Command(
        "runs",
        "runs [PIPELINE] [branch=BRANCH] [STATE] [N]",
        "The latest runs.",
        _runs,
        aliases=("ls",),
        examples=("runs", "runs release failed 5"),
    ),
    Command("last", "last [PIPELINE] [branch=BRANCH]", "The latest run.", _last, aliases=("l",)),
    Command("pipelines", "pipelines [PROJECT]", "Which pipelines there are, and their inputs.", _pipelines),
    Command(
        "watch",
        "watch [RUN]",
        "Tell here, once, how a run ended or that it waits for an approval, when it does.",
        _watch,
        aliases=("w",),
    ),
    Command(
        "why",
        "why [RUN]",
        "Why a run went wrong: the first failing lines, and what changed since the last green one. Or why it does not go on.",
        _why,
        aliases=("y?",),
        examples=("why", "why 12"),
    ),
    Command("log", "log RUN STEP [N]", "The last N lines of the log of a step.", _log, aliases=("logs", "tail")),
    Command("diff", "diff RUN STEP [FILE]", "What a step changed: files and variables, or one file.", _diff),
    Command(
        "schedule",
        "schedule [PROJECT | PIPELINE]",
        "What begins by itself, and when.",
        _schedule,
        aliases=("schedules",),
    ),
    Command("nodes", "nodes", "The machines that execute steps.", _nodes, aliases=("runners",)),
    Command("queue", "queue", "What waits for a machine, and what runs.", _queue, aliases=("q",)),
)
