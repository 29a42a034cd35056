"""Core values to JSON text and back. The pipeline of a run is stored once, apart from its changing state."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from flowbuild.core.commands import Command
from flowbuild.core.events import Event
from flowbuild.core.model import Pipeline
from flowbuild.core.notifying import News, Rule
from flowbuild.core.placement import ANYWHERE, Needs
from flowbuild.core.run import Run

_pipeline: TypeAdapter[Pipeline] = TypeAdapter(Pipeline)
_run: TypeAdapter[Run] = TypeAdapter(Run)
_event: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
_command: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="type")])
_needs: TypeAdapter[Needs] = TypeAdapter(Needs)
_rule: TypeAdapter[Rule] = TypeAdapter(Rule)
_news: TypeAdapter[News] = TypeAdapter(News)
_mapping: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


def dump_pipeline(pipeline: Pipeline) -> str:
    """Return a pipeline as JSON text."""
    return _pipeline.dump_json(pipeline).decode()


@lru_cache(maxsize=64)
def load_pipeline(text: str) -> Pipeline:
    """Return the pipeline of `dump_pipeline`; the same one when it is read again, for reading 500 steps takes long."""
    return _pipeline.validate_json(text)


def dump_run(run: Run) -> str:
    """Return a run without its pipeline as JSON text."""
    return _run.dump_json(run, exclude={"pipeline"}).decode()


def load_run(text: str, pipeline: Pipeline) -> Run:
    """Return the run of `dump_run`, joined with its pipeline again."""
    return _run.validate_python({**_mapping.validate_json(text), "pipeline": pipeline})


def dump_event(event: Event) -> str:
    """Return an event as JSON text; its `type` tells which."""
    return _event.dump_json(event).decode()


def load_event(text: str) -> Event:
    """Return the event of `dump_event`."""
    return _event.validate_json(text)


def dump_command(command: Command) -> str:
    """Return a command as JSON text; its `type` tells which."""
    return _command.dump_json(command).decode()


def load_command(text: str) -> Command:
    """Return the command of `dump_command`."""
    return _command.validate_json(text)


def dump_needs(needs: Needs) -> str:
    """Return what a step asks of a machine as JSON text; empty when it is nothing. Equal needs have equal text."""
    return "" if needs == ANYWHERE else _needs.dump_json(needs).decode()


@lru_cache(maxsize=1024)
def load_needs(text: str) -> Needs:
    """Return the needs of `dump_needs`."""
    return _needs.validate_json(text) if text else ANYWHERE


def dump_rule(rule: Rule) -> str:
    """Return the rule of a channel as JSON text."""
    return _rule.dump_json(rule).decode()


@lru_cache(maxsize=1024)
def load_rule(text: str) -> Rule:
    """Return the rule of `dump_rule`."""
    return _rule.validate_json(text)


def dump_news(news: News) -> str:
    """Return news as JSON text."""
    return _news.dump_json(news).decode()


def load_news(text: str) -> News:
    """Return the news of `dump_news`."""
    return _news.validate_json(text)


def dump_mapping(value: dict[str, Any]) -> str:
    """Return a mapping of plain values as JSON text."""
    return _mapping.dump_json(value).decode()


def load_mapping(text: str) -> dict[str, Any]:
    """Return the mapping of `dump_mapping`."""
    return _mapping.validate_json(text)
