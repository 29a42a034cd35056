"""Messages in letters: for terminals, and for programs that read text."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text as Line

from flowbuild.bot.messages import Block, Choices, Code, Message, Span, Table, Text, Tone
from flowbuild.core.visible import clean

_SIGNS = {
    Tone.PLAIN: ("", "bold"),
    Tone.GOOD: ("✓ ", "bold green"),
    Tone.BAD: ("✗ ", "bold red"),
    Tone.BROKEN: ("! ", "bold magenta"),
    Tone.BUSY: ("● ", "bold cyan"),
    Tone.WAITS: ("? ", "bold yellow"),
}
_INDENT = (0, 0, 0, 2)
WIDTH = 120  # columns of what is no terminal


def console_of(stream: TextIO) -> Console:
    """Return a console that writes what it is given and nothing of its own."""
    return _console(stream, width=None if stream.isatty() or "COLUMNS" in os.environ else WIDTH)


def _console(stream: TextIO, **more: Any) -> Console:
    return Console(file=stream, highlight=False, markup=False, emoji=False, **more)


def text_of(message: Message) -> str:
    """Return a message as plain text."""
    stream = io.StringIO()
    print_message(_console(stream, width=WIDTH, color_system=None), message)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def print_message(console: Console, message: Message) -> None:
    """Print a message; texts from elsewhere cannot act on the terminal."""
    sign, style = _SIGNS[message.tone]
    title = Line(f"{sign}{_safe(message.title)}", style)
    console.print(title, soft_wrap=True)
    if message.url:
        console.print(Padding(Line(_safe(message.url), "dim"), _INDENT, expand=False), soft_wrap=True)
    for block in message.blocks:
        _print_block(console, block)
    says = [button for button in message.buttons if not button.answer]
    if says:
        console.print(
            Padding(Line(f"next: {' | '.join(_safe(button.command) for button in says)}", "dim"), _INDENT, expand=False)
        )


def _print_block(console: Console, block: Block) -> None:
    match block:
        case Text(spans=spans):
            line = Line()
            for span in spans:
                line.append(_safe(span.text), _style(span))
                if span.url:
                    line.append(f" ({_safe(span.url)})", "dim")
            console.print(Padding(line, _INDENT, expand=False))
        case Code(lines=lines, language=language):
            for each in lines:
                colour = {"+": "green", "-": "red"}.get(each[:1], "") if language == "diff" else ""
                console.print(Padding(Line(f"| {_safe(each)}", colour), _INDENT, expand=False))
        case Table(head=head, rows=rows):
            console.print(Padding(_grid(head, rows), _INDENT, expand=False))
        case Choices(items=items):
            for number, item in enumerate(items, 1):
                console.print(Padding(Line(f"{number}. {_safe(item)}"), _INDENT, expand=False))


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Grid:
    grid = Grid(box=None, pad_edge=False, show_header=any(head), header_style="dim")
    for name in head:
        grid.add_column(_safe(name), overflow="fold")
    for row in rows:
        grid.add_row(*(Line(_safe(cell)) for cell in row))
    return grid


def _style(span: Span) -> str:
    return "bold" if span.strong else "cyan" if span.code else ""


def _safe(text: str) -> str:
    return clean(" ".join(text.splitlines()))
