"""Use cases of runs: start, rerun, resume, cancel, approve. Blocking: call from threads."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flowbuild.client.base import StartRequest
from flowbuild.core.errors import Conflict, InvalidRequest, NotFound
from flowbuild.core.events import Approved, CancelRequested, Event, Rejected
from flowbuild.core.ids import RUN_ID, RunId, StepKey
from flowbuild.core.machine import create_run, patience
from flowbuild.core.model import Pipeline
from flowbuild.core.placement import UNDECIDED
from flowbuild.core.rerun import create_rerun, failed_steps
from flowbuild.core.run import Run, RunContext
from flowbuild.core.states import Reason, RunState, StepState
from flowbuild.services.assignments import SecretSource
from flowbuild.services.audit import NOBODY, Actor, note_begun, note_steered
from flowbuild.services.binding import bind_environments, bind_group, bind_variables, check_given
from flowbuild.services.decisions import ALL, LEASES, Clock, Decisions
from flowbuild.services.directories import project_of
from flowbuild.services.gate import Gate
from flowbuild.services.held import refuse_held
from flowbuild.services.ids import new_run_id
from flowbuild.services.source_files import SourceFiles
from flowbuild.spec.findings import InvalidFile, has_errors
from flowbuild.spec.inputs import bind_inputs
from flowbuild.spec.load import load_pipelines
from flowbuild.spec.words import did_you_mean
from flowbuild.store.database import Database, Transaction
from flowbuild.store.runs import RunRow
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.source import Source, WorkingTree
from flowbuild.workspace.variables import check


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are kept: one repository per run, one LFS store for all, so that runs share big files.

    What is not in the database yet is made beside its place, as `.OWNER.RUN`: to move it there must not copy it.
    """

    runs: Path
    lfs: Path

    def repository(self, run: RunId) -> Path:
        """Return the bare repository of a run."""
        return self.runs / run / "repository.git"

    def beginning(self, owner: str, run: RunId) -> Path:
        """Return where a program makes what `runs/RUN` will be."""
        return self.runs / f".{owner}.{run}"


@dataclass(frozen=True, slots=True)
class Order:
    """A run to be begun: a pipeline as its source has it, what is given to it, and why. No project: that of its directory.

    `actor`, `trust` and `cause` as in `store.runs.RunRow`; an empty name of the actor is that of nobody in particular. `by`:
    the person who asked for it, if one did. The same `key`, if there is one, never begins two runs.
    """

    source: Source
    pipeline: Pipeline
    inputs: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    project: str | None = None
    event: str = "manual"
    actor: str = ""
    by: Actor = NOBODY
    trust: str = "trusted"
    cause: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""


class RunService:
    """Starts and steers runs that `owner`, this process, drives; as a server if it `serves`.

    What somebody does with a token or login of a server is noted in the audit log.
    """

    def __init__(
        self,
        *,
        database: Database,
        decisions: Decisions,
        secrets: SecretSource,
        places: Places,
        gate: Gate,
        owner: str,
        serves: bool,
        clock: Clock,
    ) -> None:
        self._database = database
        self._serves = serves
        self._decisions = decisions
        self._secrets = secrets
        self._places = places
        self._gate = gate
        self._owner = owner
        self._clock = clock

    def start(self, request: StartRequest, *, by: Actor) -> RunId:
        """Create a run of the working tree as it is and begin it. Raises InvalidFile, InvalidRequest, NotFound."""
        source = WorkingTree(Path(request.directory))
        pipeline = choose(load(source, request.file), request.pipeline)
        order = Order(
            source,
            replace(pipeline, concurrency=None),  # that is for servers: who runs it here wants it to run
            inputs=request.inputs,
            variables=request.variables,
            secrets=request.secrets,
            fresh=request.fresh,
            actor=by.name,
        )
        return self.begin(order)

    def begin(self, order: Order) -> RunId:
        """Create a run and begin it, or let it wait for its group; return the earlier one when the key is known.

        Raises InvalidRequest for inputs, variables or secrets that do not fit, Held.
        """
        source, pipeline = order.source, order.pipeline
        inputs = bind_inputs(pipeline, order.inputs)
        context = RunContext(source.branch, source.tag, source.commit, order.event, inputs)
        variables = bind_variables(pipeline, context, order.variables)
        self._check_given(order.project, pipeline, order.variables)
        pipeline = bind_group(bind_environments(pipeline, context, variables), context, variables)
        now = self._clock()
        run_id = new_run_id(now)
        self._secrets.put(run_id, pipeline, order.secrets)
        with self._making(run_id) as path:
            commit = RunRepository.create(path, lfs=self._places.lfs).initial(
                source=source if pipeline.checkout else None,
                variables=variables,
                trailers={"Flow-Run": run_id, "Flow-Pipeline": pipeline.name, "Flow-Source": source.commit},
            )
            run = create_run(
                run_id,
                pipeline,
                context=context,
                initial_commit=commit,
                variables=variables,
                fresh=order.fresh,
                now=now,
            )
            made = self._row(run, source.place, dirty=source.dirty, actor=order.actor)
            made = replace(made, project=order.project or "", trust=order.trust, cause=order.cause)
            return self._add(made, path, order.by, key=order.key)

    def rerun(
        self,
        old: RunId,
        from_steps: Sequence[str],
        variables: Mapping[str, str],
        secrets: Mapping[str, str],
        *,
        by: Actor,
        failed: bool = False,
        fresh: bool = False,
    ) -> RunId:
        """Begin a new run that takes over what stands before `from_steps` (none: everything runs again).

        `failed`: from the steps that went wrong, too; raises Conflict when none did, Held. `fresh`: no result is taken from the step cache.
        """
        with self._database.read() as tx:
            row = tx.runs.get(old)
            refuse_held(tx, row.project, row.run.pipeline.name)  # before work is done; what counts is asked in `_add`
        if not row.run.state.final:
            raise Conflict(f"run {row.number} is not finished", hint="cancel it first, or wait for it")
        keys = [_step(row.run, name) for name in from_steps]
        if failed:
            keys += failed_steps(row.run)
            if not keys:
                raise Conflict(f"nothing went wrong in run {row.number}", hint="without --failed all of it runs again")
        check(variables)
        self._check_given(row.project, row.run.pipeline, variables)
        now = self._clock()
        run_id = new_run_id(now)
        self._secrets.put(run_id, row.run.pipeline, secrets)
        run = create_rerun(row.run, run_id, keys, variables=variables, fresh=fresh, now=now)
        with self._making(run_id) as path:
            RunRepository.open(Path(row.repository)).fork(path)
            made = self._row(run, row.directory, dirty=row.dirty, actor=by.name)
            return self._add(replace(made, project=row.project, trust=row.trust, cause=row.cause), path, by)

    def resume(self, run: RunId, secrets: Mapping[str, str], dead: Sequence[str]) -> None:
        """Take over a run whose owner is among the dead ones. Raises Conflict when it is final or alive."""
        with self._database.write() as tx:
            row = tx.runs.get(run)
            if row.run.state.final:
                raise Conflict(f"run {row.number} is finished: {row.run.state}", hint="flow rerun starts it again")
            if row.served:
                raise Conflict(f"run {row.number} is one of a server", hint="it goes on when the server does")
            if row.owner not in dead:
                raise Conflict(f"run {row.number} is being driven by another program", hint="flow logs -f follows it")
            if row.run.state is not RunState.CANCELLING:  # else nothing starts any more that would need them
                self._secrets.put(run, row.run.pipeline, secrets)  # before its attempts can be claimed here
            self._take_over(tx, row.run, row.owner)
        self._decisions.announce(run)

    def abandon(self, dead: Sequence[str]) -> list[RunRow]:
        """Take over and end every open run of dead owners; return them. Those of servers are left to servers."""
        ended = []
        for owner in dead:
            with self._database.read() as tx:
                runs = [tx.runs.get(run) for run in tx.runs.open_runs(owner, served=False)]
            for row in runs:
                with self._database.write() as tx:
                    taken = self._take_over(tx, row.run, owner)
                if taken:
                    self._decisions.apply(row.run.id, CancelRequested("flow", Reason.INTERRUPTED, force=True))
                    ended.append(row)
        return ended

    def complete(self, dead: Sequence[str]) -> list[RunId]:
        """Take over the final runs of dead owners whose last effects (results, locks) are not yet carried out; not those of servers."""
        taken = []
        for owner in dead:
            with self._database.write() as tx:
                runs = tx.runs.unfinished(owner, served=False)
                taken += [run for run in runs if tx.runs.take_over(run, owner, self._owner)]
        for run in taken:
            self._decisions.announce(run)
        return taken

    def inherit(self, dead: Sequence[str]) -> list[RunId]:
        """Take over every run of dead servers on which there is something left to do; return those."""
        taken = []
        for owner in dead:
            with self._database.read() as tx:
                runs = [*tx.runs.open_runs(owner, served=True), *tx.runs.unfinished(owner, served=True)]
            for run in runs:
                with self._database.write() as tx:
                    if self._take_over(tx, tx.runs.get(run).run, owner):
                        taken.append(run)
                self._decisions.announce(run, (*ALL, LEASES))
        return taken

    def cancel(self, run: RunId, *, by: Actor, force: bool) -> None:
        """End a run; nothing happens when it is final."""
        self._steer(run, CancelRequested(by.name, Reason.USER, force), by, "run.cancel", {"force": force})

    def approve(self, run: RunId, step: str, *, by: Actor, comment: str) -> None:
        """Let a step that waits for approval act on its environment."""
        event = Approved(self._waiting(run, step), by.name, comment)
        self._steer(run, event, by, "run.approve", {"step": step, "comment": comment})

    def reject(self, run: RunId, step: str, *, by: Actor, comment: str) -> None:
        """Refuse it."""
        event = Rejected(self._waiting(run, step), by.name, comment)
        self._steer(run, event, by, "run.reject", {"step": step, "comment": comment})

    def _take_over(self, tx: Transaction, run: Run, owner: str) -> bool:
        """Become the owner of a run, and be as patient with what is silent as its owner was at first."""
        taken = tx.runs.take_over(run.id, owner, self._owner)
        if taken:
            tx.attempts.renew_run(run.id, self._clock())
        for name, _at in tx.timers.of_run(run.id) if taken else ():
            if seconds := patience(run, name):
                tx.timers.set(run.id, name, self._clock() + seconds)
        return taken

    def _steer(self, run: RunId, event: Event, by: Actor, action: str, detail: Mapping[str, Any]) -> None:
        with self._database.write() as tx:
            row = tx.runs.get(run)
            self._decisions.apply_in(tx, run, [event])
            if not row.run.state.final:
                note_steered(tx, self._clock(), by, action, row, detail=detail)
        self._decisions.announce(run, tx.topics, tx.others)

    def _waiting(self, run: RunId, name: str) -> StepKey:
        with self._database.read() as tx:
            row = tx.runs.get(run)
        key = _step(row.run, name)
        environment = row.run.pipeline.step(key).environment
        if row.run.steps[key].state is not StepState.WAITING or environment is None or not environment.approve:
            raise Conflict(f"step {name!r} of run {row.number} does not wait for approval")
        return key

    def sweep(self, living: Callable[[], Collection[str]]) -> None:
        """Remove what killed programs began to make for runs that never were; `living` owners may be at it just now.

        Only while the gate is closed: then every run whose repository is in its place is in the database.
        """
        with self._database.read() as tx:
            known = tx.runs.ids()
        for place in _entries(self._places.runs):
            if RUN_ID.fullmatch(place.name) and place.name not in known:
                shutil.rmtree(place, ignore_errors=True)
        begun = [place for place in _entries(self._places.runs) if place.name.startswith(".")]
        makers = {
            self._owner,
            *living(),
        }  # asked last: who became an owner meanwhile has made nothing of what was found
        for place in begun:
            if place.name.split(".")[1] not in makers:
                shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def _making(self, run: RunId) -> Iterator[Path]:
        """Give a place for the repository of a new run, out of which `_add` moves it."""
        place = self._places.beginning(self._owner, run)
        try:
            yield place / self._places.repository(run).name
        except Exception:
            shutil.rmtree(place, ignore_errors=True)
            raise

    def _check_given(self, project: str | None, pipeline: Pipeline, given: Collection[str]) -> None:
        with self._database.read() as tx:
            known = tx.projects.list([project], archived=True) if project and given else ()
        for row in known:  # none: a directory of somebody who runs it here
            check_given(pipeline, given, row.settings)

    def _row(self, run: Run, directory: str, *, dirty: bool, actor: str) -> RunRow:
        """Return a new run that has no number and no project yet."""
        repository = str(self._places.repository(run.id))
        shared = self._serves and any(step.background for step in run.pipeline.steps)
        row = RunRow(run, 0, "", self._owner, directory, dirty, repository, served=self._serves, actor=actor)
        return replace(row, network=UNDECIDED) if shared else row

    def _add(self, row: RunRow, made: Path, by: Actor, *, key: str = "") -> RunId:
        """Store a run, whose repository was `made`, and begin it; without a project in that of its source.

        Return it, or the run that the key began earlier: then this one never was.
        """
        place, run = Path(row.repository).parent, row.run
        with self._gate.beginning(), self._database.write() as tx:
            known = tx.starts.add(key, run.id, run.created_at) if key else run.id
            if known == run.id:
                project = row.project or project_of(tx, Path(row.directory))
                row = replace(row, project=project, number=tx.runs.next_number(project))
                refuse_held(tx, project, run.pipeline.name)
                tx.runs.add(row)
                self._decisions.begin_in(tx, run.id)
                note_begun(tx, self._clock(), by, row)
                place.parent.mkdir(parents=True, exist_ok=True)
                made.parent.rename(place)
        if known != run.id:
            shutil.rmtree(made.parent, ignore_errors=True)
            return known
        self._decisions.announce(run.id, tx.topics, tx.others)
        return run.id


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []


def load(source: Source, file: str = "", *, trusted: bool = True) -> dict[str, Pipeline]:
    """Return the pipelines of a source; raises InvalidFile with all findings, NotFound when there is no file."""
    loaded = load_pipelines(SourceFiles(source), source.inside(file) if file else None, trusted=trusted)
    if has_errors(loaded.findings):
        raise InvalidFile(loaded.findings)
    if not loaded.pipelines:
        raise NotFound(
            f"there is no pipeline in {source.place}", hint="write one to .flow.yml; docs/tutorial.md shows how"
        )
    return dict(loaded.pipelines)


def choose(pipelines: Mapping[str, Pipeline], name: str) -> Pipeline:
    """Return the pipeline of that name, or the only one when the name is empty."""
    names = ", ".join(pipelines)
    if not name:
        if len(pipelines) > 1:
            raise InvalidRequest("which pipeline?", hint=f"there are {names}: flow run NAME")
        return next(iter(pipelines.values()))
    if name not in pipelines:
        raise NotFound(f"there is no pipeline {name!r}", hint=did_you_mean(name, pipelines) or f"there are {names}")
    return pipelines[name]


def _step(run: Run, name: str) -> StepKey:
    keys = [str(key) for key in run.steps]
    if name not in keys:
        raise NotFound(f"there is no step {name!r}", hint=did_you_mean(name, keys) or f"there are {', '.join(keys)}")
    return StepKey(name)
