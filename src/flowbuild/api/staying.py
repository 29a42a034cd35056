"""Who has a stream keeps it only as long as what they may is what it was when they asked.

Whatever may have changed that is looked at again (`services.news.RIGHTS`); nothing is asked of who stays as they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from flowbuild.api.access import Bearer, Caller, Session, who
from flowbuild.api.backend import Back
from flowbuild.core.access import Principal
from flowbuild.core.errors import FlowError
from flowbuild.services.news import BOTS, PUBLIC, person_topic
from flowbuild.services.signals import Following

Rights = tuple[Principal, frozenset[str]]  # who asks, and the projects that everybody may look at


async def _news(backend: Back) -> AsyncIterator[Following]:
    with backend.rights() as following:
        yield following


@dataclass(frozen=True, slots=True)
class Stay:
    """The right to a stream. `now` tells what somebody's rights are, and raises when they have none. Blocking."""

    news: Following
    rights: Rights
    now: Callable[[], Rights]

    async def over(self) -> None:
        """Return as soon as the rights are others, or cannot be told."""
        topics = {person_topic(self.rights[0].id), PUBLIC, BOTS}
        with suppress(FlowError):
            while True:
                changed = await self.news.changed()
                if (changed is None or topics & changed) and await asyncio.to_thread(self.now) != self.rights:
                    return


def _stay(
    news: Annotated[Following, Depends(_news)],  # first: what changes while the others are found out is not missed
    *,
    caller: Caller,
    request: Request,
    backend: Back,
    bearer: Bearer,
    session: Session,
) -> Stay:
    def now() -> Rights:
        return who(request, backend, bearer, session), backend.public_projects()

    return Stay(news, (caller, backend.public_projects()), now)


Staying = Annotated[Stay, Depends(_stay)]  # before the permission of an endpoint, which is then as new at least
