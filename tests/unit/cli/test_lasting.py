"""Output that nobody reads any more, and which view is shown where."""

import io
import os

import pytest

from flowbuild.cli import views
from flowbuild.cli.lasting import Lasting
from flowbuild.cli.render.jsonlines import JsonLinesView
from flowbuild.cli.render.live import LiveView
from flowbuild.cli.render.plain import PlainView
from flowbuild.testing.views import chunk, run_view, step_view, update


def written_to_nobody(stream_of):
    reader, writer = os.pipe()
    os.close(reader)
    inner = io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True)
    try:
        stream = stream_of(inner)
        for line in ("one\n", "two\n"):
            assert stream.write(line) == len(line)
            stream.flush()
        assert (stream.encoding, stream.isatty()) == ("UTF-8", False)
    finally:
        inner.close()


def test_a_closed_pipe_is_told_once_and_then_forgotten(capsys):
    written_to_nobody(Lasting)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "nobody reads it any more" in told


def test_without_it_the_error_would_end_the_run():
    with pytest.raises(BrokenPipeError):
        written_to_nobody(lambda stream: stream)


def test_a_full_disk(capsys):
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        stream = Lasting(full)
        stream.write("x")
        stream.flush()
        assert "No space left on device" in capsys.readouterr().err
        full.buffer.raw.close()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "term", "options", "expected"),
    [
        (Terminal, "xterm", {}, LiveView),
        (Terminal, "dumb", {}, PlainView),
        (Terminal, None, {}, PlainView),
        (Terminal, "xterm", {"plain": True}, PlainView),
        (Terminal, "xterm", {"json_lines": True}, JsonLinesView),
        (io.StringIO, "xterm", {}, PlainView),
    ],
)
def test_which_view(monkeypatch, stream, term, options, expected):
    monkeypatch.setattr(views.sys, "stdout", stream())
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)
    for drive in (True, False):
        view = views.choose_view(**{"json_lines": False, "plain": False, "drive": drive, **options})
        assert type(view) is expected


def test_a_line_is_handed_over_when_it_comes():
    """Not with the next fact: behind a pipe the output of a long step would be seen at its end only."""
    raw = io.BytesIO()
    view = PlainView(io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8"))
    view.on_update(update(run_view((step_view("a"),), ""), "run_started", seq=1))
    view.on_log(chunk("a", b"working\n", at=1))
    assert raw.getvalue().endswith(b"a/app | working\n")
