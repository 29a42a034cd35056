"""Commands that start runs."""

from __future__ import annotations

from flowbuild.bot.actions import Action, Retry, Start
from flowbuild.bot.commands.base import Command, Reader

REFS = ("branch", "ref", "tag", "commit")
INPUT = "input."  # before the name of an input that is called like one of these


def _run(reader: Reader) -> Action:
    pipeline = reader.take("which pipeline")
    if "=" in pipeline:
        raise reader.refused("run: which pipeline?")
    ref, inputs = "", {}
    for word in reader.words():
        if not word.name:
            raise reader.refused(f"run: what is {word.text[:40]!r}? Inputs are NAME=VALUE")
        name = word.name.removeprefix(INPUT)
        if ref if word.name in REFS else name in inputs:
            raise reader.refused(f"run: {name[:40]} is there twice")
        if word.name in REFS:
            ref = word.value
        else:
            inputs[name] = word.value
    return Start(pipeline, ref, inputs)


def _retry(reader: Reader) -> Action:
    run = reader.take("which run")
    word = reader.peek()
    if word in ("all", "everything"):
        reader.skip()
        reader.end()
        return Retry(run, everything=True)
    if word == "failed":
        reader.skip()
        reader.end()
        return Retry(run)
    if word == "from":
        reader.skip()
        steps = [step for each in reader.words() for step in each.text.split(",") if step]
        if not steps:
            raise reader.refused("retry: from which step?")
        return Retry(run, tuple(steps))
    reader.end()
    return Retry(run)


COMMANDS = (
    Command(
        "run",
        "run PIPELINE [branch=BRANCH] [INPUT=VALUE …]",
        "Start a pipeline. Asks for the inputs that are missing.",
        _run,
        aliases=("r", "start", "trigger", "build"),
        asks="when the pipeline acts on an environment",
        examples=("run release", "run shop/release branch=main target=staging", 'run note text="two words"'),
    ),
    Command(
        "retry",
        "retry RUN [from STEP … | failed | all]",
        "Start a run again: from a step, or what went wrong, or all of it. What stands before is taken over.",
        _retry,
        aliases=("rerun", "again"),
        asks="always",
        examples=("retry 12", "retry shop#12 from test", "retry last all"),
    ),
)
