"""Carries out the effects that leave the database. Each may happen twice, so each is harmless when repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from flowbuild.core.commands import AcceptResult, Command, FinishRun, PrepareInput, ProbeInput, SettleGroup
from flowbuild.core.errors import FlowError
from flowbuild.core.events import Event, InputConflict, InputFailed, InputReady
from flowbuild.core.ids import CommitId, RunId, StepKey
from flowbuild.core.model import Pipeline
from flowbuild.services.decisions import Decisions
from flowbuild.store.database import Database
from flowbuild.workspace.repo import RunRepository

log = structlog.get_logger()


class Effects:
    """One method per kind of command. Blocking: call from threads. `run_ended` is told the end of a run."""

    def __init__(self, database: Database, decisions: Decisions, run_ended: Callable[[RunId], None]) -> None:
        self._database = database
        self._decisions = decisions
        self._run_ended = run_ended
        self._repositories: dict[RunId, RunRepository] = {}

    def carry_out(self, run: RunId, command: Command) -> None:
        """Do what the command says and feed its answer back into the run."""
        match command:
            case PrepareInput(step, parents, variables):
                self._answer(run, self._prepare(run, step, parents, variables))
            case ProbeInput(step, parents):
                answer = self._prepare(run, step, parents, {})
                if isinstance(answer, InputConflict):
                    self._answer(run, answer)
            case AcceptResult(step, _, _, commit):
                pipeline, repository = self._pipeline(run), self._repository(run)
                repository.accept(
                    step,
                    commit,
                    rules=pipeline.merge,
                    variable_rules=pipeline.merge_variables,
                    order=tuple(pipeline.by_key),
                )
                _tidy(run, repository)
            case FinishRun():
                self._repositories.pop(run, None)
                self._run_ended(run)
                self._decisions.settle_group(run)
            case SettleGroup():
                self._decisions.settle_group(run)
            case _:
                self._decisions.carry_out(run, command)

    def give_up(self, run: RunId, command: Command, error: Exception) -> bool:
        """Let the run go on although a command cannot be carried out; False when it cannot go on without.

        A step without its input is errored. A result that `step/<name>` and `main` do not show is still the input of
        later steps: those name it by its commit.
        """
        match command:
            case PrepareInput(step, _, _):
                self._answer(run, InputFailed(step, f"the input could not be prepared: {error}"))
            case ProbeInput():
                pass  # the conflict, if any, is found when the input is prepared
            case AcceptResult(step, attempt, epoch, commit):
                log.error("result_not_shown", run=run, step=step, attempt=attempt, epoch=epoch, commit=commit)
            case _:
                return False
        return True

    def _prepare(
        self, run: RunId, step: StepKey, parents: tuple[tuple[StepKey, CommitId], ...], variables: Mapping[str, str]
    ) -> Event:
        with self._database.read() as tx:
            state = tx.runs.get(run).run
        repository = self._repository(run)
        try:
            commit = state.initial_commit if not parents else parents[0][1]
            if len({commit for _, commit in parents}) > 1:
                rules, variable_rules = state.pipeline.merge, state.pipeline.merge_variables
                merged = repository.merge(parents, rules=rules, variable_rules=variable_rules)
                if merged.commit is None:
                    return InputConflict(step, merged.conflicts)
                commit = merged.commit
            if variables:
                commit = repository.with_variables(commit, variables)
            return InputReady(step, commit, repository.variables(commit))
        except FlowError as error:
            return InputFailed(step, error.message)

    def _answer(self, run: RunId, event: Event) -> None:
        self._decisions.apply(run, event)

    def _pipeline(self, run: RunId) -> Pipeline:
        with self._database.read() as tx:
            return tx.runs.get(run).run.pipeline

    def _repository(self, run: RunId) -> RunRepository:
        if run not in self._repositories:
            with self._database.read() as tx:
                path = tx.runs.get(run).repository
            self._repositories[run] = RunRepository.open(Path(path))
        return self._repositories[run]


def _tidy(run: RunId, repository: RunRepository) -> None:
    """Put small packs together when there are many; a repository that is not tidy is only slower."""
    try:
        repository.tidy()
    except (FlowError, OSError) as error:
        log.warning("tidy_failed", run=run, error=str(error))
