"""The web app: files that the build of web/ left in `static`, served beside the API with a policy that lets nothing else act.

All of them are kept in memory: they are few, and then no path of a request is ever one of the disk.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STATIC = Path(__file__).with_name("static")
OTHERS = ("/api/", "/git/", "/hooks/")  # beginnings of paths that are no pages
ENDPOINTS = frozenset({"/health", "/ready", "/metrics"})
NONCE = b"__STYLE_NONCE__"  # stands in index.html for what each answer gets anew
POLICY = (
    "default-src 'none'; script-src 'self' {scripts}; worker-src 'self'; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
NOT_BUILT = b"""<!doctype html><title>flow</title>
<p>The REST API of this server is at /api/v1. Its web app has not been built: <code>scripts/web</code> does that in a clone.</p>
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the web app. `packed`: the same, compressed, when that is smaller."""

    body: bytes
    packed: bytes | None
    kind: str
    lasting: bool  # its name has a hash of it


class Pages:
    """ASGI application: pages and their files; all else goes to `api`."""

    def __init__(self, api: App, folder: Path = STATIC) -> None:
        self._api = api
        self._assets = read_assets(folder)
        self._index = self._assets.pop("/index.html", None)
        self._scripts = " ".join(map(_source, INLINE.findall(self._index.body))) if self._index else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path in ENDPOINTS or path.startswith(OTHERS) or scope["method"] not in _READING:
            await self._api(scope, receive, send)
            return
        asset = self._assets.get(path)
        if asset is not None:
            await _send_asset(scope, send, asset)
        elif path.startswith("/assets/"):
            await _answer(scope, send, 404, b"There is no such file: the page is of another version.\n", {})
        else:
            await self._send_page(scope, send)

    async def _send_page(self, scope: Scope, send: Send) -> None:
        """Every address is the same page, which looks at the address itself."""
        nonce = secrets.token_urlsafe(16)
        headers = {
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-store",  # a page that is kept would keep its nonce
            "content-security-policy": POLICY.format(nonce=nonce, scripts=self._scripts),
            "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        }
        if self._index is None:
            await _answer(scope, send, 503, NOT_BUILT, headers)
        else:
            await _answer(scope, send, 200, self._index.body.replace(NONCE, nonce.encode()), headers)


_READING = frozenset({"GET", "HEAD"})


def read_assets(folder: Path) -> dict[str, Asset]:
    """Return the files below a folder by the path that a request names; none when there is no such folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix == ".gz":
            continue
        name = f"/{path.relative_to(folder).as_posix()}"
        packed = path.with_name(f"{path.name}.gz")
        found[name] = Asset(
            body=path.read_bytes(),
            packed=packed.read_bytes() if packed.is_file() else None,
            kind=_kind(path),
            lasting=name.startswith("/assets/"),
        )
    return found


def _source(script: bytes) -> str:
    """Return what lets the text of a script act that stands in a page: CSP Level 3, 2.3.1, hash-source."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"


def _kind(path: Path) -> str:
    known = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".woff2": "font/woff2"}
    return known.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


async def _send_asset(scope: Scope, send: Send, asset: Asset) -> None:
    accepted = dict(scope["headers"]).get(b"accept-encoding", b"")
    packed = asset.packed if b"gzip" in accepted else None
    headers = {
        "content-type": asset.kind,
        "cache-control": "public, max-age=31536000, immutable" if asset.lasting else "no-cache",
        # Workers have the policy of their own file, not that of the page.
        "content-security-policy": "default-src 'none'; connect-src 'self'; script-src 'self'; frame-ancestors 'none'",
    }
    if asset.packed is not None:
        headers["vary"] = "accept-encoding"
    if packed is not None:
        headers["content-encoding"] = "gzip"
    await _answer(scope, send, 200, packed or asset.body, headers)


async def _answer(scope: Scope, send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    whole = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **headers}
    pairs = [(name.encode(), value.encode()) for name, value in whole.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
