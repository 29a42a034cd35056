"""The program's own log."""

import json

import structlog

from flowbuild.wiring.journal import close_journal, open_journal


def test_what_nobody_foresaw_is_told_with_its_place(tmp_path):
    journal = open_journal(tmp_path / "flow.log", "info")
    try:
        raise KeyError("lost")  # noqa: TRY301  (with its traceback)
    except KeyError as error:
        structlog.get_logger().error("failed", exc_info=error, what="half \ud800")
    close_journal(journal)
    structlog.get_logger().error("too late")
    (line,) = map(json.loads, (tmp_path / "flow.log").read_text("utf-8").splitlines())
    assert (line["event"], line["level"]) == ("failed", "error")
    assert "test_journal.py" in line["exception"]
    assert line["exception"].endswith("KeyError: 'lost'")
