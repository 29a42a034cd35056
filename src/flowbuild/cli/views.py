"""Which rendering is used where. Rich is loaded only when something is drawn with it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TextIO, cast

from flowbuild.cli.following import View
from flowbuild.cli.lasting import Lasting
from flowbuild.cli.render.text import clean
from flowbuild.client.base import LogChunk, RunView, StepDiff
from flowbuild.core.model import Pipeline


def choose_view(*, json_lines: bool, plain: bool, drive: bool) -> View:
    """Return how a run is shown while it goes: JSON lines, a live picture on a terminal, or plain lines.

    `drive`: this process works on the run, which then does not end with the reader of the output.
    """
    stream = cast("TextIO", Lasting(sys.stdout)) if drive else sys.stdout
    if json_lines:
        from flowbuild.cli.render.jsonlines import JsonLinesView

        return JsonLinesView(stream)
    if plain or not stream.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        from flowbuild.cli.render.plain import PlainView

        return PlainView(stream)
    from flowbuild.cli.render.live import LiveView
    from flowbuild.cli.render.theme import console_for

    return LiveView(console_for(stream))


def say(text: str) -> None:
    """Tell the person something that is not the answer of the command; names in it may hold anything."""
    for line in text.split("\n"):
        print(clean(line), file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a view as JSON."""
    from flowbuild.cli.render.jsonlines import jsonable

    print(json.dumps(jsonable(value), indent=2))


def print_runs(runs: Sequence[RunView], *, projects: bool) -> None:
    """Print a table of runs."""
    from flowbuild.cli.render import show, theme

    show.print_runs(theme.console_for(sys.stdout), runs, now=time.time(), projects=projects)


def print_run(run: RunView, diffs: Mapping[str, StepDiff]) -> None:
    """Print all about a run; `diffs` tells what its steps changed."""
    from flowbuild.cli.render import show, theme

    show.print_run(theme.console_for(sys.stdout), run, diffs, now=time.time())


def print_diff(diff: StepDiff) -> None:
    """Print what a step changed."""
    from flowbuild.cli.render import diff as rendering
    from flowbuild.cli.render import theme

    rendering.print_diff(theme.console_for(sys.stdout), diff)


def print_graph(pipeline: Pipeline) -> None:
    """Draw a pipeline that does not run."""
    from flowbuild.cli.render.graph import pipeline_graph
    from flowbuild.cli.render.theme import Look, console_for

    console = console_for(sys.stdout)
    for line in pipeline_graph(pipeline, Look.of(console)):
        console.print(line)


async def print_log(chunks: AsyncIterator[LogChunk], *, prefix: bool, exact: bool) -> None:
    """Print a log: bytes exactly as written, otherwise lines, with the name of step and service if `prefix` says so."""
    if exact:
        async for chunk in chunks:
            sys.stdout.buffer.write(chunk.data)
            sys.stdout.buffer.flush()
        return
    from flowbuild.cli.render import plain

    await plain.print_log(chunks, sys.stdout, prefix=prefix, colour=sys.stdout.isatty())
