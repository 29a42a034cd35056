"""Masking of secrets in the output of steps: a seat belt, not a control. Pure; works on a stream of bytes.

Every secret is searched for as it stands and in the encodings in which it usually leaks: base64 (at each of the three
offsets inside other data, both alphabets, with and without padding, wrapped at 64 and 76 columns), percent-encoding,
JSON string, hexadecimal, shell quoting; a secret of several lines also line by line and with CRLF. What a program does
beyond that (reversing, encrypting, one character per line) is not found.

The result does not depend on how the stream is cut into pieces: a mask stands for a longest chain of overlapping
occurrences, and a tail that may be the beginning of an occurrence is held back until that is decided.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal
from urllib.parse import quote, quote_plus

from flowbuild.core.errors import InvalidRequest

MASK = b"***"
MINIMUM = 4  # characters; shorter secrets would mask half of the log and are guessed from its length anyway
WEAK = 8  # characters; below that people are warned, and lines of longer secrets are not masked on their own


def check_secrets(secrets: Mapping[str, str]) -> None:
    """Raise InvalidRequest, naming the secret and never its value, for one that cannot be given to a step or masked."""
    _check_lengths(secrets)
    for name, value in secrets.items():
        if "\0" in value or any(0xD800 <= ord(char) < 0xE000 for char in value):  # bytes that are not UTF-8
            raise InvalidRequest(
                f"secret {name} is not text: an environment variable cannot hold it",
                hint="give it in base64",
                about="value",
            )


def _check_lengths(secrets: Mapping[str, str]) -> None:
    for name, value in secrets.items():
        if len(value.strip()) < MINIMUM:
            raise InvalidRequest(
                f"secret {name} has fewer than {MINIMUM} characters and cannot be masked in logs",
                hint="use a longer value, or make it a variable if it is not secret",
                about="value",
            )


def weak_secrets(secrets: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of secrets that are masked but short enough to be guessed; callers warn about them."""
    return tuple(name for name, value in secrets.items() if MINIMUM <= len(value.strip()) < WEAK)


class Redactor:
    """Masks secrets in one stream of bytes (one per service and stream).

    Raises InvalidRequest, naming the secret and never its value, for one with fewer than 4 characters between its
    outer white space. Memory: the held back tail is shorter than the longest encoded form of a secret.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        _check_lengths(secrets)
        self._tables = _Tables({form for value in secrets.values() for form in _forms(value)})
        self._held = b""
        self._masked = 0  # how many bytes at the start of `_held` belong to a mask that was written already

    def fork(self) -> Redactor:
        """Return a fresh redactor of the same secrets for another stream, without computing their forms again."""
        other = Redactor({})
        other._tables = self._tables
        return other

    def text(self, text: str) -> str:
        """Return a whole text, masked."""
        other = self.fork()
        data = text.encode("utf-8", "surrogateescape")
        return (other.feed(data) + other.flush()).decode("utf-8", "surrogateescape")

    def feed(self, data: bytes) -> bytes:
        """Return what is certain so far, masked; without secrets the very object that came in."""
        if not self._tables.forms:
            return data
        buffer = self._held + data if self._held else data
        return self._emit(buffer, len(buffer) - self._tables.tail(buffer))

    def flush(self) -> bytes:
        """Return the rest at the end of the stream."""
        return self._emit(self._held, len(self._held))

    def _emit(self, buffer: bytes, cut: int) -> bytes:
        """Write `buffer` up to `cut`, keep the rest. No occurrence that begins before `cut` is unknown."""
        masked, self._held = self._masked, buffer[cut:]
        occurrences = self._tables.occurrences(buffer)
        if not occurrences and not masked:
            self._masked = 0
            return buffer if cut == len(buffer) else buffer[:cut]
        parts: list[bytes] = []
        for start, end in occurrences:
            if start >= cut:
                break
            if start >= masked:  # not a continuation of the mask before
                parts += (buffer[masked:start], MASK)
            masked = max(masked, end)
        parts.append(buffer[masked:cut])
        self._masked = max(masked - cut, 0)
        return b"".join(parts)


class _Tables:
    """What is searched for, prepared once per set of secrets and shared by its redactors.

    Most chunks hold no secret, so a filter that runs at C speed, independent of the number of secrets, goes first: an
    occurrence of 2n - 1 bytes or more covers a whole block of n bytes at a multiple of n, which must then be one of
    the first n blocks of a form. Blocks are compared as integers. Forms too short for that are searched one by one.
    """

    def __init__(self, forms: set[bytes]) -> None:
        self.forms = tuple(sorted(forms))
        # A form that contains another one needs no search where the shorter one does not occur.
        probes = [form for form in self.forms if not any(other in form for other in forms if other != form)]
        self._eights = _blocks([form for form in probes if len(form) >= 15], "Q")
        self._fours = _blocks([form for form in probes if 7 <= len(form) < 15], "I")
        self._short = tuple(form for form in probes if len(form) < 7)
        self._prefixes = _prefixes(self.forms)
        self._first = frozenset(form[0] for form in self.forms)

    def occurrences(self, buffer: bytes) -> list[tuple[int, int]]:
        """Return places whose union is that of all occurrences of all forms, sorted."""
        if not self._suspicious(buffer):
            return []
        return sorted(place for form in self.forms if form in buffer for place in _places(buffer, form))

    def _suspicious(self, buffer: bytes) -> bool:
        """Whether there may be an occurrence; never wrong when it says no."""
        view = memoryview(buffer)
        if self._eights and not self._eights.isdisjoint(view[: len(buffer) & ~7].cast("Q")):
            return True
        if self._fours and not self._fours.isdisjoint(view[: len(buffer) & ~3].cast("I")):
            return True
        return any(form in buffer for form in self._short)

    def tail(self, buffer: bytes) -> int:
        """Return the length of the longest end of `buffer` with which a form begins (but not ends)."""
        for size, form in self._prefixes.get(buffer[-2:], ()):
            if size <= len(buffer) and form.startswith(buffer[-size:]):
                return size
        return int(buffer[-1:] != b"" and buffer[-1] in self._first)


def _blocks(forms: Sequence[bytes], kind: Literal["Q", "I"]) -> frozenset[int]:
    """Return the first blocks of each form, at every alignment; a Q has 8 bytes, an I has 4."""
    size = 8 if kind == "Q" else 4
    joined = b"".join(form[at : at + size] for form in forms for at in range(size))
    return frozenset(memoryview(joined).cast(kind))


def _prefixes(forms: Sequence[bytes]) -> dict[bytes, list[tuple[int, bytes]]]:
    """Return the proper prefixes of sorted forms by their last two bytes, as (length, a form), longest first."""
    prefixes: dict[bytes, list[tuple[int, bytes]]] = {}
    previous = b""
    for form in forms:
        # Neighbours share the longest common prefix; what the previous form has is there already.
        known = next((at for at, (a, b) in enumerate(zip(previous, form, strict=False)) if a != b), len(previous))
        for size in range(max(2, min(known, len(previous) - 1) + 1), len(form)):
            prefixes.setdefault(form[size - 2 : size], []).append((size, form))
        previous = form
    for entries in prefixes.values():
        entries.sort(key=lambda entry: -entry[0])
    return prefixes


def _places(buffer: bytes, form: bytes) -> Iterator[tuple[int, int]]:
    """Yield occurrences of `form` that cover all of them, in time linear in the buffer.

    From one occurrence the last one that overlaps it comes next, so two jumps go further than the length of the form
    however periodic it is ("aaaa" in a million a's).
    """
    size = len(form)
    at = buffer.find(form)
    while at >= 0:
        yield at, at + size
        last = buffer.rfind(form, at + 1, at + 2 * size - 1)
        at = last if last >= 0 else buffer.find(form, at + size)


def _forms(value: str) -> Iterator[bytes]:
    """Yield every form of a secret that is masked; each at least 4 bytes long."""
    text = value.strip()
    for variant in dict.fromkeys((text, text.replace("\r\n", "\n"), text.replace("\r\n", "\n").replace("\n", "\r\n"))):
        raw = variant.encode("utf-8", "surrogateescape")
        yield raw
        yield from _escaped(variant)
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        yield from _base64(raw)
    lines = text.splitlines()
    if len(lines) > 1:
        for line in map(str.strip, lines):
            if len(line) >= WEAK and not line.startswith("-----"):  # the frame of a PEM file is no secret
                yield line.encode("utf-8", "surrogateescape")
                yield from _escaped(line)


def _escaped(text: str) -> Iterator[bytes]:
    """Yield percent-encoded, JSON and shell forms."""
    raw = text.encode("utf-8", "surrogateescape")
    for safe in ("", "/", "!'()*"):  # strict; paths; JavaScript's encodeURIComponent
        percent = quote(raw, safe=safe)
        yield percent.encode()
        # Some programs write the digits in lower case.
        yield "".join(quote(bytes([b]), safe=safe).lower() if chr(b) not in percent else chr(b) for b in raw).encode()
    yield quote_plus(raw).encode()
    for ascii_only in (True, False):
        body = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield body.encode("utf-8", "surrogateescape")
        yield body.replace("/", r"\/").encode("utf-8", "surrogateescape")
    yield raw.replace(b"'", b"'\\''")


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield the base64 forms: RFC 4648, sections 4 and 5.

    A character holds 6 bits, so at offset 1 or 2 the first 2 or 3 characters and, unless the end falls on a group, the
    last one also depend on foreign data. The part that depends on the secret alone is always masked; the rest when it
    is what stands at the end of a stream (padding, or the line end that `echo` adds).
    """
    for offset in range(3):
        head = (0, 2, 3)[offset]
        whole = b64encode(b"\0" * offset + raw)
        bits = 8 * (offset + len(raw))
        forms = {whole[head : bits // 6], whole[head : -(-bits // 6)], whole[head:]}
        ended = b64encode(b"\0" * offset + raw + b"\n")
        forms |= {ended[head : -(-(bits + 8) // 6)], ended[head:]}
        if offset == 0:
            forms |= {piece for width in (64, 76) for piece in _wrapped(whole, width)}
        for form in forms:
            yield form
            yield form.replace(b"+", b"-").replace(b"/", b"_")


def _wrapped(encoded: bytes, width: int) -> Iterator[bytes]:
    """Yield the lines of wrapped base64; a last line too short to stand for anything is left out."""
    if len(encoded) > width:
        lines = [encoded[at : at + width] for at in range(0, len(encoded), width)]
        yield from (line for line in lines if len(line) >= WEAK)
