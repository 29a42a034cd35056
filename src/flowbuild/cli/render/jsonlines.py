"""A run as JSON, one object per line, for programs. The format is described in docs/json-output.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TextIO

from flowbuild.client.base import LogChunk, RunUpdate, RunView


class JsonLinesView:
    """Writes every update and every piece of output; ASCII only, so that any stream can take it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def on_update(self, update: RunUpdate) -> None:
        """Write the event with its number, its time and the state of the run after it."""
        about = {"seq": update.seq, "at": update.at, "run": update.run.id, "state": update.run.state}
        self._write(str(update.event.get("type", "update")), about | dict(update.event))

    def on_log(self, chunk: LogChunk) -> None:
        """Write a piece of output, not cut at line ends; bytes that are not UTF-8 become escapes."""
        self._write("log", jsonable(chunk))

    def interrupted(self, *, force: bool) -> None:
        """Write that a person asked for the end."""
        self._write("interrupted", {"force": force})

    def finish(self, run: RunView) -> None:
        """Write the last line: outcome of the run and of every step; an interrupted run has none yet."""
        if run.interrupted:
            return
        steps = {
            step.key: {
                name: getattr(step, name)
                for name in (
                    "state",
                    "outcome",
                    "reason",
                    "message",
                    "exit_code",
                    "cached",
                    "reused",
                    "returning",
                    "result_commit",
                )
            }
            | {"attempts": len(step.attempts)}
            for step in run.steps
        }
        about = {"run": run.id, "number": run.number, "project": run.project, "pipeline": run.pipeline}
        times = {"state": run.state, "created_at": run.created_at, "finished_at": run.finished_at}
        self._write("run_finished", about | times | {"repository": run.repository, "steps": steps})

    def _write(self, kind: str, content: Mapping[str, Any]) -> None:
        line = json.dumps({"type": kind} | {k: v for k, v in jsonable(content).items() if k != "type"})
        self._stream.write(line + "\n")
        self._stream.flush()


def jsonable(value: Any) -> Any:
    """Return views, mappings, sequences and bytes as what `json.dumps` takes."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
