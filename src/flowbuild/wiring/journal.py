"""The program's own log: JSON lines in `flow.log`, never on the terminal that shows a run."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

import structlog

MAX_BYTES = 10 << 20  # an older file is kept once, as flow.log.1


class Journal:
    """The file of the log. What does not fit on the disk is lost: saying something must not be what ends the program."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, text: str) -> int:
        """Write a line, or a part of it."""
        with suppress(OSError):
            self._file.write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_journal(path: Path, level: str) -> Journal:
    """Send the log of this process to `path`; return the file, to be closed at the end."""
    if path.exists() and path.stat().st_size > MAX_BYTES:
        path.replace(path.with_suffix(".log.1"))
    file = Journal(path)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # a JSON object cannot hold a traceback
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", file)),
        cache_logger_on_first_use=False,
    )
    return file


def close_journal(file: Journal) -> None:
    """Close the log; what is said from now on is lost, instead of an error wherever somebody says it."""
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    file.close()
