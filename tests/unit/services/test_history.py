"""How a pipeline has done: what counts as flaky, whose fault it was, and what durations are of."""

from flowbuild.core.states import Outcome, Reason, RunState
from flowbuild.services.history import history, percentile
from flowbuild.store.figures import AttemptFigure, StepEnd
from flowbuild.store.run_lists import RunFigure


def run(number, commit="c1", state=RunState.SUCCEEDED, seconds=10.0, *, dirty=False):
    return RunFigure(f"r{number}", number, state, seconds, 100.0 * number, "main", commit, dirty)


def tried(number, *outcomes, step="a", seconds=2.0, cached=False, reason=None, queued=0.0):
    began = 100.0 * number + queued
    return [
        AttemptFigure(f"r{number}", step, n, Outcome(each), reason, began, began + 1, began + 1 + seconds, cached)
        for n, each in enumerate(outcomes, 1)
    ]


def only(runs, attempts, wrong=()):
    (found,) = history(runs, attempts, wrong).steps
    return found


def test_different_ends_with_one_commit_are_flaky():
    runs = [run(3, "other"), run(2), run(1)]
    attempts = [*tried(1, "failed"), *tried(2, "succeeded"), *tried(3, "failed")]
    found = only(runs, attempts)
    assert (found.flaky, found.flaky_runs) == (1, ["r1"])
    assert found.outcomes == {Outcome.FAILED: 2, Outcome.SUCCEEDED: 1}


def test_success_after_a_failure_in_the_same_run_is_flaky():
    assert only([run(1)], tried(1, "failed", "succeeded")).flaky == 1
    assert only([run(1, "", dirty=True)], tried(1, "failed", "succeeded")).flaky == 1


def test_what_is_not_flaky():
    two = [run(2), run(1)]
    assert only([run(1)], tried(1, "errored", "succeeded")).flaky == 0, "that was our fault"
    assert only([run(1)], tried(1, "failed", "failed")).flaky == 0
    assert only(two, [*tried(1, "failed"), *tried(2, "succeeded", cached=True)]).flaky == 0, "it did not run"
    assert only(two, [*tried(1, "errored"), *tried(2, "succeeded")]).flaky == 0
    dirty = [run(2, dirty=True), run(1, dirty=True)]
    assert only(dirty, [*tried(1, "failed"), *tried(2, "succeeded")]).flaky == 0, "other files than the commit's"
    unknown = [run(2, ""), run(1, "")]
    assert only(unknown, [*tried(1, "failed"), *tried(2, "succeeded")]).flaky == 0


def test_only_the_newest_flaky_runs_are_named():
    runs = [run(n) for n in range(9, 0, -1)]
    found = only(runs, [each for n in range(1, 10) for each in tried(n, "failed", "succeeded")])
    assert (found.flaky, found.flaky_runs) == (9, ["r9", "r8", "r7", "r6", "r5"])
    assert found.retried == 9


def test_durations_are_of_what_really_ran():
    attempts = [
        *tried(1, "succeeded", seconds=4),
        *tried(2, "failed", seconds=100),
        *tried(3, "succeeded", seconds=0, cached=True),
    ]
    found = only([run(n) for n in (3, 2, 1)], attempts)
    assert (found.median_seconds, found.p90_seconds, found.median_waiting, found.cached) == (4, 4, 1, 1)


def test_reasons_count_steps_also_those_without_an_attempt():
    attempts = [*tried(1, "failed", reason=Reason.TIMEOUT), *tried(2, "errored", "succeeded", reason=Reason.INFRA_LOST)]
    wrong = [
        StepEnd("r1", "a", Outcome.FAILED, Reason.TIMEOUT),
        StepEnd("r1", "b", Outcome.FAILED, Reason.MERGE_CONFLICT),
    ]
    found = history([run(2), run(1, state=RunState.FAILED)], attempts, wrong)
    assert found.reasons == {(Outcome.FAILED, Reason.TIMEOUT): 1, (Outcome.FAILED, Reason.MERGE_CONFLICT): 1}
    assert [each.step for each in found.steps] == ["a", "b"]
    assert found.steps[1].outcomes == {Outcome.FAILED: 1}


def test_steps_stand_in_the_order_of_their_turn():
    attempts = [*tried(1, "succeeded", step="z"), *tried(1, "succeeded", step="b", queued=5.0)]
    assert [each.step for each in history([run(1)], attempts, ()).steps] == ["z", "b"]


def test_percentiles():
    assert percentile([]) is None
    assert percentile([3.0]) == 3.0
    assert percentile([float(n) for n in range(1, 11)]) == 9.0
    assert percentile([float(n) for n in range(1, 101)], 0.5) == 50.0
