"""What attempts do at the moment, as runners tell it. It is passed on in words (`services.signals`) and stored nowhere.

How long each phase took is part of the result (`client.runner.AttemptResult`); this is for who looks on until then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from flowbuild.client.runner import Lease

MOST = 32  # phases of an attempt that are kept; runners elsewhere may say anything
# The phases of an attempt so far, in their order, each with the time when it began; it is in the last one.
Began = Mapping[str, float]


def next_word(word: str, lease: Lease, phase: str, now: float) -> str:
    """Return the word about a step whose attempt goes over to a phase; the `word` before may be of another attempt, or empty."""
    which, began = _read(word)
    kept = dict(began) if which == [lease.attempt, lease.epoch] and len(began) < MOST else {}
    kept.pop(phase, None)
    return json.dumps([lease.attempt, lease.epoch, {**kept, phase: now}])


def began_of(word: str) -> Began:
    """Return what a word says."""
    return _read(word)[1]


def now_in(began: Began) -> str:
    """Return the phase that an attempt is in; empty when none was told."""
    return next(reversed(list(began)), "")


def _read(word: str) -> tuple[list[int], Began]:
    if not word:
        return [], {}
    *which, began = json.loads(word)
    return which, began
