"""The graph of a pipeline or a run as lines of text: rails, symbols, names, what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from flowbuild.cli.render.rails import DOWN, LEFT, RIGHT, UP, EdgeLike, Layout, Rail, order
from flowbuild.cli.render.theme import Look, details, safe, step_symbol
from flowbuild.client.base import EdgeView, RunView
from flowbuild.core.model import EdgeKind, Join, Pipeline
from flowbuild.core.states import EdgeState

_CORNERS = {
    UP | RIGHT: "╰",
    UP | LEFT: "╯",
    DOWN | RIGHT: "╭",
    DOWN | LEFT: "╮",
    UP | DOWN | RIGHT: "├",
    UP | DOWN | LEFT: "┤",
    LEFT | RIGHT | DOWN: "┬",
    LEFT | RIGHT | UP: "┴",
    UP | DOWN | LEFT | RIGHT: "┼",
}
_VERTICAL = {EdgeKind.SUCCESS: "│", EdgeKind.FAIL: "╎", EdgeKind.ALWAYS: "║"}
_HORIZONTAL = {EdgeKind.SUCCESS: "─", EdgeKind.FAIL: "╌", EdgeKind.ALWAYS: "═"}
_COLOURS = {EdgeKind.SUCCESS: "green", EdgeKind.FAIL: "red", EdgeKind.ALWAYS: "blue"}
MAX_GUTTER = 31  # columns; nobody follows more rails than sixteen with the eye
NOT_TAKEN = "×"  # noqa: RUF001 (drawn, not read)


@dataclass(frozen=True, slots=True)
class Label:
    """What stands on the row of a step: its symbol and style, its name, the rest."""

    symbol: str
    style: str
    name: str
    details: Text


@dataclass(frozen=True, slots=True)
class GraphLine:
    """One line. `key` is the step on it; `indent` goes before further lines that belong to that step."""

    text: Text
    key: str | None = None
    indent: Text | None = None


def run_graph(run: RunView, look: Look, now: float, *, compact: bool = False) -> list[Text]:
    """Return the graph of a run; `now` in seconds since the epoch, for steps that are running."""
    labels = {step.key: Label(*step_symbol(step), safe(step.key), details(step, now)) for step in run.steps}
    return [line.text for line in graph_lines(labels, run.edges, look, compact=compact)]


def pipeline_graph(pipeline: Pipeline, look: Look) -> list[Text]:
    """Return the graph of a pipeline that has not run, with what is special about its steps."""
    labels: dict[str, Label] = {}
    for step in pipeline.steps:
        notes = [
            f"join: {step.join}" if step.join is not Join.ALL else "",
            "background" if step.background else "",
            f"environment {step.environment.name}" if step.environment else "",
            f"up to {step.retry.max + 1} attempts" if step.retry.max else "",
            "may fail" if step.allow_failure else "",
            f"if {step.condition}" if step.condition else "",
        ]
        labels[step.key] = Label("○", "cyan", safe(step.key), Text(safe("  ".join(filter(None, notes))), "dim"))
    edges = [EdgeView(e.source, e.target, e.kind, EdgeState.PENDING, e.condition) for e in pipeline.edges]
    return [line.text for line in graph_lines(labels, edges, look)]


def legend(look: Look) -> Text:
    """Return one line that explains the rails."""
    text = Text()
    for kind in EdgeKind:
        text.append(_HORIZONTAL[kind] * 2, _COLOURS[kind]).append(f" {kind}   ", "dim")
    return look.fit(text.append(NOT_TAKEN, "dim").append(" not taken", "dim"))


def graph_lines(
    labels: Mapping[str, Label], edges: Sequence[EdgeLike], look: Look, *, compact: bool = False
) -> list[GraphLine]:
    """Return the lines of a graph, cut to the width; a list with the names of targets where rails need too much of it."""
    keys = list(labels)
    layout = Layout(keys, edges, compact=compact)
    names = max((len(label.name) for label in labels.values()), default=0)
    gutter = 2 * layout.width - 1
    if gutter > min(look.width // 2, MAX_GUTTER) or gutter + 2 + min(names, 16) > look.width:
        return _listing(labels, edges, look, min(names, look.width // 2), compact=compact)
    names = min(names, max(8, look.width - gutter - 24))
    lines = []
    for row in layout.rows:
        if row.key is None:
            lines.append(GraphLine(look.fit(_gutter(row.rails, layout.width, source=row.column))))
            continue
        label = labels[row.key]
        text = _gutter(row.rails, layout.width, node=(row.column, label.symbol, label.style))
        text.append("  ").append_text(_named(label, names))
        lines.append(GraphLine(look.fit(text), row.key, _gutter(row.below, layout.width).append("  ")))
    return lines


def _named(label: Label, width: int) -> Text:
    text = Text(label.name, "bold" if "bold" in label.style else "", no_wrap=True)
    text.truncate(width, overflow="ellipsis", pad=bool(label.details))
    line = Text(no_wrap=True).append_text(text)
    if label.details:
        line.append("  ").append_text(label.details)
    return line


def _gutter(
    rails: Mapping[int, Rail], width: int, *, node: tuple[int, str, str] | None = None, source: int = -1
) -> Text:
    text = Text(no_wrap=True)
    crosses = NOT_TAKEN  # once per branch, next to the step it leaves
    for column in range(width):
        rail = rails.get(column)
        if node is not None and node[0] == column:
            text.append(node[1], node[2])
        elif rail is None:
            text.append(" ")
        else:
            straight = {UP | DOWN: _VERTICAL[rail.kind], LEFT | RIGHT: _HORIZONTAL[rail.kind]}
            text.append(straight.get(rail.ways) or _CORNERS.get(rail.ways, " "), _style(rail))
        if column == width - 1:
            break
        between = _between(rails, column)
        if between is None:
            text.append(" ")
        elif between.state is EdgeState.DEAD and crosses and source in (column, column + 1):
            text.append(crosses, "dim")
            crosses = ""
        else:
            text.append(_HORIZONTAL[between.kind], _style(between))
    return text


def _between(rails: Mapping[int, Rail], column: int) -> Rail | None:
    """Return the branch that runs between two columns, also beside a rail that it crosses."""
    left, right = rails.get(column), rails.get(column + 1)
    if left is not None and left.ways & RIGHT:
        return left
    return right if right is not None and right.ways & LEFT else None


def _style(rail: Rail) -> str:
    if rail.state is EdgeState.DEAD:
        return "dim"
    return f"bold {_COLOURS[rail.kind]}" if rail.state is EdgeState.TAKEN else _COLOURS[rail.kind]


def _listing(
    labels: Mapping[str, Label], edges: Sequence[EdgeLike], look: Look, names: int, *, compact: bool
) -> list[GraphLine]:
    """Return steps in order, each with the names of what follows it, for many branches or few columns."""
    lines = []
    for key in order(list(labels), edges):
        label = labels[key]
        text = Text(label.symbol, label.style, no_wrap=True)
        line = Text(no_wrap=True).append_text(text).append(" ").append_text(_named(label, names))
        lines.append(GraphLine(look.fit(line), key, Text("  ")))
        if not compact:
            lines += [GraphLine(look.fit(line)) for line in _following(key, edges, labels.__contains__)]
    return lines


def _following(key: str, edges: Sequence[EdgeLike], known: Callable[[str], bool]) -> list[Text]:
    groups: dict[tuple[EdgeKind, EdgeState], list[str]] = {}
    for edge in edges:
        if edge.source == key and known(edge.target):
            groups.setdefault((edge.kind, edge.state), []).append(safe(edge.target))
    lines = []
    for (kind, state), targets in groups.items():
        style = _style(Rail(0, kind, state))
        mark = NOT_TAKEN if state is EdgeState.DEAD else _HORIZONTAL[kind]
        lines.append(Text(f"  {mark}→ {kind}: {', '.join(targets)}", style, no_wrap=True))
    return lines
