"""Times, sizes and reasons as people say them."""

from __future__ import annotations

from datetime import datetime, tzinfo

from flowbuild.core.states import Outcome, Reason, RunState

_REASONS = {
    Reason.OOM: "out of memory",
    Reason.TIMEOUT: "timed out",
    Reason.MERGE_CONFLICT: "merge conflict",
    Reason.REFUSED: "refused",
    Reason.UNHEALTHY: "never became healthy",
    Reason.DEPENDENCY_FAILED: "a service it needs failed",
    Reason.REJECTED: "rejected",
    Reason.CONDITION: "its condition is false",
    Reason.DEAD_PATH: "not on the path taken",
    Reason.CONDITION_ERROR: "its condition cannot be evaluated",
    Reason.INFRA_LOST: "runner or engine lost",
    Reason.ENGINE_ERROR: "engine error",
    Reason.IMAGE_UNAVAILABLE: "image unavailable",
    Reason.WORKSPACE_ERROR: "workspace error",
    Reason.USER: "by a person",
    Reason.RUN_TIMEOUT: "the run timed out",
    Reason.INTERRUPTED: "interrupted",
    Reason.SUPERSEDED: "a newer run took its place",
    Reason.WITHDRAWN: "its pull request was closed",
}


def duration(seconds: float | None) -> str:
    """Return "0.4s", "12s", "3m 05s", "2h 07m" or "4d 3h"; "" for None. Clocks that went back count as zero."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def short_duration(seconds: float) -> str:
    """Return a phase's time, in milliseconds when it is short: "3ms", "120ms", "1.4s"."""
    return f"{max(0.0, seconds) * 1000:.0f}ms" if seconds < 0.9995 else duration(seconds)


def doing(state: RunState) -> str:
    """Return how a run is doing, to follow its name: "is running", "was cancelled", "failed"."""
    words = {
        RunState.RUNNING: "is running",
        RunState.CANCELLING: "is being cancelled",
        RunState.CANCELLED: "was cancelled",
    }
    return words.get(state, str(state))


def ago(then: float, now: float) -> str:
    """Return "just now", "5 min ago", "3 h ago", "yesterday", "12 days ago"."""
    seconds = now - then
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h ago"
    days = int(seconds // 86400)
    return "yesterday" if days == 1 else f"{days} days ago"


def clock(at: float, zone: tzinfo | None = None) -> str:
    """Return the time of day, local unless a zone is given: "14:03:59"."""
    return _moment(at, zone).strftime("%H:%M:%S")


def timestamp(at: float, zone: tzinfo | None = None) -> str:
    """Return date and time with offset: "2026-11-23 14:03:59 +0000"."""
    return _moment(at, zone).strftime("%Y-%m-%d %H:%M:%S %z")


def _moment(at: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at, zone).astimezone(zone)


def size(count: int) -> str:
    """Return "812 B", "3.4 KiB", "1.2 GiB"."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1023.95 or unit == "TiB":
            break
    return f"{value:.1f} {unit}"


def count(number: int, noun: str) -> str:
    """Return "1 step" or "3 steps"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def why(outcome: Outcome | None, reason: Reason | None, exit_code: int | None) -> str:
    """Return in a few words why a step ended as it did: "exit code 1", "timed out"; "" when the outcome says it all."""
    if reason is Reason.EXIT_CODE or (reason is None and outcome is Outcome.FAILED and exit_code is not None):
        return f"exit code {exit_code}" if exit_code is not None else ""  # a build has none
    return _REASONS.get(reason, "") if reason else ""
