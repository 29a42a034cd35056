"""What git does for somebody who may have to stop."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowbuild.workspace import git

WAITS = {"alias.wait": '!cat "$FLOW_TEST_FIFO"'}


def test_what_is_under_way_can_be_ended(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    children, env = git.Children(), {"FLOW_TEST_FIFO": str(fifo)}
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(git.run, None, "wait", config=WAITS, env=env, children=children)
        with fifo.open("w"):  # it has begun to read, and would go on
            children.end()
            with pytest.raises(git.GitError):
                waits.result(60)
    with pytest.raises(git.GitError):  # nor does anything begin any more
        git.run(None, "wait", config=WAITS, env=env, children=children)


def test_the_control_what_is_not_ended_ends_by_itself(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with ThreadPoolExecutor(1) as pool:
        env = {"FLOW_TEST_FIFO": str(fifo)}
        waits = pool.submit(git.run, None, "wait", config=WAITS, env=env, children=git.Children())
        fifo.write_text("over")
        assert waits.result(60).stdout == b"over"
