"""New identifiers: ULID (github.com/ulid/spec), 48 bits of milliseconds and 80 random bits in Crockford's base 32."""

from __future__ import annotations

import secrets

from flowbuild.core.ids import RunId

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(now: float) -> str:
    """Return an id that sorts by time; `now` in seconds since the epoch."""
    number = int(now * 1000) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def new_run_id(now: float) -> RunId:
    """Return the id of a new run."""
    return RunId(new_id(now))
