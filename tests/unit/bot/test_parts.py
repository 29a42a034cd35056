"""How a step is doing, in the words of replies."""

import dataclasses

import pytest

from flowbuild.bot.replies.parts import doing
from flowbuild.core.states import StepState
from flowbuild.testing.views import EPOCH, done, running, step_view

SERVING = running("db", state=StepState.SERVING)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (step_view("db"), "waits for other steps"),
        (running("db"), "running for 5.0s"),
        (SERVING, "is up"),
        (dataclasses.replace(SERVING, returning=True), "was lost and is brought back"),
        (done("db", 3), "succeeded after 3.0s"),
        (done("db", 3, outcome="failed"), "failed: exit code 1 after 3.0s"),
    ],
)
def test_doing(step, words):
    assert doing(step, EPOCH + 5) == words
