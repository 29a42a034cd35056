"""Why a run went wrong, and what a step changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from flowbuild.bot import actions, seen
from flowbuild.bot.acting import finding
from flowbuild.bot.acting.errands import Errand, path
from flowbuild.bot.acting.looking import log_page, shown
from flowbuild.bot.facts import Cause, DiffShown, Explained, RunShown
from flowbuild.client.base import RunView, StepView, VariableChange
from flowbuild.core.errors import FlowError
from flowbuild.core.human import why as reason_of
from flowbuild.core.states import Outcome, RunState

MOST_CAUSES, MOST_LINES, BEFORE = 3, 24, 2  # the reason stands at the end of a traceback
MOST_FILES, MOST_PATCH, MOST_COMMITS = 15, 40, 10
WRONG = (Outcome.FAILED, Outcome.ERRORED)


async def why(action: actions.Why, errand: Errand) -> Explained | RunShown:
    """Find the first failing lines and what changed since the last good run; of a run that goes on what it waits for."""
    view = await finding.run(errand, action.run, actions.Why)
    wrong = [step for step in view.steps if step.outcome in WRONG and not step.allow_failure]
    if not wrong:
        return await shown(errand, view)
    wrong.sort(key=lambda step: step.finished_at or 0.0)
    causes = await asyncio.gather(*(_cause(errand, view, step) for step in wrong[:MOST_CAUSES]))
    green = await _green(errand, view)
    if green is None:
        return Explained(view, causes)
    between, commits = await asyncio.gather(_between(errand, green, view), _commits(errand, green, view))
    fact = Explained(view, causes, green, between, commits)
    try:
        place = path("runs", green.id, "compare", view.id)
        return replace(fact, differs=seen.read(seen.comparison, await errand.client.ask("GET", place)))
    except FlowError as error:
        return replace(fact, problem=error.message)


async def _cause(errand: Errand, view: RunView, step: StepView) -> Cause:
    words = reason_of(step.outcome, step.reason, step.exit_code)
    cause = Cause(step.key, str(step.outcome), words, step.message)
    if not step.attempts or step.reused:
        return cause
    place = path("runs", view.id, "steps", step.key, "logs", "search")
    found = seen.read(seen.matches, await errand.client.ask("GET", place, limit="1"))
    if found.lines:
        first = max(1, found.lines[0] - BEFORE)
        page = await log_page(errand, view.id, step.key, line=first, limit=MOST_LINES)
        return replace(cause, lines=page.text()[:MOST_LINES], first=first)
    page = await log_page(errand, view.id, step.key, line=1, limit=1)
    if page.lines <= 0:
        return cause
    first = max(1, page.lines - MOST_LINES + 1)
    page = await log_page(errand, view.id, step.key, line=first, limit=MOST_LINES)
    return replace(cause, lines=page.text()[-MOST_LINES:], first=first, guessed=True)


async def _green(errand: Errand, view: RunView) -> RunView | None:
    """Return the last run before it of the same pipeline and branch that succeeded."""
    query = {"project": view.project, "pipeline": view.pipeline, "state": str(RunState.SUCCEEDED), "limit": "1"}
    query |= {"until": str(view.created_at)} | ({"branch": view.branch} if view.branch else {})
    found = [each for each in seen.runs(await errand.client.ask("GET", "runs", **query)) if each.id != view.id]
    return found[0] if found else None


async def _between(errand: Errand, green: RunView, view: RunView) -> Sequence[RunView]:
    """Return the runs between the two, the newest first."""
    query = {"project": view.project, "pipeline": view.pipeline, "limit": "20"}
    query |= {"since": str(green.created_at), "until": str(view.created_at)}
    query |= {"branch": view.branch} if view.branch else {}
    found = seen.runs(await errand.client.ask("GET", "runs", **query))
    return [each for each in found if each.id not in (green.id, view.id)]


async def _commits(errand: Errand, green: RunView, view: RunView) -> Sequence[seen.Commit]:
    """Return what came in between the two; nothing when that is not to be had: not everybody may read the source."""
    if not green.commit or not view.commit or green.commit == view.commit:
        return ()
    query = {"since": green.commit, "until": view.commit, "limit": str(MOST_COMMITS + 1)}
    try:
        return seen.read(
            seen.commits, await errand.client.ask("GET", path("projects", view.project, "commits"), **query)
        )
    except FlowError:
        return ()


async def diff(action: actions.Diff, errand: Errand) -> DiffShown:
    """Find what a step changed: files, variables, and how one of the files."""
    view = await finding.run(errand, action.run, lambda run: replace(action, run=run))
    step = finding.step(view, action.step, lambda key: replace(action, run=view.id, step=key))
    place = path("runs", view.id, "steps", step.key, "diff")
    page = seen.read(seen.files, await errand.client.ask("GET", f"{place}/files", limit=str(MOST_FILES)))
    before, after = await asyncio.gather(
        *(_variables(errand, view.id, step.key, before=which) for which in ("true", "false"))
    )
    changed = [
        VariableChange(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    fact = DiffShown(view, step.key, page.items, page.next is not None, changed)
    file = _file(action.file, page.items)
    if not file:
        return fact
    one = seen.read(seen.patch, await errand.client.ask("GET", f"{place}/patch", path=file))
    lines = one.text()
    name = next((each.name for each in page.items if each.path == file), action.file)
    return replace(fact, file=name, patch=lines[:MOST_PATCH], cut=one.cut or len(lines) > MOST_PATCH)


async def _variables(errand: Errand, run: str, step: str, *, before: str) -> dict[str, str]:
    answer = await errand.client.ask("GET", path("runs", run, "variables"), step=step, before=before)
    return seen.read(seen.variables, answer)


def _file(wanted: str, files: Sequence[seen.ChangedFile]) -> str:
    """Return the path of the file to show: the one that is asked for, else the only one, "" for none."""
    if not wanted:
        return files[0].path if len(files) == 1 else ""
    return next((each.path for each in files if wanted in (each.name, each.path)), wanted)
