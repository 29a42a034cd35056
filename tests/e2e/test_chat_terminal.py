"""`flow chat` at a real terminal: history, leaving, and a terminal that is as it was."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import termios
from pathlib import Path

import pytest

from flowbuild.testing.program import BYTECODE, LIMIT

UP, LEAVE, BREAK = b"\x1b[A", b"\x04", b"\x03"


SHELL = 'trap : INT; "$0" chat; echo "code=$?."; cat'  # it outlives the program, which must leave the terminal to it as it was


class Terminal:
    """A program at a terminal that a shell has."""

    def __init__(self, home: Path) -> None:
        own = {
            "FLOW_SERVER": "http://127.0.0.1:9",
            "FLOW_TOKEN": "flow_x",
            "TERM": "xterm",
            "XDG_CONFIG_HOME": str(home),
        }
        program = str(Path(sys.executable).with_name("flow"))
        self.process, self.end = pty.fork()
        if self.process == 0:
            os.execve("/bin/sh", ["sh", "-c", SHELL, program], {**os.environ, **BYTECODE, **own})
        self.seen = b""

    def type(self, keys: bytes, until: bytes) -> str:
        """Press keys; return what is shown up to a text."""
        os.write(self.end, keys)
        return self.read(until)

    def read(self, until: bytes) -> str:
        self.seen = b""
        while until not in self.seen:
            assert select.select([self.end], [], [], LIMIT)[0], self.seen
            self.seen += os.read(self.end, 65536)
        return self.seen.decode(errors="replace")

    def leave(self, keys: bytes) -> int:
        """Press keys that end the program; return its exit code."""
        code = re.search(r"code=(\d+)\.", self.type(keys, b".\r\n"))
        assert code is not None
        return int(code[1])

    def close(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.end)

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.end)[3] & termios.ECHO)


@pytest.fixture
def terminal(tmp_path):
    made = Terminal(tmp_path)
    made.read(b"flow> ")
    yield made
    made.close()


def test_history_and_leaving(terminal):
    assert "link CODE" in terminal.type(b"help link\n", b"flow> ")
    assert "link CODE" in terminal.type(UP + b"\n", b"flow> "), "the arrow did not bring the line back"
    assert "The server cannot be reached" in terminal.type(b"status\n", b"flow> ")
    assert terminal.leave(LEAVE) == 0


@pytest.mark.parametrize(("keys", "code"), [(b"exit\n", 0), (b"half a li" + BREAK, 130)])
def test_the_terminal_is_as_it_was(terminal, keys, code):
    assert not terminal.echoes(), "what is typed is edited by the program, or this checks nothing"
    assert terminal.leave(keys) == code
    assert terminal.echoes()
