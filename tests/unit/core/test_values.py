"""Names of refs and places, and the number of retries."""

from __future__ import annotations

from flowbuild.core.ids import attempt_ref, step_ref
from flowbuild.core.model import Position, Retry
from flowbuild.core.retry import retry_delay
from flowbuild.core.states import Outcome, Reason
from flowbuild.testing.graphs import make_step


def test_refs_and_positions() -> None:
    assert attempt_ref("unit", 2, 1) == "refs/attempts/unit/2/1"
    assert step_ref("unit") == "refs/heads/step/unit"
    assert str(Position(".flow.yml", 3, 7)) == ".flow.yml:3:7"


def test_max_counts_further_attempts() -> None:
    step = make_step("a", retry=Retry(2, frozenset({"failed", "infra_lost"}), 1.5))
    assert [retry_delay(step, attempt, Outcome.FAILED, None) for attempt in (1, 2, 3)] == [1.5, 1.5, None]
    assert retry_delay(step, 1, Outcome.ERRORED, Reason.INFRA_LOST) == 1.5
    assert retry_delay(step, 1, Outcome.ERRORED, Reason.ENGINE_ERROR) is None
    assert retry_delay(step, 1, Outcome.SUCCEEDED, None) is None
