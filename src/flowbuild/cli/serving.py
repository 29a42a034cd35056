"""Commands of those who run a server."""

from __future__ import annotations

import typer

from flowbuild.client.base import Serve


def add_commands(app: typer.Typer, serve: Serve) -> None:
    """Add the commands to the command line."""

    @app.command("server")
    def server() -> None:
        """Run a server: REST API, webhooks, schedules, and a runner for this machine.

        Options are environment variables: FLOW_HOST and FLOW_PORT (where it listens), FLOW_HOME (where it keeps everything) and more;
        docs/server.md lists them. SIGTERM or Ctrl-C stops it; containers that run go on, and the next start finds them.
        """
        serve()
