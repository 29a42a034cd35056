"""`flow diff`: what a step changed: variables, files, and the patch in colours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO, cast

from rich.console import Console
from rich.text import Text

from flowbuild.cli.render.plain import write_line
from flowbuild.cli.render.text import clean
from flowbuild.cli.render.theme import Look, safe
from flowbuild.client.base import FileChange, StepDiff, VariableChange
from flowbuild.core import human

SHOWN = 40  # files in a list that is not asked for explicitly
_STYLES = {"A": "green", "M": "yellow", "D": "red", "T": "magenta"}


def print_diff(console: Console, diff: StepDiff) -> None:
    """Print variables, files and, if there is one, the patch: for people on a terminal, else whole and exact."""
    lines = change_lines(diff, shown=len(diff.files)) or [Text("nothing changed", "dim")]
    if not console.is_terminal:
        _write(cast("TextIO", console.file), lines, diff.patch)
        return
    look = Look.of(console)
    for line in lines:
        console.print(look.fit(line), soft_wrap=True)
    if diff.patch:
        console.print()
        wide = Look(1 << 30, look.unicode)  # not cut: a patch is read, searched and copied
        for text in diff.patch.decode("utf-8", "backslashreplace").removesuffix("\n").split("\n"):
            console.print(wide.fit(patch_line(text)), soft_wrap=True)


def _write(stream: TextIO, lines: Iterable[Text], patch: bytes) -> None:
    """Write lines that are not cut, and the bytes of the patch: `git apply` takes them."""
    for line in lines:
        write_line(stream, line.plain)
    if patch:
        write_line(stream, "")
        stream.flush()
        stream.buffer.write(patch)


def change_lines(diff: StepDiff, *, shown: int = SHOWN) -> list[Text]:
    """Return a line for each variable and each of the first files, and how many more there are."""
    lines = [_variable(change) for change in diff.variables]
    lines += [_file(change) for change in diff.files[:shown]]
    if len(diff.files) > shown:
        lines.append(Text(f"  … {human.count(len(diff.files) - shown, 'more file')}", "dim"))
    return lines


def patch_line(line: str) -> Text:
    """Return a line of a patch in its colour."""
    text = clean(line)
    if line.startswith(("diff ", "index ", "--- ", "+++ ", "old mode", "new mode", "new file", "deleted file")):
        return Text(text, "bold")
    if line.startswith("@@"):
        return Text(text, "cyan")
    return Text(text, {"+": "green", "-": "red"}.get(line[:1], ""))


def _variable(change: VariableChange) -> Text:
    status = "A" if change.before is None else "D" if change.after is None else "M"
    text = Text(f"  {status} ", _STYLES[status]).append(f"${safe(change.name)}", "bold")
    if change.before is not None:
        text.append(f"  {safe(change.before)}", "red")
    if change.after is not None:
        text.append("  → " if change.before is not None else "  ", "dim").append(safe(change.after), "green")
    return text


def _file(change: FileChange) -> Text:
    text = Text(f"  {safe(change.status)} ", _STYLES.get(change.status, "")).append(safe(change.path))
    sizes = [human.size(size) for size in (change.size_before, change.size_after) if size is not None]
    return text.append(f"  {' → '.join(dict.fromkeys(sizes))}", "dim")
