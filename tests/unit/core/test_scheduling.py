"""Who gets what: order, shares, warmth, holds; never more than a machine has, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.placement import Amounts, Constraint, Machine, Needs
from flowbuild.core.scheduling import AGE, HOLD, Plan, Queued, in_order, obstacles, plan


def wants(cpus: float, *constraints: str) -> Needs:
    return Needs(tuple(Constraint.parse(each) for each in constraints), Amounts(cpus))


def machines(*made: Machine) -> dict[str, Machine]:
    return {machine.name: machine for machine in made}


def ask(
    asking: str,
    known: dict[str, Machine],
    *queue: Queued,
    free: set[str] | None = None,
    now: float = 0.0,
    running: dict[str, int] | None = None,
) -> Plan:
    return plan(asking, queue, known, free=free or set(known), running=running or {}, now=now)


def test_first_come_first_served() -> None:
    found = ask("m", machines(Machine("m")), Queued("late", "p", 2.0), Queued("early", "p", 1.0), now=3.0)

    assert found.key == "early"


def test_priority_is_within_a_project() -> None:
    queue = [Queued("p1", "p", 1.0), Queued("p2", "p", 2.0, priority=5), Queued("q", "q", 1.5, priority=-5)]

    assert [each.key for each in in_order(queue, {}, 3.0)] == ["p2", "q", "p1"]


def test_a_project_with_much_running_lets_others_go_first() -> None:
    queue = [*(Queued(f"p{number}", "p", number) for number in range(3)), Queued("q", "q", 9.0)]

    assert [each.key for each in in_order(queue, {"p": 2}, 10.0)] == ["q", "p0", "p1", "p2"]
    assert [each.key for each in in_order(queue, {}, 10.0)] == ["p0", "q", "p1", "p2"]


def test_waiting_counts() -> None:
    queue = [Queued("old", "p", 0.0), Queued("new", "p", AGE, priority=1), Queued("other", "q", AGE)]

    assert [each.key for each in in_order(queue, {"p": 2}, AGE)] == ["other", "old", "new"]
    assert next(in_order([*queue[:2], Queued("other", "q", 3 * AGE)], {"p": 2}, 3 * AGE)).key == "old"


def test_a_fan_out_spreads_and_a_chain_stays() -> None:
    known = machines(Machine("a", places=4), Machine("b", places=4))
    fan = [Queued(number, "p", float(number), warm="a") for number in range(4)]

    assert ask("a", known, *fan).key == 0
    fuller = known | {"a": replace(known["a"], busy=2)}
    assert ask("b", fuller, *fan).key == 0
    slightly = known | {"a": replace(known["a"], busy=1)}
    assert ask("a", slightly, *fan).key == 0  # warm is worth a quarter of the machine


def test_what_another_machine_should_have_is_left_for_it() -> None:
    known = machines(Machine("a", places=4, busy=3), Machine("b", places=4))

    found = ask("a", known, Queued("x", "p", 0.0))
    assert (found.key, found.left_for) == (None, {"x": "b"})
    assert ask("a", known, Queued("x", "p", 0.0), free={"a"}).key == "x"  # b does not ask for work
    assert ask("a", known, Queued("x", "p", 0.0), Queued("y", "p", 1.0)).key == "y"  # each gets one


def test_only_fitting_machines_count() -> None:
    known = machines(
        Machine("a", {"node.labels.gpu": "yes"}, Amounts(2)),
        Machine("b", total=Amounts(8)),
        Machine("c", closed="is draining"),
    )

    assert ask("a", known, Queued("x", "p", 0.0, wants(1, "node.labels.gpu == yes"))).key == "x"
    assert ask("b", known, Queued("x", "p", 0.0, wants(1, "node.labels.gpu == yes"))).key is None
    assert ask("a", known, Queued("x", "p", 0.0, wants(4))).left_for == {"x": "b"}
    assert ask("c", known, Queued("x", "p", 0.0), free={"c"}).key is None
    assert ask("a", known, Queued("x", "p", 0.0, not_on="a"), free={"a"}).key is None
    assert set(obstacles(Queued("x", "p", 0.0, wants(4)), known)) == {"a", "c"}


def test_a_machine_is_held_for_what_small_work_keeps_away() -> None:
    known = machines(
        Machine("a", total=Amounts(4), reserved=Amounts(1), places=9, busy=1), Machine("b", total=Amounts(2))
    )
    large, small = Queued("large", "p", 0.0, wants(4)), Queued("small", "q", 5.0, wants(1))

    assert ask("a", known, large, small, free={"a"}, now=HOLD - 1).key == "small"
    found = ask("a", known, large, small, free={"a"}, now=HOLD)
    assert (found.key, found.held) == (None, {"a": "large"})
    assert ask("b", known, large, small, now=HOLD).key == "small"  # the others go on
    emptied = known | {"a": replace(known["a"], reserved=Amounts(), busy=0)}
    assert ask("a", emptied, large, small, now=HOLD).key == "large"


def test_nothing_is_held_for_what_fits_nowhere() -> None:
    known = machines(Machine("a", total=Amounts(4)))

    found = ask("a", known, Queued("huge", "p", 0.0, wants(5)), Queued("small", "p", 1.0, wants(1)), now=10 * HOLD)
    assert found.key == "small"


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, Machine], list[Queued]]:
    count = draw(st.integers(1, 4))
    known = machines(
        *(
            Machine(
                f"m{number}",
                {"node.labels.kind": draw(st.sampled_from(["x", "y"]))},
                Amounts(draw(st.sampled_from([1.0, 2.0, 4.0])), draw(st.sampled_from([2, 8]))),
                places=draw(st.integers(1, 3)),
            )
            for number in range(count)
        )
    )
    needs = st.builds(
        Needs,
        st.sampled_from(
            [(), (Constraint("node.labels.kind", "x"),), (Constraint("node.labels.kind", "x", equal=False),)]
        ),
        st.builds(Amounts, st.sampled_from([0.0, 0.5, 1.0, 4.0]), st.sampled_from([0, 1, 2, 8])),
    )
    queue = [
        Queued(
            number,
            draw(st.sampled_from("pqr")),
            float(number),
            draw(needs),
            draw(st.integers(-3, 3)),
            draw(st.sampled_from(["", *known])),
        )
        for number in range(draw(st.integers(0, 25)))
    ]
    return known, queue


class _Site:
    """Machines that ask for work whenever they have a place, and the attempts that they have, each for some seconds."""

    def __init__(self, known: dict[str, Machine], queue: list[Queued]) -> None:
        self.empty = known
        self.queue = queue
        self.running: list[tuple[float, str, Queued]] = []
        self.began: dict[object, float] = {}
        self.now = float(len(queue))

    def machines(self) -> dict[str, Machine]:
        def loaded(machine: Machine) -> Machine:
            has = [each for _, name, each in self.running if name == machine.name]
            return replace(machine, busy=len(has), reserved=sum((each.needs.amounts for each in has), Amounts()))

        return {name: loaded(machine) for name, machine in self.empty.items()}

    def hand_out(self, seconds: float) -> None:
        """Let machines ask until none gets anything."""
        while True:
            known = self.machines()
            free = {name for name, machine in known.items() if machine.busy < machine.places}
            shares = Counter(each.project for _, _, each in self.running)
            found = {
                name: plan(name, self.queue, known, free=free, running=shares, now=self.now).key
                for name in sorted(free)
            }
            got = {name: key for name, key in found.items() if key is not None}
            if not got:
                return
            assert len(set(got.values())) == len(got)  # no two machines are given the same
            for name, key in got.items():
                (each,) = (each for each in self.queue if each.key == key)
                self.queue.remove(each)
                self.began[key] = self.now
                self.running.append((self.now + seconds, name, each))
            for machine in self.machines().values():
                assert machine.busy <= machine.places
                assert machine.reserved.cpus <= machine.total.cpus
                assert machine.reserved.memory <= machine.total.memory

    def pass_time(self) -> None:
        self.now = min((until for until, _, _ in self.running), default=self.now + HOLD)
        self.running = [entry for entry in self.running if entry[0] > self.now]


@given(worlds(), st.sampled_from([10.0, 100.0, 5000.0]))
def test_nothing_is_overcommitted_and_all_that_fits_somewhere_runs(
    world: tuple[dict[str, Machine], list[Queued]], seconds: float
) -> None:
    known, queue = world
    possible = {each.key for each in queue if len(obstacles(each, known)) < len(known)}
    site = _Site(known, list(queue))

    for _ in range(4 * len(queue) + 4):
        site.hand_out(seconds)
        site.pass_time()

    assert set(site.began) == possible


def test_large_work_is_not_starved_by_a_stream_of_small() -> None:
    site = _Site(machines(Machine("m", total=Amounts(4), places=8)), [])
    site.queue.append(Queued("large", "p", 0.0, wants(4)))
    site.now = 0.0
    for number in range(400):  # small work of the same project and of another one, always more than there is room for
        project = "pq"[number % 2]
        site.queue.append(Queued(number, project, site.now, wants(1)))
        if number % 4 == 3:
            if number == 3:
                site.queue, late = site.queue[1:], site.queue[0]
                site.hand_out(25.0)
                site.queue.append(replace(late, queued_at=site.now))
            site.hand_out(20.0 + number % 7)
            site.pass_time()
        if "large" in site.began:
            break

    assert site.began["large"] <= 2 * HOLD + 2 * 27


def test_a_project_that_floods_the_queue_gets_its_share_only() -> None:
    site = _Site(machines(Machine("m", places=4)), [])
    site.queue = [Queued(number, "flood", 0.0) for number in range(200)]
    site.now = 0.0
    site.hand_out(10.0)
    site.queue.append(Queued("one", "modest", site.now))
    site.pass_time()
    site.hand_out(10.0)

    assert site.began["one"] == 10.0


def test_low_priority_runs_in_the_end() -> None:
    site = _Site(machines(Machine("m")), [Queued("low", "p", 0.0, priority=-2)])
    site.now = 0.0
    for number in range(1000):
        site.queue.append(Queued(number, "p", site.now, priority=1))
        site.hand_out(60.0)
        site.pass_time()
        if "low" in site.began:
            break

    assert 3 * AGE <= site.began["low"] <= 4 * AGE + 120
