"""The pure parts of the engine: verdicts, subnets, log records, registry messages, the file for compose."""

import ipaddress
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuild.core.states import Outcome, Reason
from flowbuild.core.subnets import free_subnets
from flowbuild.engine.base import Labels, UnitSpec
from flowbuild.engine.images import Problem, classify
from flowbuild.engine.logstream import FrameParser, Sequencer, TerminalParser
from flowbuild.engine.networks import routed_subnets
from flowbuild.engine.plan import document, has_only_containers, make_plan
from flowbuild.engine.verdict import ContainerState, judge, parse_time

SECOND = 10**9
ENGINE_STARTED = 1000 * SECOND


def ended(code, **fields):
    return ContainerState("a", "exited", code, **fields)


@pytest.mark.parametrize(
    ("state", "outcome", "reason"),
    [
        (ended(0), Outcome.SUCCEEDED, None),
        (ended(1), Outcome.FAILED, Reason.EXIT_CODE),
        (ended(137, oom_killed=True), Outcome.FAILED, Reason.OOM),
        (ended(0, oom_killed=True), Outcome.SUCCEEDED, None),  # a child was killed, the service coped
        (ended(128, error="driver failed programming external connectivity"), Outcome.ERRORED, Reason.ENGINE_ERROR),
        (ended(127, error='exec: "x": executable file not found in $PATH'), Outcome.FAILED, Reason.EXIT_CODE),
        (ContainerState("a", "running", 0), Outcome.ERRORED, Reason.ENGINE_ERROR),
        (None, Outcome.ERRORED, Reason.INFRA_LOST),
        (ended(137, started_ns=900 * SECOND, finished_ns=999 * SECOND), Outcome.ERRORED, Reason.INFRA_LOST),
        (ended(0, started_ns=900 * SECOND, finished_ns=1001 * SECOND), Outcome.ERRORED, Reason.INFRA_LOST),
        (ended(137, started_ns=900 * SECOND, finished_ns=910 * SECOND), Outcome.FAILED, Reason.EXIT_CODE),
        (ended(137, started_ns=1001 * SECOND, finished_ns=1002 * SECOND), Outcome.FAILED, Reason.EXIT_CODE),
    ],
)
def test_verdict_of_one_container(state, outcome, reason):
    verdict = judge({"a": state}, ["a"], ENGINE_STARTED)
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("states", "over"),
    [
        ({"a": ended(0)}, True),
        ({"a": ended(1), "b": ended(137)}, True),
        ({"a": ended(0), "b": ContainerState("b", "running", 0)}, False),
        ({"a": ended(0), "b": ContainerState("b", "created", 0)}, False),
        ({"a": ContainerState("a", "created", 127, error="no such file")}, False),
        ({"a": None}, False),  # nothing is known
    ],
)
def test_what_is_over_needs_no_stop(states, over):
    assert judge(states, ["a"], ENGINE_STARTED).over is over


SERVICE = {"image": "i", "networks": {"run": {}}}
RUN = {"run": {"external": True, "name": "net"}}


@pytest.mark.parametrize(
    ("compose", "only"),
    [
        ({"services": {"a": SERVICE}, "networks": RUN}, True),
        ({"services": {"a": {"image": "i", "network_mode": "none"}}}, True),
        ({"services": {"a": {"image": "i"}}}, False),  # the default network
        ({"services": {"a": SERVICE | {"networks": {"run": {}, "p": {}}}}, "networks": RUN | {"p": {}}}, False),
        ({"services": {"a": SERVICE}, "networks": RUN | {"p": {"driver": "x"}}}, False),
        ({"services": {"a": SERVICE}, "networks": RUN, "volumes": {"data": {}}}, False),
        ({"services": {"a": SERVICE | {"build": {"context": "."}}}, "networks": RUN}, False),
    ],
)
def test_units_that_make_nothing_but_containers(compose, only):
    spec = UnitSpec("p", Labels("i", "r", "s", 1, 1), compose, ("a",))
    assert has_only_containers(spec) is only


def test_time_of_the_engine():
    assert parse_time("1970-01-01T00:00:01.000000002Z") == SECOND + 2
    assert parse_time("1970-01-01T00:00:01.5Z") == SECOND + SECOND // 2
    assert parse_time("0001-01-01T00:00:00Z") == 0


def test_subnets_avoid_what_is_used_and_all_are_found():
    pool = ipaddress.IPv4Network("10.9.0.0/24")
    used = [ipaddress.IPv4Network("10.9.0.70/32"), ipaddress.IPv4Network("10.9.0.128/25")]
    assert [str(subnet) for subnet in free_subnets(pool, 26, used, "x")] == ["10.9.0.0/26"]
    assert len(list(free_subnets(pool, 26, [], "x"))) == 4
    assert not list(free_subnets(pool, 26, [ipaddress.IPv4Network("10.0.0.0/8")], "x"))


def test_routes_of_the_kernel():
    table = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU\n"
    table += "eth0 00000000 0100000A 0003 0 0 0 00000000 0\ntun0 00C90A0A 00000000 0001 0 0 0 00FFFFFF 0\n"
    assert [str(subnet) for subnet in routed_subnets(table)] == ["10.10.201.0/24"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("dial tcp: lookup registry.invalid on 10.0.0.1:53: no such host", Problem.UNREACHABLE),
        ("docker pull: no answer within 20 s", Problem.UNREACHABLE),
        ("toomanyrequests: slow down", Problem.RATE_LIMITED),
        ("manifest for x:9 not found: manifest unknown", Problem.NOT_FOUND),
        ("unauthorized: authentication required", Problem.DENIED),
        ("invalid reference format", Problem.BAD_REFERENCE),
        ("write /var/lib: no space left on device", Problem.DISK_FULL),
        ("something new", Problem.OTHER),
    ],
)
def test_messages_of_registries(text, problem):
    assert classify(text) is problem


def stamp(time_ns):
    return b"1970-01-01T00:00:%02d.%09dZ " % divmod(time_ns, SECOND)


records = st.lists(
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.integers(0, 3 * SECOND), st.binary(max_size=20)), max_size=20
)


@given(records, st.integers(1, 50))
def test_frames_in_any_pieces(pieces, size):
    raw = b""
    for stream, _, data in pieces:
        raw += bytes([1 if stream == "stdout" else 2, 0, 0, 0]) + len(data).to_bytes(4, "big") + data
    parser = FrameParser()
    found = [record for at in range(0, len(raw), size) for record in parser.feed(raw[at : at + size])]
    assert found == [(stream, data) for stream, _, data in pieces]


@given(records)
def test_times_increase_and_resuming_neither_repeats_nor_loses(pieces):
    sequencer = Sequencer("a", 0)
    lines = [(stream, stamp(min(at, SECOND)) + data + b"\n") for stream, at, data in pieces]
    all_records = [sequencer.record(*line) for line in lines]
    times = [record.time_ns for record in all_records]
    assert all(before < after for before, after in pairwise(times))
    for kept in range(len(times) + 1):
        again = Sequencer("a", times[kept - 1] if kept else 0)
        assert [record for line in lines if (record := again.record(*line))] == all_records[kept:]


def test_lost_line_end_is_put_back():
    sequencer = Sequencer("a", 0)
    parts = [(1, b"long"), (1, b"er"), (2, b"next\n")]
    found = [sequencer.record("stdout", stamp(at) + data).data for at, data in parts]
    assert b"".join(found) == b"longer\nnext\n"


@given(st.integers(1, 40000), st.integers(1000, 20000))
def test_terminal_output_in_any_pieces(length, size):
    line = b"x" * length + b"\r\n"
    pieces = [line[at : at + 16384] for at in range(0, len(line), 16384)]
    raw = b"".join(stamp(5) + piece for piece in pieces) + stamp(6) + b"end"
    parser = TerminalParser()
    found = [data for at in range(0, len(raw), size) for _, data in parser.feed(raw[at : at + size])]
    found += [data for _, data in parser.rest()]
    assert b"".join(data[31:] for data in found) == line + b"end"


def test_file_for_compose_is_literal_and_labelled():
    compose = {
        "services": {"a.s": {"image": "x", "command": "echo $A", "labels": {"flow.service": "a"}, "depends_on": ["b.s"]},
                     "b.s": {"build": "/ctx", "labels": {"flow.service": "b"}}},
        "volumes": {"v": None, "e": {"external": True}},
    }  # fmt: skip
    spec = UnitSpec("p", Labels("i", "r", "s", 1, 2), compose, ("a",))
    text = document(spec)
    file = json.loads(text)
    assert file["services"]["a.s"]["command"] == "echo $$A"
    assert file["services"]["a.s"]["labels"] == {"flow.service": "a", "flow.unit": "p"} | spec.labels.as_dict()
    assert file["services"]["b.s"]["build"]["labels"]["flow.image"] == "p-b.s"
    assert "flow.unit" not in file["services"]["b.s"]["build"]["labels"]
    assert file["volumes"]["v"]["labels"]["flow.unit"] == "p"
    assert "labels" not in file["volumes"]["e"]
    assert file["networks"]["default"] == {"external": True, "name": "p_default"}
    assert make_plan(spec).stop_order() == [["a"], ["b"]]


def test_a_container_that_cannot_join_a_network_is_not_the_fault_of_the_step():
    refused = "no manager of the Swarm answered"
    for error, why in {
        "Could not attach to network flow-1: context deadline exceeded": refused,
        "attaching to network failed, make sure your network options are correct and check manager logs: context deadline exceeded": refused,
        "network e355q5wh8awtwwolg78495u93 not found": "this machine did not have it in that moment",
    }.items():
        verdict = judge({"db": ContainerState("db", "created", 128, error=error)}, ["db"], 0)
        assert (verdict.outcome, verdict.reason) == (Outcome.ERRORED, Reason.INFRA_LOST)
        assert why in verdict.message
        assert error in verdict.message
    other = judge({"db": ContainerState("db", "created", 128, error="no room")}, ["db"], 0)
    assert "Swarm" not in other.message
    assert other.reason is Reason.ENGINE_ERROR
