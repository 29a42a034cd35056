"""The graph in a terminal: exact pictures of the usual shapes, and rules that hold for any graph."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from flowbuild.cli.render.graph import Label, graph_lines, legend, pipeline_graph, run_graph
from flowbuild.cli.render.rails import Layout, order
from flowbuild.cli.render.theme import Look
from flowbuild.client.base import EdgeView
from flowbuild.core.model import Edge, EdgeKind, Environment, Join, Pipeline, Position, Retry, Step
from flowbuild.core.states import EdgeState
from flowbuild.testing.views import EPOCH, done, edge_view, run_view, running, step_view

SEED = run_view(
    (
        done("git", 0.4),
        done("build", 12.3, start=1),
        running("deploy", start=14, phases={"claim": 0.1, "checkout": 0.1}),
        step_view("integration-tests"),
        step_view("email"),
    ),
    "+git>build -git!email +build>deploy -build!email deploy>integration-tests deploy!email integration-tests!email",
)
SEED_PICTURE = """\
✓    git                0.4s
├\u00d7╮
✓ ╎  build              12s
├\u00d7┤
● ╎  deploy             16s  pull
├╌┤
◌ ╎  integration-tests
╰╌┤
  ◌  email"""


def picture(run, width=80, *, unicode=True, compact=False) -> str:
    return "\n".join(line.plain.rstrip() for line in run_graph(run, Look(width, unicode), EPOCH + 30, compact=compact))


def shape(keys: str, edges: str, *, compact=False) -> str:
    labels = {key: Label("o", "", key, Text()) for key in keys}
    lines = graph_lines(labels, [edge_view(edge) for edge in edges.split()], Look(), compact=compact)
    return "\n".join(line.text.plain.rstrip() for line in lines)


def test_the_seeds_pipeline():
    assert picture(SEED) == SEED_PICTURE


def test_ascii():
    assert picture(SEED, unicode=False) == (SEED_PICTURE.translate(str.maketrans("✓●◌│╎├┤╮╰╌\u00d7", "+*.|:++++~x")))
    assert picture(SEED, unicode=False).isascii()


def test_few_columns_give_a_list_with_the_names_of_what_follows():
    assert picture(SEED, 14).splitlines()[:6] == [
        "✓ git      0.…",
        "  ─→ success:…",
        "  \u00d7→ fail: em…",
        "✓ build    12s",
        "  ─→ success:…",
        "  \u00d7→ fail: em…",
    ]
    assert "integra…" in picture(SEED, 24)


def test_chain_and_compact_chain():
    assert shape("abc", "a>b b>c") == "o  a\n│\no  b\n│\no  c"
    assert shape("abc", "a>b b>c", compact=True) == "o  a\no  b\no  c"


def test_fan_out_and_fan_in():
    assert shape("abcd", "a>b a>c b>d c>d", compact=True) == (
        "o    a\n"
        "├─╮\n"
        "o │  b\n"
        "│ o  c\n"
        "├─╯\n"
        "o    d"
    )  # fmt: skip


def test_a_crossing_is_not_drawn_like_a_join():
    """The branch from a to e passes the rail into b without touching it."""
    assert shape("xabde", "x>a x>b a>d a>e", compact=True) == (
        "o      x\n"
        "├─╮\n"
        "o │    a\n"
        "├─│─╮\n"
        "│ o │  b\n"
        "o   │  d\n"
        "    o  e"
    )  # fmt: skip


def test_kinds_differ_without_colour():
    assert shape("ab", "a>b") == "o  a\n│\no  b"
    assert shape("ab", "a!b") == "o  a\n╎\no  b"
    assert shape("ab", "a*b") == "o  a\n║\no  b"
    assert "\u00d7" in shape("abc", "a>b -a!c")
    assert "\u00d7" not in shape("abc", "a>b +a!c")


def test_order_is_the_files_where_edges_allow():
    edges = [edge_view(text) for text in ("c>a", "a>b", "x>nowhere")]
    assert order(list("abcd"), edges) == ["c", "a", "b", "d"]
    assert order(list("ab"), [edge_view("a>b"), edge_view("b>a")]) == ["a", "b"]


def test_pipeline_without_run():
    where = Position(".flow.yml", 1, 1)
    steps = (
        Step("build", "build", where, retry=Retry(2)),
        Step("deploy", "deploy", where, background=True, environment=Environment("qa"), condition="branch == 'main'"),
        Step("email", "email", where, join=Join.ANY, allow_failure=True),
    )
    edges = (Edge("build", "deploy", EdgeKind.SUCCESS), Edge("build", "email", EdgeKind.FAIL))
    lines = [line.plain.rstrip() for line in pipeline_graph(Pipeline("p", where, steps, edges), Look())]
    assert lines == [
        "○    build   up to 3 attempts",
        "├╌╮",
        "○ ╎  deploy  background  environment qa  if branch == 'main'",
        "  ○  email   join: any  may fail",
    ]
    assert legend(Look()).plain.startswith("── success   ╌╌ fail   ══ always   \u00d7 not taken")


@st.composite
def graphs(draw):
    keys = [f"s{n}" for n in range(draw(st.integers(1, 60)))]
    ends = st.sampled_from(keys)
    edge = st.builds(EdgeView, ends, ends, st.sampled_from(EdgeKind), st.sampled_from(EdgeState))
    return keys, draw(st.lists(edge, max_size=90))


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 200), st.booleans(), st.booleans())
def test_any_graph_fits_and_shows_every_step_once(graph, width, unicode, compact):
    keys, edges = graph
    labels = {key: Label("●", "cyan", key, Text("12s")) for key in keys}
    lines = graph_lines(labels, edges, Look(width, unicode), compact=compact)
    assert [line.key for line in lines if line.key] == order(keys, edges)
    assert all(line.text.cell_len <= width for line in lines)
    assert unicode or all(line.text.plain.isascii() for line in lines)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_every_edge_is_a_path_of_rails(graph):
    """Follow the rails from each step: exactly its targets are reached, whatever crosses."""
    keys, edges = graph
    rows = Layout(keys, edges).rows
    rank = {key: at for at, key in enumerate(order(keys, edges))}
    wanted = {(e.source, e.target) for e in edges if rank[e.source] < rank[e.target]}
    assert {(row.key, target) for at, row in enumerate(rows) if row.key for target in reached(rows, at)} == wanted


def reached(rows, start) -> set[str]:
    """Return the steps that rails lead to from the step on row `start`."""
    column = rows[start].column
    alive = {column} & rows[start].below.keys()
    end = next((at for at in range(start + 1, len(rows)) if rows[at].key), len(rows))
    for row in rows[start + 1 : end] if alive else ():
        if row.rails[column].ways & ~3:  # a branch, not just the line going on
            alive |= walk(row.rails, column)
        if not row.rails[column].ways & 2:
            alive.discard(column)
    targets = set()
    for row in rows[end:]:
        if row.key and row.column in alive:
            targets.add(row.key)
            alive.discard(row.column)
    return targets


def walk(rails, column) -> set[int]:
    """Return the columns that a branch row connects to the step's column and that go on downwards."""
    ends = set()
    for step, way, back in ((1, 8, 4), (-1, 4, 8)):
        at = column
        while rails[at].ways & way or (at != column and not rails[at].ways & back):
            at += step
            if at not in rails:
                break
            if rails[at].ways & back and rails[at].ways & 2:
                ends.add(at)
    return ends


def test_negative_control_of_the_path_check():
    rows = Layout(list("abc"), [edge_view("a>b"), edge_view("a>c")]).rows
    assert reached(rows, 0) == {"b", "c"}
    assert reached([row for row in rows if row.key], 0) == {"b"}


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_sixty_steps(width):
    keys = [f"step-{n}" for n in range(60)]
    edges = " ".join(f"step-0>{key} {key}>step-59" for key in keys[1:-1])
    text = picture(run_view(tuple(map(step_view, keys)), edges), width)
    assert all(key in text or width < 40 for key in keys)
    assert max(map(len, text.splitlines())) <= width
