"""The program's own log: JSON lines in `flow.log`, never on the terminal that shows a run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TextIO

import structlog

MAX_BYTES = 10 << 20  # an older file is kept once, as flow.log.1


def open_journal(path: Path, level: str) -> TextIO:
    """Send the log of this process to `path`; return the file, to be closed at the end."""
    if path.exists() and path.stat().st_size > MAX_BYTES:
        path.replace(path.with_suffix(".log.1"))
    file = path.open("a", encoding="utf-8", buffering=1)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=file),
        cache_logger_on_first_use=False,
    )
    return file


def close_journal(file: TextIO) -> None:
    """Close the log; what is said from now on is lost, instead of an error wherever somebody says it."""
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    file.close()
