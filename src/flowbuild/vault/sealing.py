"""Envelope encryption: each text has a data key of its own, which is sealed with a key of the ring. AES-256-GCM.

What a text belongs to is authenticated along with it: moved to another row, name or version it does not open. To change
the key of the ring only data keys are sealed anew; the texts stay as they are, unread.

    v1.<id of the ring's key>.<nonce and sealed data key>.<nonce and sealed text>      both parts in base64url
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flowbuild.core.errors import VaultError
from flowbuild.vault.keys import KeyRing

FORM = "v1"
NONCE = 12  # bytes; random ones are good for 2**32 uses of a key, and a data key has one


class Vault:
    """Seals and opens texts with the keys that `ring` returns. Safe to call from several threads."""

    def __init__(self, ring: Callable[[], KeyRing]) -> None:
        self._ring = ring

    def seal(self, text: str, *about: str) -> str:
        """Return a sealed text; `about` (kind, owner, name, version) has to be said again to open it."""
        key = AESGCM.generate_key(256)
        return self._envelope(key, _encrypt(key, text.encode("utf-8", "surrogatepass"), _bound("text", *about)))

    def open(self, sealed: str, *about: str) -> str:
        """Return the text; raises VaultError when it was changed, moved, or its key is not in the ring."""
        key, body = self._unwrap(sealed)
        return _decrypt(key, body, _bound("text", *about)).decode("utf-8", "surrogatepass")

    def reseal(self, sealed: str) -> str:
        """Return the same text under the current key of the ring, without reading it; raises VaultError."""
        return self._envelope(*self._unwrap(sealed))

    def _envelope(self, key: bytes, body: str) -> str:
        ring = self._ring()
        wrapped = _encrypt(ring.key(ring.current), key, _bound("key", ring.current))
        return f"{FORM}.{ring.current}.{wrapped}.{body}"

    def _unwrap(self, sealed: str) -> tuple[bytes, str]:
        """Return data key and sealed text."""
        name, wrapped, body = _parts(sealed)
        return _decrypt(self._ring().key(name), wrapped, _bound("key", name)), body


def key_of(sealed: str) -> str:
    """Return the id of the key with which a text was sealed; raises VaultError."""
    return _parts(sealed)[0]


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
        hint = "set the secret again"
        raise VaultError("a sealed text was changed, or moved from where it belongs", hint=hint) from None
