"""Commands of those who run a server, on its machine."""

from __future__ import annotations

from typing import Annotated

import typer

from flowbuild.cli.render.text import clean
from flowbuild.client.operating import Operator

Target = Annotated[str, typer.Argument(metavar="DIR", help="Directory of the backup.")]


def add_commands(app: typer.Typer, operator: Operator) -> None:
    """Add the commands to the command line."""
    server = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    app.add_typer(server, name="server")

    @server.callback()
    def serve(context: typer.Context) -> None:
        """Run a server: REST API, webhooks, schedules, and a runner for this machine.

        Options are environment variables: FLOW_HOST and FLOW_PORT (where it listens), FLOW_HOME (where it keeps everything) and more;
        docs/server.md lists them. SIGTERM or Ctrl-C stops it; containers that run go on, and the next start finds them.
        """
        if context.invoked_subcommand is None:
            operator.serve()

    @server.command("backup")
    def backup(
        directory: Target,
        with_keys: Annotated[
            bool, typer.Option("--with-keys", help="Include the keys that open the secrets; keep such a backup well.")
        ] = False,
    ) -> None:
        """Write a backup, also while the server works; again into the same directory takes only what is new."""
        print(clean(operator.backup(directory, keys=with_keys)))

    @server.command("restore")
    def restore(directory: Target) -> None:
        """Make a server of a backup, in an empty data directory."""
        print(clean(operator.restore(directory)))

    @server.command("keys")
    def keys(
        change: Annotated[bool, typer.Option("--change", help="Make a new key and seal all secrets with it.")] = False,
        prune: Annotated[bool, typer.Option("--prune", help="Drop the keys that seal nothing any more.")] = False,
    ) -> None:
        """Show which key seals how many secrets, the newest first; change keys, also while the server works.

        Copy the key file after a change, and prune when no backup is needed any more that was made before it.
        """
        print(clean(operator.keys(change=change, prune=prune)))

    @server.command("doctor")
    def doctor() -> int:
        """Say whether the server can work: database, keys, disk, engine."""
        checks = operator.examine()
        for check in checks:
            print(f"{'✓' if check.ok else '✗'} {clean(check.text)}")
            if check.hint:
                print(f"    hint: {clean(check.hint)}")
        return 0 if all(check.ok for check in checks) else 3


def add_bot(app: typer.Typer, operator: Operator) -> None:
    """Add the command that runs a bot."""

    @app.command("bot")
    def bot() -> None:
        """Run a bot on a chat network: it answers people there, and tells them what happened.

        Options are environment variables: FLOW_SERVER, FLOW_BOT_TOKEN (from `flow bots add`), FLOW_BOT_NETWORK (matrix, slack or
        telegram) and those of the network; docs/bot-matrix.md, bot-slack.md and bot-telegram.md lead through it. It may run
        anywhere that reaches both. SIGTERM or Ctrl-C stops it, and the next start goes on where it was.
        """
        operator.speak()
