"""Where the server is: at one address, or at several when servers share a database."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

log = structlog.get_logger()


class Servers:
    """The addresses of servers of which one is as good as another. One is spoken to until it does not answer."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)
        self._now = 0

    @property
    def url(self) -> str:
        """Return the address to speak to now."""
        return self._urls[self._now]

    def silent(self, url: str) -> None:
        """Go on with the next address, because this one did not answer; unless somebody did so already."""
        if url == self.url and len(self._urls) > 1:
            self._now = (self._now + 1) % len(self._urls)
            log.warning("server_changed", silent=url, now=self.url)
