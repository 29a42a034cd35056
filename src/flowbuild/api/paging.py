"""Pages of long lists. A cursor is opaque to clients; here it is the place where the next page begins."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from flowbuild.core.errors import InvalidRequest

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=200, description="at most so many")]
Cursor = Annotated[str, Query(max_length=400, description="`next` of the page before; empty: from the beginning")]


class Page(BaseModel, Generic[T]):
    """A part of a list, in its order."""

    items: list[T]
    next: str | None = Field(None, description="the cursor of the next page; none: this is the last one")


def to_cursor(place: str) -> str:
    """Return the cursor for a place in a list."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> str | None:
    """Return the place of a cursor, None for the beginning; raises InvalidRequest."""
    if not cursor:
        return None
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise InvalidRequest("the cursor is not one of ours", hint="take `next` of the page before as it is") from None
