"""Programs that tests start, a port for a server, and a repository for it."""

import socket

import pytest

from flowbuild.testing.program import Started, git


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start():
    """Start programs that are killed at the end, however that comes."""
    started = []

    def start(program, *arguments):
        started.append(Started(program, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.kill()
        elif not each.process.stdout.closed:  # it ended by itself: files that are not closed are told to another test
            each.end()


@pytest.fixture
def source(request, tmp_path):
    """A repository with the PIPELINE of the module."""
    made = tmp_path / "source"
    made.mkdir()
    (made / ".flow.yml").write_text(request.module.PIPELINE)
    git(made, "init", "--quiet", "--initial-branch=main")
    git(made, "add", "--all")
    git(made, "commit", "--quiet", "--message", "first")
    return made
