"""What tells people what happened, over a database of its own: runs are rows, nobody works on them, nothing is sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowbuild.core.events import AttemptFinished, Event
from flowbuild.core.giturl import Policy
from flowbuild.core.ids import RunId, StepKey
from flowbuild.core.notifying import Rule
from flowbuild.core.sources import SourceEvent, SourceKind
from flowbuild.core.states import Outcome
from flowbuild.services.announcing import AnnounceService
from flowbuild.services.audit import Actor
from flowbuild.services.channels import ChannelService, NewChannel
from flowbuild.services.dispatching import ChannelKind, DispatchService, Parcel
from flowbuild.services.signals import Signals
from flowbuild.services.starter import Cause
from flowbuild.services.users import new_user
from flowbuild.store.channels import ChannelOwner, ChannelRow
from flowbuild.store.database import Database
from flowbuild.store.dispatches import DispatchRow
from flowbuild.testing.databases import new_sqlite
from flowbuild.testing.triggers import Clock, PlainSealer, StoringStarter, add_project, pipeline_file

PROJECT = "team/app"
ROOT = Actor("root")
OF_PROJECT = ChannelOwner(project=PROJECT)
COMMIT = "b" * 40


@dataclass(slots=True)
class ScriptedFacts:
    """See services.announcing.Facts."""

    commits: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    logs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def commit(self, project: str, commit: str) -> tuple[str, str]:  # noqa: ARG002 (there is one project)
        """See Facts."""
        self.asked.append(commit)
        return self.commits.get(commit, ("", ""))

    def lines(self, run: RunId, step: StepKey) -> Sequence[str]:  # noqa: ARG002 (steps of all runs fail alike)
        """See Facts."""
        return self.logs.get(step, ())


class Newsroom:
    """A server's services around channels. Its project has the pipelines of `files`, at first `build` with one step `a`."""

    def __init__(self, path: Path, database: Database | None = None) -> None:
        self.database = database or new_sqlite(path / "flow.db")
        self.clock, self.signals, self.facts = Clock(), Signals(), ScriptedFacts()
        self.project = add_project(self.database, PROJECT)
        self.starter = StoringStarter(self.database, self.signals, self.clock)
        self.starter.script.files = pipeline_file({"build": "push"})
        self.channels = ChannelService(
            database=self.database, sealer=PlainSealer(), policy=Policy(), signals=self.signals, clock=self.clock
        )
        self.dispatches = DispatchService(
            database=self.database, sealer=PlainSealer(), signals=self.signals, clock=self.clock
        )
        self.announcing = self.announcer()
        self._begun = 0

    def announcer(self) -> AnnounceService:
        """Return what expands notices: that of another life of the program, or of another server."""
        return AnnounceService(
            database=self.database,
            facts=self.facts,
            link=lambda row: f"https://flow/runs/{row.number}",
            signals=self.signals,
            clock=self.clock,
        )

    def channel(
        self,
        name: str,
        rule: Rule | None = None,
        *,
        kind: str = ChannelKind.MATRIX,
        target: str = "!room:x",
        owner: ChannelOwner = OF_PROJECT,
    ) -> ChannelRow:
        """Add a channel."""
        return self.channels.add(ROOT, owner, NewChannel(name, kind, target, rule or Rule()))[0]

    def person(self, name: str, role: str = "user") -> ChannelOwner:
        """Add somebody; return the owner of their channels."""
        user = new_user(name, role, self.clock())
        with self.database.write() as tx:
            tx.users.add(user)
        return ChannelOwner(user_id=user.id)

    def begin(self, *, branch: str = "main", commit: str = COMMIT, actor: str = "", pipeline: str = "build") -> RunId:
        """Begin a run."""
        self._begun += 1
        event = SourceEvent(SourceKind.PUSH, branch=branch, commit=commit, repository=PROJECT, actor=actor)
        run = self.starter.start(PROJECT, pipeline, event, {}, Cause(f"key {self._begun}"))
        if run is None:
            raise AssertionError("the run did not begin")
        return run

    def apply(self, run: RunId, *events: Event) -> None:
        """Let something happen to a run, a second later."""
        self.clock.pass_(1)
        self.starter.decisions.apply(run, *events)

    def end(self, run: RunId, outcome: Outcome = Outcome.FAILED) -> None:
        """Let the step of a run end, and so the run."""
        self.apply(run, AttemptFinished(StepKey("a"), 1, 1, outcome, exit_code=2))

    def ran(self, outcome: Outcome = Outcome.FAILED, **about: str) -> RunId:
        """Let a run begin and end, and expand what that means; return it."""
        run = self.begin(**about)
        self.end(run, outcome)
        self.announcing.run_due()
        return run

    def log(self, name: str, owner: ChannelOwner = OF_PROJECT) -> Sequence[DispatchRow]:
        """Return what a channel is told, the oldest first."""
        return self.channels.page(owner, name, None, 1000)[::-1]

    def events(self, name: str, owner: ChannelOwner = OF_PROJECT) -> list[str]:
        """Return of what a channel is told, the oldest first."""
        return [str(row.news.kind) for row in self.log(name, owner)]

    def send_all(self, *kinds: ChannelKind) -> dict[str, list[Parcel]]:
        """Send what is due, and what follows from that, until there is nothing; return it by channel."""
        found = defaultdict[str, list[Parcel]](list)
        while parcels := self.dispatches.due(kinds or tuple(ChannelKind), 100)[0]:
            for parcel in parcels:
                found[parcel.channel].append(parcel)
                self.dispatches.sent(parcel.id, remote=f"${parcel.channel}")
        return dict(found)
