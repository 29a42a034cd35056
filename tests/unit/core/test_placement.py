"""What a step asks of a machine, and what is in the way."""

from __future__ import annotations

import pytest

from flowbuild.core.placement import MEMBERS, Amounts, Constraint, Machine, Needs, obstacle

GIB = 1 << 30
ATTRIBUTES = {
    "node.id": "4x6z",
    "node.hostname": "Build-1",
    "node.role": "worker",
    "node.platform.os": "linux",
    "node.platform.arch": "x86_64",
    "node.labels.disk": "ssd",
    "engine.labels.zone": "a",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("node.id == 4x6z", True),
        ("node.hostname==build-1", True),  # case does not matter
        ("node.hostname != build-2", True),
        ("node.role == manager", False),
        ("node.role != manager", True),
        ("node.platform.os == linux", True),
        ("node.platform.arch == amd64", True),  # as Docker's images call it
        ("node.platform.arch == X86_64", True),
        ("node.platform.arch == arm64", False),
        ("node.labels.disk == ssd", True),
        ("node.labels.disk != ssd", False),
        ("node.labels.gpu == true", False),  # it has no such label
        ("node.labels.gpu != true", True),
        ("engine.labels.zone == a", True),
        ("engine.labels.zone == b", False),
    ],
)
def test_constraints(text: str, *, holds: bool) -> None:
    constraint = Constraint.parse(text)

    assert constraint.holds(ATTRIBUTES) is holds
    assert Constraint.parse(str(constraint)) == constraint


def test_what_is_in_the_way() -> None:
    machine = Machine(
        "a", ATTRIBUTES, Amounts(4, 8 * GIB, {"GPU": 2}), reserved=Amounts(3, GIB, {"GPU": 2}), places=4, busy=2
    )

    def hurdle(needs: Needs, **changes: object) -> tuple[str, bool] | None:
        found = obstacle(needs, Machine(**{**{f: getattr(machine, f) for f in machine.__slots__}, **changes}))
        return None if found is None else (found.text, found.ever)

    assert hurdle(Needs(amounts=Amounts(1, 7 * GIB))) is None
    assert hurdle(Needs(amounts=Amounts(1.5))) == ("3 cpus of 4 cpus are reserved", True)
    assert hurdle(Needs(amounts=Amounts(4.5))) == ("has 4 cpus, not 4.5 cpus", False)
    assert hurdle(Needs(amounts=Amounts(memory=9 * GIB))) == ("has 8,192 MiB of memory, not 9,216 MiB of memory", False)
    assert hurdle(Needs(amounts=Amounts(generic={"GPU": 1}))) == ("2 GPU of 2 GPU are reserved", True)
    assert hurdle(Needs(amounts=Amounts(generic={"FPGA": 1}))) == ("has 0 FPGA, not 1 FPGA", False)
    assert hurdle(Needs((Constraint("node.role", "manager"),))) == ("not node.role == manager", False)
    assert hurdle(Needs(), closed="is draining") == ("is draining", False)
    assert hurdle(Needs(amounts=Amounts(99)), bounded=False) is None


def test_tenths_of_processors_add_up() -> None:
    tenths = sum((Amounts(0.1) for _ in range(9)), Amounts())

    assert obstacle(Needs(amounts=Amounts(0.1)), Machine("a", total=Amounts(1), reserved=tenths)) is None


def test_the_network_of_a_run_keeps_it_on_some_machines() -> None:
    inside, outside = Machine("in", member=True), Machine("out")

    assert obstacle(Needs(), inside, MEMBERS) is None
    assert obstacle(Needs(), outside, MEMBERS) is not None
    assert obstacle(Needs(), outside, "out") is None
    assert obstacle(Needs(), inside, "out") is not None
