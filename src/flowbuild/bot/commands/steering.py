"""Commands that change what becomes of runs and pipelines."""

from __future__ import annotations

from flowbuild.bot.actions import Action, Approve, Cancel, Hold, Reject, Unhold
from flowbuild.bot.commands.base import Command, Reader

MOST_REASON = 500


def _reason(reader: Reader) -> str:
    text = reader.rest()
    if len(text) > MOST_REASON:
        raise reader.refused(f"a reason has up to {MOST_REASON} characters")
    return text


def _approve(reader: Reader) -> Action:
    return Approve(reader.take("which run"), _reason(reader))


def _reject(reader: Reader) -> Action:
    return Reject(reader.take("which run"), _reason(reader))


def _cancel(reader: Reader) -> Action:
    run = reader.take("which run")
    reader.end()
    return Cancel(run)


def _hold(reader: Reader) -> Action:
    return Hold(reader.take("which pipeline"), _reason(reader))


def _unhold(reader: Reader) -> Action:
    pipeline = reader.take("which pipeline")
    reader.end()
    return Unhold(pipeline)


COMMANDS = (
    Command(
        "approve",
        "approve RUN [STEP] [COMMENT]",
        "Let a step that waits for it act on its environment.",
        _approve,
        aliases=("ok",),
        asks="always",
        examples=("approve 12", "approve 12 deploy looks good"),
    ),
    Command(
        "reject", "reject RUN [STEP] [REASON]", "Refuse it: the step fails.", _reject, aliases=("deny",), asks="always"
    ),
    Command("cancel", "cancel RUN", "End a run.", _cancel, aliases=("stop", "abort"), asks="always"),
    Command(
        "hold",
        "hold PIPELINE [REASON]",
        "Let no run of a pipeline begin, by whatever means, until unhold.",
        _hold,
        aliases=("freeze",),
        asks="always",
        examples=("hold release the shop is closed",),
    ),
    Command("unhold", "unhold PIPELINE", "Let its runs begin again.", _unhold, aliases=("unfreeze",), asks="always"),
)
