"""Containers that the Swarm does not let into their network at once, as after a restart of the engine."""

from types import SimpleNamespace

import pytest

from flowbuild.engine import startup
from flowbuild.engine.api import EngineRefused

NOT_YET = "attaching to network failed, make sure your network options are correct: context deadline exceeded"


class Engine:
    """Refuses to start a container with each of these messages, then starts it."""

    def __init__(self, *refusals):
        self.refusals = list(refusals)
        self.asked = 0

    async def call(self, *_words, **_options):
        self.asked += 1
        if self.refusals:
            raise EngineRefused(500, self.refusals.pop(0))


@pytest.mark.parametrize(
    ("refusals", "asked", "refused"),
    [
        ([], 1, {}),
        ([NOT_YET, NOT_YET], 3, {}),
        ([NOT_YET] * 9, 3, {"a": NOT_YET}),
        (["no such device"], 1, {"a": "no such device"}),
        ([NOT_YET, "no such device"], 2, {"a": "no such device"}),
    ],
)
async def test_it_is_tried_again(refusals, asked, refused):
    engine, begun, found = Engine(*refusals), [], {}
    await startup._start_one(engine, SimpleNamespace(containers={"a": "id"}), "a", begun.append, found)
    assert (engine.asked, found) == (asked, refused)
    assert begun == ([] if refused else ["a"])
