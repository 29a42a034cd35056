"""The simulator finds nothing in the real machine, and does find what is broken on purpose."""

from __future__ import annotations

from collections import Counter

import pytest

from flowbuild.testing import simulator, world
from flowbuild.testing.simulator import CONTROLS, main, simulate


def test_no_rule_is_broken_and_every_fault_is_injected() -> None:
    reports = [simulate(seed) for seed in range(400)]
    assert [(report.seed, report.wrong) for report in reports if report.wrong] == []
    faults = sum((report.faults for report in reports), Counter())
    assert {*simulator.RATES, *world.RATES} == set(+faults)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_broken_world_is_noticed(control: str) -> None:
    assert any(simulate(seed, control).wrong for seed in range(400))


def test_a_seed_always_gives_the_same_history() -> None:
    first, second = simulator.Simulation(7), simulator.Simulation(7)
    first.simulate()
    second.simulate()
    assert first.log == second.log
    assert first.commands == second.commands


def test_the_program_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "20"]) == 0
    assert "20 seeds in" in capsys.readouterr().out
    assert main(["--seeds", "60", "--control", "no-outbox"]) == 1
    assert "seed " in capsys.readouterr().out
