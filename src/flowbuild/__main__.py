"""The program `flow`."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractAsyncContextManager

from flowbuild.cli.main import run_program
from flowbuild.client.base import Session


def connect(directory: str, *, drive: bool = False, abandon: bool = False) -> AbstractAsyncContextManager[Session]:
    """Open a session on the local server; loads the server's libraries only now."""
    from flowbuild.wiring import connect as connect_locally  # noqa: PLC0415 (see docstring)

    return connect_locally(directory, drive=drive, abandon=abandon)


def main() -> None:
    """Run the program and exit with its code.

    Everything is closed when `run_program` returns. Taking the interpreter apart would keep the user waiting for 0.3 s.
    """
    code = run_program(connect)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
