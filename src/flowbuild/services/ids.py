"""New identifiers: ULID (github.com/ulid/spec), 48 bits of milliseconds and 80 random bits in Crockford's base 32."""

from __future__ import annotations

import secrets

from flowbuild.core.ids import RunId

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(now: float) -> str:
    """Return an id that sorts by time; `now` in seconds since the epoch."""
    return _text(int(now * 1000) << 80 | secrets.randbits(80))


def _text(number: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def id_after(last: str, now: float) -> str:
    """Return a new id that sorts after another one, also when both are of the same millisecond; "": there is none."""
    new = new_id(now)
    if new > last:
        return new
    number = 0
    for char in last:
        number = number << 5 | _ALPHABET.index(char)
    return _text(number + 1)


def new_run_id(now: float) -> RunId:
    """Return the id of a new run."""
    return RunId(new_id(now))
