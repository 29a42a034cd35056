"""HTML files of workspaces as pages, for a frame of the web app: their own styles work, and nothing of them acts or calls out.

A step may have written anything. Three things hold it: the policy of the answer (a sandbox without scripts, forms, other
windows and an origin; nothing is loaded), the sandbox of the frame, and what is left out here because no policy stops it.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Header, Response
from fastapi.responses import HTMLResponse

from flowbuild.api.problems import RESPONSES
from flowbuild.api.routers.workspace import GUARD, Opened, PathOf, is_text
from flowbuild.core.errors import InvalidRequest
from flowbuild.workspace.browse import Content

router = APIRouter(prefix="/api/v1/runs/{run}", tags=["workspace"], responses=RESPONSES)
MOST = 8 << 20  # bytes of a page
POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Cache-Control": "private, no-cache",
    "Vary": "Sec-Fetch-Dest",
    "Referrer-Policy": "no-referrer",
    "X-DNS-Prefetch-Control": "off",
}
# <link rel=preconnect> tells a stranger that somebody looks, whatever the policy says; a frame within may hold one in an
# attribute, where it cannot be seen. Neither could load anything: as comments they are not missed.
_CALLING_OUT = re.compile(rb"<(?=link|iframe)", re.IGNORECASE)


@router.get("/workspace/page", response_class=HTMLResponse)
def show_page(browser: Opened, path: PathOf, sec_fetch_dest: Annotated[str, Header()] = "") -> Response:
    """Return an HTML file of the workspace as a page, to be shown in a frame; to whoever opens its address itself, as text.

    In the page nothing acts, nothing is loaded and links lead nowhere. Its own styles and the images in it (`data:`) are shown.
    """
    text = _page(browser.content(unquote_to_bytes(path)))
    if sec_fetch_dest == "document":  # at an address of ours it could pass for us
        return Response(text, headers={**HEADERS, **GUARD}, media_type="text/plain; charset=utf-8")
    headers = {**HEADERS, "Content-Security-Policy": POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return Response(_CALLING_OUT.sub(b"<!", text), headers=headers, media_type="text/html; charset=utf-8")


def _page(content: Content) -> bytes:
    """Return what is in a file that can be a page; raises InvalidRequest."""
    if content.size > MOST:
        hint = "it can be downloaded: /workspace/file"
        raise InvalidRequest(f"the file has more than the {MOST >> 20} MiB that a page may have", hint=hint)
    text = b"".join(content.pieces(0, content.size))
    if not is_text(
        text
    ):  # all of it: in UTF-16, which would count before what we say, no sign of HTML is without a zero
        raise InvalidRequest("the file is not text in UTF-8", hint="it can be downloaded: /workspace/file")
    return text
