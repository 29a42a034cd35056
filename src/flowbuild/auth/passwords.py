"""Passwords of people: argon2id, kept as its own text, which says with which cost it was made.

A check costs 64 MiB of memory for some hundredths of a second, on purpose. So only a few run at once, and the name that
nobody has costs as much as a wrong password: who listens to the clock learns no names.
"""

from __future__ import annotations

import secrets
import threading
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from flowbuild.core.errors import InvalidRequest

MINIMUM, MAXIMUM = 12, 256  # characters
AT_ONCE = 4  # checks, each with the memory of one


class Passwords:
    """Makes and checks hashes. Safe to call from several threads; blocks while `AT_ONCE` others are at it."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()  # RFC 9106, second recommended option
        self._turn = threading.BoundedSemaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        """Return what is kept of a password."""
        with self._turn:
            return self._hasher.hash(password)

    def verify(self, kept: str, password: str) -> bool:
        """Whether it is the password; `kept` "" is nobody's, and takes as long. Never raises for what people type."""
        nobody = self._nobody  # made by the first who asks, whoever that is
        with self._turn:
            try:
                return self._hasher.verify(kept or nobody, password[: MAXIMUM + 1]) and kept != ""
            except (VerificationError, InvalidHashError, UnicodeEncodeError):
                return False

    @cached_property
    def _nobody(self) -> str:
        """What nobody's password is compared with. Made when it is needed: programs that ask for none start sooner."""
        return self.hash(secrets.token_urlsafe())

    def outdated(self, kept: str) -> bool:
        """Whether a hash was made with another cost than new ones are: make it again when its password is at hand."""
        return self._hasher.check_needs_rehash(kept)


def check_password(password: str, *, name: str, about: str = "password") -> None:
    """Raise InvalidRequest for a password that a person may not choose; length is what counts, not kinds of characters.

    `about`: which part of the request it is.
    """
    rhyme = "four words that rhyme with nothing"
    if not MINIMUM <= len(password) <= MAXIMUM:
        raise InvalidRequest(f"a password has {MINIMUM} to {MAXIMUM} characters", hint=rhyme, about=about)
    if any(0xD800 <= ord(char) < 0xE000 for char in password):
        raise InvalidRequest("that password is not text", about=about)
    if name and name.lower() in password.lower() and len(password) < len(name) + MINIMUM:
        raise InvalidRequest("the password is hardly more than the name", about=about)
    if len(set(password)) < 5:
        raise InvalidRequest("the password repeats itself", hint=rhyme, about=about)
