"""Envelope encryption: each text has a data key of its own, which is sealed with a key of the ring. AES-256-GCM.

What it belongs to is authenticated along with it: a sealed text that is moved to another row, name or version does not open.
To change the key of the ring only data keys are sealed anew; the texts themselves stay as they are, unread.

    v1.<id of the ring's key>.<nonce and sealed data key>.<nonce and sealed text>      both parts in base64url
"""

from __future__ import annotations

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flowbuild.core.errors import VaultError
from flowbuild.vault.keys import KeyRing

FORM = "v1"
NONCE = 12  # bytes; every data key seals one text, a key of the ring at most a few million data keys


class Vault:
    """Seals and opens texts with the keys of a ring. Pure but for randomness; safe to call from several threads."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def seal(self, text: str, *about: str) -> str:
        """Return a sealed text; `about` (kind, owner, name, version) has to be said again to open it."""
        key = AESGCM.generate_key(256)
        name = self._ring.current
        wrapped = _encrypt(self._ring.key(name), key, _bound("key", name, *about))
        return ".".join(
            (FORM, name, wrapped, _encrypt(key, text.encode("utf-8", "surrogatepass"), _bound("text", *about)))
        )

    def open(self, sealed: str, *about: str) -> str:
        """Return the text; raises VaultError when it was changed, moved, or its key is not in the ring."""
        name, wrapped, body = _parts(sealed)
        key = _decrypt(self._ring.key(name), wrapped, _bound("key", name, *about))
        return _decrypt(key, body, _bound("text", *about)).decode("utf-8", "surrogatepass")

    def stale(self, sealed: str) -> bool:
        """Whether it was sealed with another key of the ring than new ones are."""
        return _parts(sealed)[0] != self._ring.current

    def reseal(self, sealed: str, *about: str) -> str:
        """Return the same text under the current key of the ring, without reading it; raises VaultError."""
        name, wrapped, body = _parts(sealed)
        key = _decrypt(self._ring.key(name), wrapped, _bound("key", name, *about))
        current = self._ring.current
        return ".".join((FORM, current, _encrypt(self._ring.key(current), key, _bound("key", current, *about)), body))


def _parts(sealed: str) -> tuple[str, str, str]:
    form, *parts = sealed.split(".")
    if form != FORM or len(parts) != 3:
        raise VaultError("a sealed text has a form that this version does not know", hint="was it made by a newer one?")
    return parts[0], parts[1], parts[2]


def _bound(*parts: str) -> bytes:
    """Return associated data in which no two lists of parts look the same."""
    raw = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in raw)


def _encrypt(key: bytes, data: bytes, bound: bytes) -> str:
    nonce = secrets.token_bytes(NONCE)
    return base64.urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, data, bound)).decode()


def _decrypt(key: bytes, encoded: str, bound: bytes) -> bytes:
    try:
        data = base64.b64decode(encoded, altchars=b"-_", validate=True)
        return AESGCM(key).decrypt(data[:NONCE], data[NONCE:], bound)
    except (InvalidTag, ValueError, binascii.Error):
        raise VaultError(
            "a sealed text does not open: it was changed, or moved from where it belongs", hint="set the secret again"
        ) from None
