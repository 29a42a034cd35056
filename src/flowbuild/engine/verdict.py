"""How a unit ended, from what the engine says about each container. Pure.

Traps that shaped the rules:
* `OOMKilled` is also set when the kernel killed only a child and the main process coped (cgroup v1 counts events of the
  whole group), so alone it is no failure; on cgroup v2 some engines miss it, so 137 names memory as a possible cause.
* An engine that stops or restarts takes its containers along; their exit codes then say nothing about the step.
* A command that cannot be executed is the step's fault although the engine reports it as its own error.
"""

from __future__ import annotations

import calendar
import re
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flowbuild.core.states import Outcome, Reason
from flowbuild.engine.base import ServiceEnd, Verdict

ENDED = frozenset({"exited", "dead", "removing"})
SHUTDOWN_NS = 30 * 10**9  # an engine that shuts down gives containers 15 s or their own grace time
JOIN_TEXTS = ("attach to network", "attaching to network")  # of the Swarm; the engine tried for 20 s and says no more
LEFT_HERE = re.compile(r"network \S+ not found", re.IGNORECASE)
NOT_FOUND_TEXTS = ("executable file not found", "no such file or directory")


@dataclass(frozen=True, slots=True)
class ContainerState:
    """The engine's record of one container; times in ns since the epoch, 0 = never. `health` is "" without a check."""

    service: str
    status: str
    exit_code: int
    oom_killed: bool = False
    error: str = ""
    started_ns: int = 0
    finished_ns: int = 0
    health: str = ""
    health_output: str = ""

    @property
    def ended(self) -> bool:
        """Whether it has ended, or could not be started at all."""
        return self.status in ENDED or bool(self.status == "created" and self.error)

    def end(self) -> ServiceEnd:
        """Return what is recorded with the verdict."""
        code = self.exit_code if self.ended else None
        return ServiceEnd(self.service, self.status, code, self.oom_killed, self.error)


@lru_cache(maxsize=64)
def _second(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def parse_time(text: str) -> int:
    """Return ns since the epoch of an RFC 3339 time in UTC as the engine writes it; 0 for its "never" (year 1)."""
    if text.startswith("0001"):
        return 0
    fraction = text[20:].rstrip("Z") if text[19:20] == "." else ""
    return _second(text[:19]) * 10**9 + int(fraction.ljust(9, "0")[:9] or "0")


def read_state(service: str, inspected: Mapping[str, Any] | None) -> ContainerState | None:
    """Read the answer of an inspection; None when the container is gone."""
    if inspected is None:
        return None
    state = inspected["State"]
    health = state.get("Health") or {}
    log = health.get("Log") or ()
    return ContainerState(
        service,
        state["Status"],
        state["ExitCode"],
        state["OOMKilled"],
        state["Error"],
        parse_time(state["StartedAt"]),
        parse_time(state["FinishedAt"]),
        health.get("Status", "").replace("none", ""),
        str(log[-1].get("Output", "")).strip() if log else "",
    )


def judge(
    states: Mapping[str, ContainerState | None], main: Sequence[str], engine_started_ns: int, context: str = ""
) -> Verdict:
    """Return the verdict: of the first main service (in their order) that is not fine, or success.

    `states`: by plain service name, None for a container that is gone. `engine_started_ns`: 0 when unknown.
    """
    services = tuple(state.end() for state in states.values() if state is not None)
    notes = _notes(states, main)
    for service in main:
        state = states.get(service)
        found = _gone(service) if state is None else _fault(state, engine_started_ns)
        if found is not None:
            outcome, reason, message, code = found
            return Verdict(outcome, reason, message + context + notes, code, services)
    return Verdict(Outcome.SUCCEEDED, None, (context + notes).strip("; "), 0, services)


Fault = tuple[Outcome, Reason, str, int | None]


def _gone(service: str) -> Fault:
    return Outcome.ERRORED, Reason.INFRA_LOST, f'the container of service "{service}" disappeared from the engine', None


def _fault(state: ContainerState, engine_started_ns: int) -> Fault | None:
    name, code = f'service "{state.service}"', state.exit_code
    if not state.ended:
        return Outcome.ERRORED, Reason.ENGINE_ERROR, f"{name} has not ended (it is {state.status})", None
    if lost(state, engine_started_ns):
        return Outcome.ERRORED, Reason.INFRA_LOST, f"{name} was taken down by a restart of the engine", None
    if state.error:
        shell_code = unexecutable(state.error)
        if shell_code is None:
            # A machine that the Swarm does not let in is not there for this run: another one may do.
            reason = Reason.INFRA_LOST if could_not_join(state.error) else Reason.ENGINE_ERROR
            return Outcome.ERRORED, reason, f"{name}: {_not_run(state.error)}", None
        return Outcome.FAILED, Reason.EXIT_CODE, f"{name}: cannot execute the command: {state.error}", shell_code
    if code == 0:
        return None
    if state.oom_killed:
        return Outcome.FAILED, Reason.OOM, f"{name} was killed by the kernel: out of memory (exit code {code})", code
    return Outcome.FAILED, Reason.EXIT_CODE, f"{name} ended with exit code {code}{_signal(code)}", code


def _not_run(error: str) -> str:
    """Say why the engine did not start a container."""
    if not_let_in(error):
        why = "no manager of the Swarm answered, all of its addresses are taken, or it is gone"
    elif could_not_join(error):
        why = "this machine did not have it in that moment"
    else:
        return f"the engine could not run it: {error}"
    return f"it could not join the network of the run: {why} ({error})"


def not_let_in(error: str) -> bool:
    """Whether the engine says that the Swarm did not let it into a network."""
    return any(text in error.lower() for text in JOIN_TEXTS)


def could_not_join(error: str) -> bool:
    """Whether it says that, or that a network was not there: also when all others left just when one joined."""
    return not_let_in(error) or LEFT_HERE.search(error) is not None


def lost(state: ContainerState, engine_started_ns: int) -> bool:
    """Whether a restart of the engine ended it: it began in an earlier life and ended in, or shortly before, this one."""
    if not engine_started_ns or not state.started_ns or state.started_ns >= engine_started_ns:
        return False
    return state.finished_ns > engine_started_ns - SHUTDOWN_NS


def unexecutable(error: str) -> int | None:
    """Return the exit code a shell would give when the error means that the command cannot be executed."""
    text = error.lower()
    if "exec" not in text or "mount" in text:
        return None
    if any(known in text for known in NOT_FOUND_TEXTS):
        return 127
    return 126 if "permission denied" in text or "exec format error" in text else None


def _signal(code: int) -> str:
    if code <= 128:
        return ""
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return ""
    return f" ({name}{'; memory may have run out' if name == 'SIGKILL' else ''})"


def _notes(states: Mapping[str, ContainerState | None], main: Sequence[str]) -> str:
    notes = []
    for service, state in states.items():
        if state is None or not state.ended:
            continue
        if service not in main and (state.exit_code or state.error):
            why = state.error or f"exit code {state.exit_code}{', out of memory' if state.oom_killed else ''}"
            notes.append(f'side service "{service}" had ended: {why}')
        elif service in main and state.oom_killed and state.exit_code == 0:
            notes.append(f'the kernel killed a process of service "{service}" for memory, but the service coped')
    return "".join(f"; {note}" for note in notes)
