"""What is said: facts, questions and errors as messages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowbuild.bot import facts
from flowbuild.bot.messages import Message
from flowbuild.bot.replies import lists, questions, runs, settled

_WAYS: Mapping[type, Callable[[Any, float], Message]] = {
    facts.Started: runs.started,
    facts.RunShown: runs.shown,
    facts.Watched: runs.watched,
    facts.Explained: runs.explained,
    facts.LogShown: runs.log,
    facts.DiffShown: runs.diff,
    facts.Steered: runs.steered,
    facts.RunList: lists.runs,
    facts.PipelineList: lists.pipelines,
    facts.Timers: lists.timers,
    facts.NodeList: lists.nodes,
    facts.QueueShown: lists.queue,
    facts.Holding: settled.holding,
    facts.Notified: settled.notified,
    facts.Linked: settled.linked,
    facts.Known: settled.known,
    facts.Using: settled.using,
    facts.HelpShown: settled.help_,
}


def reply(fact: facts.Fact, now: float) -> Message:
    """Return how a fact is said; `now`: seconds since 1970."""
    return _WAYS[type(fact)](fact, now)


def ask(question: facts.Question, key: str) -> Message:
    """Return how a question is asked; `key` goes into what its buttons say."""
    return questions.ask(question, key)
