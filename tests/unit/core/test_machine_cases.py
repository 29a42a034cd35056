"""Each rule of the machine as a row: pipeline, what the attempts do, how steps and run end."""

from __future__ import annotations

import pytest

from flowbuild.core.commands import Enqueue
from flowbuild.core.model import Environment, Join, Retry
from flowbuild.testing.graphs import make_pipeline, seed_pipeline
from flowbuild.testing.player import Player, new_run

ANY, FIRST = {"join": Join.ANY}, {"join": Join.FIRST}
ALLOW = {"allow_failure": True}
SERVICE = {"background": True}


def env(*approve: str, **fields: object) -> dict[str, object]:
    return {"environment": Environment("qa", approve), **fields}


def retry(most: int, *on: str, delay: float = 0.0) -> dict[str, object]:
    return {"retry": Retry(most, frozenset(on), delay)}


# name, steps, edges, script, expected outcomes of the steps, expected end of the run
CASES = [
    ("one step", "a", "", "", "a=succeeded", "succeeded"),
    ("one step fails", "a", "", "a=failed", "a=failed", "failed"),
    ("errored is not failed", "a", "", "a=errored", "a=errored", "errored"),
    ("lost runner", "a", "", "a=lost", "a=errored", "errored"),
    ("failed goes before errored", "a b", "", "a=errored b=failed", "a=errored b=failed", "failed"),
    ("chain", "a b c", "a>b b>c", "", "a=succeeded b=succeeded c=succeeded", "succeeded"),
    ("skips cascade", "a b c", "a>b b>c", "a=failed", "a=failed b=skipped c=skipped", "failed"),
    ("always edges of skipped steps are dead", "a b c", "a>b b*c", "a=failed", "a=failed b=skipped c=skipped", "failed"),
    ("fail edge on failed", "a b", "a!b", "a=failed", "a=failed b=succeeded", "failed"),
    ("fail edge on errored", "a b", "a!b", "a=lost", "a=errored b=succeeded", "errored"),
    ("fail edge not on success", "a b", "a!b", "", "a=succeeded b=skipped", "succeeded"),
    ("fail edge not on cancelled", "a b", "a!b", "a=cancelled", "a=cancelled b=skipped", "cancelled"),
    ("always edge on success", "a b", "a*b", "", "a=succeeded b=succeeded", "succeeded"),
    ("always edge on failure", "a b", "a*b", "a=failed", "a=failed b=succeeded", "failed"),
    ("always edge not on cancelled", "a b", "a*b", "a=cancelled", "a=cancelled b=skipped", "cancelled"),
    ("errored goes before cancelled", "a b", "", "a=cancelled b=lost", "a=cancelled b=errored", "errored"),
    ("all: every success edge", "a b c", "a>c b>c", "b=failed", "a=succeeded b=failed c=skipped", "failed"),
    ("all: or any fail edge", "a b c", "a>c b!c", "b=failed", "a=succeeded b=failed c=succeeded", "failed"),
    ("all: fail edge dead, success taken", "a b c", "a>c b!c", "", "a=succeeded b=succeeded c=succeeded", "succeeded"),
    ("all: only fail edges, all dead", "a b c", "a!c b!c", "", "a=succeeded b=succeeded c=skipped", "succeeded"),
    ("any: one is enough", {"a": {}, "b": {}, "c": ANY}, "a>c b>c", "b=failed", "a=succeeded b=failed c=succeeded", "failed"),
    ("any: none", {"a": {}, "b": {}, "c": ANY}, "a!c b!c", "", "a=succeeded b=succeeded c=skipped", "succeeded"),
    ("first: one is enough", {"a": {}, "b": {}, "c": FIRST}, "a>c b>c", "a=failed", "a=failed b=succeeded c=succeeded", "failed"),
    ("first: none", {"a": {}, "b": {}, "c": FIRST}, "a!c b!c", "", "a=succeeded b=succeeded c=skipped", "succeeded"),
    ("allowed failure goes on", {"a": ALLOW, "b": {}}, "a>b", "a=failed", "a=failed b=succeeded", "succeeded"),
    ("allowed failure takes its fail edge too", {"a": ALLOW, "b": {}, "c": {}}, "a>b a!c", "a=failed", "a=failed b=succeeded c=succeeded", "succeeded"),
    ("errored is never allowed", {"a": ALLOW, "b": {}}, "a>b", "a=lost", "a=errored b=skipped", "errored"),
    ("retry until it works", {"a": retry(2, "failed")}, "", "a=failed,failed,ok", "a=succeeded", "succeeded"),
    ("retry ends", {"a": retry(1, "failed"), "b": {}}, "a!b", "a=failed,failed,ok", "a=failed b=succeeded", "failed"),
    ("retry by reason", {"a": retry(1, "timeout")}, "", "a=timeout,ok", "a=succeeded", "succeeded"),
    ("retry only what is named", {"a": retry(1, "timeout")}, "", "a=failed,ok", "a=failed", "failed"),
    ("retry after a loss", {"a": retry(1, "errored")}, "", "a=lost,ok", "a=succeeded", "succeeded"),
    ("retry with a delay", {"a": retry(1, "errored", delay=5)}, "", "a=errored,ok", "a=succeeded", "succeeded"),
    ("retry never after cancel", {"a": retry(1, "cancelled")}, "", "a=cancelled,ok", "a=cancelled", "cancelled"),
    ("no retry of an environment after a loss", {"a": env(**retry(3, "errored"))}, "", "a=lost,ok", "a=errored", "errored"),
    ("retry of an environment after a failure", {"a": env(**retry(3, "failed"))}, "", "a=failed,ok", "a=succeeded", "succeeded"),
    ("never started: offered again, then lost", "a", "", "a=lost_early", "a=errored", "errored"),
    ("lock only", {"a": env()}, "", "", "a=succeeded", "succeeded"),
    ("approved", {"a": env("ops")}, "", "", "a=succeeded", "succeeded"),
    ("rejected", {"a": env("ops"), "b": {}}, "a!b", "a=rejected", "a=failed b=succeeded", "failed"),
    ("background", {"a": SERVICE, "b": {}}, "a>b", "", "a=succeeded b=succeeded", "succeeded"),
    ("background never healthy", {"a": SERVICE, "b": {}}, "a>b", "a=failed", "a=failed b=skipped", "failed"),
    ("background is stopped after a failure", {"a": SERVICE, "b": {}}, "a>b", "b=failed", "a=succeeded b=failed", "failed"),
    ("edge condition true", "a b", "a>b?branch=='main'", "", "a=succeeded b=succeeded", "succeeded"),
    ("edge condition false", "a b", "a>b?branch=='x'", "", "a=succeeded b=skipped", "succeeded"),
    ("edge condition on the result's variables", "a b", "a>b?variables.V_a=='1'", "", "a=succeeded b=succeeded", "succeeded"),
    ("edge condition on the outcome", "a b", "a*b?steps.a.outcome=='failed'&&steps.a.exit_code==2", "a=failed", "a=failed b=succeeded", "failed"),
    ("edge condition broken", "a b c", "a>b?variables.X=='1' b!c", "", "a=succeeded b=failed c=succeeded", "failed"),
    ("condition of an edge not taken is not evaluated", "a b", "a!b?variables.X=='1'", "", "a=succeeded b=skipped", "succeeded"),
    ("step condition false", {"a": {"condition": "branch == 'x'"}, "b": {}}, "a*b", "", "a=skipped b=skipped", "succeeded"),
    ("step condition sees merged variables", {"a": {}, "b": {}, "c": {"condition": "variables.V_a + variables.V_b == '11'"}}, "a>c b>c", "", "a=succeeded b=succeeded c=succeeded", "succeeded"),
    ("step condition broken", {"a": {"condition": "variables.X == ''"}, "b": {}}, "a!b", "", "a=failed b=succeeded", "failed"),
    ("step condition on a step not ended", {"a": {"condition": "steps.b.outcome == '' && steps.b.exit_code == null"}, "b": {}}, "", "", "a=succeeded b=succeeded", "succeeded"),
    ("conflict", "a b c d", "a>c b>c c!d", "c=conflict", "a=succeeded b=succeeded c=failed d=succeeded", "failed"),
    ("input cannot be made", "a b c d", "a>c b>c c!d", "c=unmergeable", "a=succeeded b=succeeded c=errored d=succeeded", "errored"),
    ("matrix name stands for the worst", {"t-1": {"name": "t"}, "t-2": {"name": "t"}, "b": ANY}, "t-1*b?steps.t.outcome=='failed';t-2*b?steps.t.outcome=='failed'", "t-2=failed", "t-1=succeeded t-2=failed b=succeeded", "failed"),
    ("all steps in a condition", "a b", "a>b?size(steps)==2&&steps.exists(k,steps[k].outcome=='succeeded')", "", "a=succeeded b=succeeded", "succeeded"),
    ("unknown step in a condition", "a b", "a>b?steps.zzz.outcome==''", "", "a=succeeded b=failed", "failed"),
]  # fmt: skip


def parse(script: str) -> dict[str, list[str]]:
    return {key: words.split(",") for key, _, words in (item.partition("=") for item in script.split())}


@pytest.mark.parametrize(
    ("steps", "edges", "script", "outcomes", "end"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_case(steps: object, edges: str, script: str, outcomes: str, end: str) -> None:
    player = Player(new_run(make_pipeline(steps, edges)), parse(script))
    player.start()
    run = player.play()
    assert " ".join(f"{key}={step.outcome}" for key, step in run.steps.items()) == outcomes
    assert run.state == end
    assert run.finished_at == player.now
    assert player.commands[-1].type == "finish_run"


CHAIN = ["git", "build", "deploy", "integration-tests"]


@pytest.mark.parametrize("broken", [None, *CHAIN])
@pytest.mark.parametrize("word", ["failed", "lost"])
def test_the_example_mails_exactly_once_when_anything_fails(broken: str | None, word: str) -> None:
    player = Player(new_run(seed_pipeline()), {broken: [word]} if broken else {})
    player.start()
    run = player.play()
    queued = [command.step for command in player.commands if isinstance(command, Enqueue)]
    ran = CHAIN if broken is None else CHAIN[: CHAIN.index(broken) + 1]
    assert queued == (ran if broken is None else [*ran, "email"])
    assert run.state == ("succeeded" if broken is None else {"failed": "failed", "lost": "errored"}[word])
    if broken is None:
        assert (run.steps["email"].outcome, run.steps["email"].reason) == ("skipped", "dead_path")
    else:
        assert run.steps["email"].parents == (broken,)
