"""What triggers need around them, without git: a project in the database, and a starter that really stores runs."""

# ruff: noqa: ARG002  a starter without git needs to know less than one with it

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flowbuild.core.errors import FlowError, NotFound
from flowbuild.core.ids import CommitId, RunId
from flowbuild.core.machine import create_run
from flowbuild.core.model import Pipeline
from flowbuild.core.run import RunContext
from flowbuild.core.sources import SourceEvent, Trust, trust_of
from flowbuild.services.consequences import Consequences
from flowbuild.services.decisions import Decisions
from flowbuild.services.held import refuse_held
from flowbuild.services.ids import new_id, new_run_id
from flowbuild.services.reactions import Reactions
from flowbuild.services.signals import Signals
from flowbuild.services.starter import Cause
from flowbuild.spec.findings import InvalidFile, has_errors
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.source import MemoryRepository
from flowbuild.store.database import Database
from flowbuild.store.projects import ProjectRow
from flowbuild.store.runs import RunRow


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class PlainSealer:
    """Seals nothing, but insists on being asked for what belongs there; the real one is `vault`."""

    def seal(self, text: str, *about: str) -> str:
        """See services.projects.Sealer."""
        return "\0".join((*about, text))

    def open(self, sealed: str, *about: str) -> str:
        """See services.projects.Sealer."""
        *owner, text = sealed.split("\0")
        if tuple(owner) != about:
            raise AssertionError(f"{owner} was opened as {about}")
        return text


@dataclass(slots=True)
class Script:
    """What the starter answers. `failures`: errors to raise, one for each call from now on."""

    files: Mapping[str, str] = field(default_factory=dict)
    changed: Sequence[str] | None = None
    messages: Mapping[str, str] = field(default_factory=dict)
    strangers: frozenset[str] = frozenset()
    failures: list[FlowError] = field(default_factory=list)


class StoringStarter:
    """See services.starter.Starter. Runs are rows as any others, and begin; nobody works on their steps."""

    def __init__(self, database: Database, signals: Signals, clock: Clock) -> None:
        self.script = Script()
        self.calls: list[tuple[str, SourceEvent, Mapping[str, str]]] = []  # those that began a run
        self.causes: list[Cause] = []
        self._database = database
        self._clock = clock
        self.decisions = Decisions(database, signals, clock, lambda _run: None)

    def pipelines(self, project: str, event: SourceEvent) -> Sequence[Pipeline]:
        """See Starter."""
        self._fail()
        return tuple(self._pipelines().values())

    def trust(self, project: str, event: SourceEvent) -> Trust:
        """See Starter. There are no commits to look for: a commit that `strangers` names is on no branch."""
        if event.commit in self.script.strangers:
            return Trust.UNTRUSTED
        return trust_of(event, branches=("main",))

    def message(self, project: str, event: SourceEvent) -> str:
        """See Starter."""
        return self.script.messages.get(event.commit, "")

    def changed(self, project: str, event: SourceEvent) -> Sequence[str] | None:
        """See Starter."""
        return self.script.changed

    def start(
        self, project: str, pipeline: str, event: SourceEvent, inputs: Mapping[str, str], cause: Cause
    ) -> RunId | None:
        """See Starter."""
        self._fail()
        found = self._pipelines().get(pipeline)
        if found is None:
            raise NotFound(f"there is no pipeline {pipeline!r}")
        now = self._clock()
        run = create_run(
            new_run_id(now),
            found,
            context=RunContext(event.branch, event.tag, event.commit, str(event.kind), dict(inputs)),
            initial_commit=CommitId("c" * 64),
            now=now,
        )
        with self._database.write() as tx:
            known = tx.starts.add(cause.key, run.id, now)
            if known != run.id:
                return known
            number = tx.runs.next_number(project)
            refuse_held(tx, project, pipeline)
            row = RunRow(run, number, project, "me", "/source", dirty=False, repository="/repository")
            trust = self.trust(project, event)
            tx.runs.add(replace(row, actor=event.actor, trust=str(trust), cause=dict(cause.about)))
            self.decisions.begin_in(tx, run.id)
        self.decisions.announce(run.id, tx.topics, tx.others)
        self.calls.append((pipeline, event, inputs))
        self.causes.append(cause)
        return run.id

    def started(self) -> list[str]:
        """Return the pipelines of which runs began, in order."""
        return [pipeline for pipeline, _, _ in self.calls]

    def _pipelines(self) -> Mapping[str, Pipeline]:
        loaded = load_pipelines(MemoryRepository(self.script.files))
        if has_errors(loaded.findings):
            raise InvalidFile(loaded.findings)
        return loaded.pipelines

    def _fail(self) -> None:
        if self.script.failures:
            raise self.script.failures.pop(0)


def consequences_of(database: Database, starter: StoringStarter, clock: Clock | Callable[[], float]) -> Consequences:
    """Return what draws the consequences of deliveries, with runs of that starter."""
    return Consequences(
        database=database,
        reactions=Reactions(starter),
        cancel=starter.decisions.cancel,
        link=lambda row: f"https://flow/{row.project}/{row.id}",
        clock=clock,
    )


def add_project(database: Database, name: str = "team/app") -> str:
    """Store a project; return its id."""
    identifier = new_id(1_700_000_000.0)
    with database.write() as tx:
        tx.projects.add(ProjectRow(identifier, name, "https://forge.invalid/team/app.git", 1.0))
    return identifier


def pipeline_file(triggers: Mapping[str, str], more: str = "") -> dict[str, str]:
    """Return a `.flow.yml` with one pipeline of one step for each name, whose `on:` is given as YAML on one line."""
    step = "{steps: {a: {compose: {services: {main: {image: busybox}}}}}"
    lines = [f"  {name}: {step}, on: {written}{more}}}" for name, written in triggers.items()]
    return {".flow.yml": "pipelines:\n" + "\n".join(lines) + "\n"}


def with_file(script: Script, triggers: Mapping[str, str], more: str = "") -> Script:
    """Return a script in which the repository has that pipeline file."""
    return replace(script, files=pipeline_file(triggers, more))
