r"""Text in requests: JSON can hold halves of characters (`\ud800` alone), which no file, database or answer takes."""

from __future__ import annotations

import json

from fastapi import Request

from flowbuild.core.errors import InvalidRequest


async def whole_characters(request: Request) -> None:
    """Refuse a body in JSON that holds halves of characters; raises InvalidRequest.

    Deliveries of webhooks are let through: a forge passes on what people wrote, and they are repaired where they are read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or request.url.path.startswith("/hooks/"):
        return
    body = await request.body()
    if b"\\ud" not in body.lower():  # how JSON writes halves; as bytes of UTF-8 they are no JSON
        return
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the request holds half of a character", hint="send its text as UTF-8") from None
    except (ValueError, RecursionError):
        return  # it is no JSON: who reads it says so
