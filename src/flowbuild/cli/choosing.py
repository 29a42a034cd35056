"""Which server the commands talk to: the one in this process, or one elsewhere."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from flowbuild.cli.logins import Logins, normal
from flowbuild.client.base import Connect, Dial, ServerSession, Session
from flowbuild.core.errors import InvalidRequest


@dataclass(slots=True)
class Choice:
    """What stood before the command, or is in the environment. It is a `client.base.Connect` itself.

    `server`: an address, or empty for the one in this process; `project`: what numbers of runs count in. With `far` the
    latest login counts when no server is named: projects are things of servers.
    """

    connect: Connect
    dial: Dial | None
    server: str = field(default_factory=lambda: os.environ.get("FLOW_SERVER", ""))
    project: str = field(default_factory=lambda: os.environ.get("FLOW_PROJECT", ""))  # steps have it, too
    far: bool = False

    def __call__(
        self, directory: str, *, drive: bool = False, abandon: bool = False
    ) -> AbstractAsyncContextManager[Session]:
        """Open a session."""
        if not self.server and not self.far:
            return self.connect(directory, drive=drive, abandon=abandon)
        return self.elsewhere()

    def elsewhere(self, *, anonymous: bool = False) -> AbstractAsyncContextManager[ServerSession]:
        """Open a session on a server elsewhere: the one that was named, or that of the latest login."""
        if self.dial is None:
            raise InvalidRequest("this program talks to no servers")
        url = self.url()
        token = "" if anonymous else os.environ.get("FLOW_TOKEN", "") or Logins().of(url)
        return self.dial(url, token, self.project or None)

    def url(self) -> str:
        """Return the address of that server; raises InvalidRequest when there is none."""
        if self.server:
            return normal(self.server)
        latest = Logins().latest()
        if latest is None:
            raise InvalidRequest("which server?", hint="flow login ADDRESS, or flow --server ADDRESS …")
        return latest.url
