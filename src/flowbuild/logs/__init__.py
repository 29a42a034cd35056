"""Logs of attempts: files, one writer and any number of readers each; compressed when finished. Never in SQL."""

from flowbuild.logs.compress import compress
from flowbuild.logs.format import Header, Piece, Record
from flowbuild.logs.reader import LogReader
from flowbuild.logs.writer import AttemptLog, LogGap

__all__ = ["AttemptLog", "Header", "LogGap", "LogReader", "Piece", "Record", "compress"]
