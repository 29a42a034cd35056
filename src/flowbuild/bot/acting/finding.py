"""Finding what is meant by what was typed: projects, pipelines, branches, runs, steps.

What is called so exactly is meant; else what alone begins so. Several: a question. None: Refused with what there is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from flowbuild.bot import seen
from flowbuild.bot.acting.errands import Asking, Errand, path
from flowbuild.bot.actions import Action
from flowbuild.bot.facts import Choose, Option
from flowbuild.bot.words import Refused, brief
from flowbuild.client.base import RunView, StepView
from flowbuild.core.errors import NotFound
from flowbuild.spec.words import did_you_mean

T = TypeVar("T")
MOST = 9  # options that are shown
PROJECTS = 20  # that are asked for a run when none is named
COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
RUN = re.compile(
    r"(?:(?P<project>[^#/\s]{1,64})[#/])?#?(?P<name>[0-9]{1,9}|last|[0-7][0-9a-hjkmnp-tv-zA-HJKMNP-TV-Z]{5,25})"
)


def is_run(text: str) -> bool:
    """Tell whether a text can be nothing but a run."""
    return RUN.fullmatch(text) is not None


def fitting(text: str, names: Iterable[str]) -> list[str]:
    """Return the names that are meant: one that is exactly so, else those that are so but for capitals, else that begin so."""
    known, lower = list(dict.fromkeys(names)), text.lower()
    if text in known:
        return [text]
    return [name for name in known if name.lower() == lower] or [
        name for name in known if name.lower().startswith(lower)
    ]


def choose(about: str, names: Sequence[str], action: Callable[[str], Action]) -> Asking:
    """Return the question which of several is meant."""
    return Asking(Choose(about, [Option(name, action(name)) for name in names[:MOST]], max(0, len(names) - MOST)))


async def projects(errand: Errand) -> list[seen.ProjectGlance]:
    """Return the projects that who asks may see, with their pipelines."""
    return seen.projects(await errand.client.ask("GET", "pipelines", last="1"))


async def project(errand: Errand, text: str, action: Callable[[str], Action]) -> str:
    """Return the project that is meant; "" means that of the room, or the only one."""
    known = [each.name for each in await projects(errand)]
    if not text and errand.place.project and errand.place.project in known:
        return errand.place.project
    if not text:
        return _one("which project?", known, action, none="there is no project that you may see")
    return _one(
        f"which project is {brief(text, 40)!r}?", fitting(text, known), action, none=_none("project", text, known)
    )


async def pipeline(
    errand: Errand, text: str, action: Callable[[str], Action]
) -> tuple[seen.ProjectGlance, seen.PipelineGlance]:
    """Return the pipeline that is meant, and its project."""
    return chosen(await projects(errand), errand.place.project, text, action)


def chosen(
    known: Sequence[seen.ProjectGlance], default: str, text: str, action: Callable[[str], Action]
) -> tuple[seen.ProjectGlance, seen.PipelineGlance]:
    """Return the pipeline that is meant of these. The project of the room comes first, then all."""
    whole = {f"{one.name}/{each.name}": (one, each) for one in known for each in one.pipelines}
    wanted, slash, name = text.partition("/")
    if slash:
        found = [
            key
            for one in fitting(wanted, [each.name for each in known])
            for key in fitting(f"{one}/{name}", [each for each in whole if each.startswith(f"{one}/")])
        ]
    else:
        names = [each.name for _, each in whole.values()]
        here = [each.name for one, each in whole.values() if one.name == default]
        within = default if fitting(text, here) and (text in here or text not in names) else ""
        fit = fitting(text, here if within else names)
        found = [key for key, (one, each) in whole.items() if each.name in fit and within in ("", one.name)]
    trouble = "; ".join(f"{one.name} has {one.trouble}" for one in known if one.trouble)
    missing = _none("pipeline", text, [each.name for _, each in whole.values()] if not slash else list(whole), trouble)
    return whole[_one(f"which pipeline is {brief(text, 40)!r}?", found, action, none=missing)]


async def run(errand: Errand, text: str, action: Callable[[str], Action]) -> RunView:
    """Return the run that is meant, with its steps."""
    match = RUN.fullmatch(text.lower() if text.lower() in ("last", "#last") else text)
    if match is None:
        raise Refused(
            f"{brief(text, 40)!r} is not a run",
            hint="a run is a number like 12 or shop#12, the id of one or its beginning, or `last`; `runs` lists them",
        )
    name = match["name"] if match["name"] == "last" else match["name"].upper()
    if len(name) == 26:
        return seen.run(await errand.client.ask("GET", path("runs", name)))
    if match["project"]:
        one = await project(errand, match["project"], lambda each: action(f"{each}#{name}"))
        return await _run_of(errand, one, name)
    known = [each.name for each in await projects(errand)]
    if errand.place.project and errand.place.project in known:
        return await _run_of(errand, errand.place.project, name)
    return await _anywhere(errand, known, name, action)


async def _anywhere(errand: Errand, known: Sequence[str], name: str, action: Callable[[str], Action]) -> RunView:
    """Return the run that is called so in one of the projects."""
    if name == "last":
        latest = seen.runs(await errand.client.ask("GET", "runs", limit="1"))
        if not latest:
            raise Refused("there is no run yet", hint="`pipelines` says what there is to run")
        return seen.run(await errand.client.ask("GET", path("runs", latest[0].id)))
    found = await asyncio.gather(*(_maybe(errand, each, name) for each in known[:PROJECTS]))
    views = [view for view in found if view is not None]
    if not views:
        raise Refused(
            f"there is no run {name}", hint="`runs` lists them, `use PROJECT` says whose numbers are meant here"
        )
    labels = {f"{view.project}#{view.number}": view for view in views}
    return labels[_one(f"which run is {name}?", list(labels), action, none="")]


async def _maybe(errand: Errand, project: str, name: str) -> RunView | None:
    try:
        return await _run_of(errand, project, name)
    except NotFound:
        return None


async def _run_of(errand: Errand, project: str, name: str) -> RunView:
    return seen.run(await errand.client.ask("GET", path("projects", project, "runs", name)))


def step(view: RunView, text: str, action: Callable[[str], Action]) -> StepView:
    """Return the step of a run that is meant."""
    known = {each.key: each for each in view.steps}
    missing = _none("step", text, known, where=f" in run {view.number}")
    return known[_one(f"which step is {brief(text, 40)!r}?", fitting(text, known), action, none=missing)]


async def ref(errand: Errand, project: str, text: str, action: Callable[[str], Action]) -> str:
    """Return the branch or tag that is meant; a commit, and "", is left as it is."""
    if not text:
        return ""
    place = path("projects", project, "refs")
    found = [each.name for each in seen.read(seen.refs, await errand.client.ask("GET", place, search=text, limit="50"))]
    fit = fitting(text, found)
    if not fit and COMMIT.fullmatch(text):
        return text
    if not fit:
        found = [each.name for each in seen.read(seen.refs, await errand.client.ask("GET", place, limit="200"))]
        fit = fitting(text, found)
    missing = _none("branch or tag", text, found)
    return _one(f"which branch is {brief(text, 40)!r}?", fit, action, none=missing)


def _one(about: str, names: Sequence[str], action: Callable[[str], Action], *, none: str | Refused) -> str:
    if not names:
        raise (
            none
            if isinstance(none, Refused)
            else Refused(none, hint="`link` says who you are to me; `help` what I can")
        )
    if len(names) > 1:
        raise choose(about, names, action)
    return names[0]


def _none(kind: str, text: str, known: Iterable[str], trouble: str = "", *, where: str = "") -> Refused:
    names = list(dict.fromkeys(known))
    hint = did_you_mean(text, names) or (
        f"there are {len(names)}" if names else "there is none that you may see: `whoami` says who you are to me"
    )
    hint += f"; {trouble}" if trouble else ""
    return Refused(f"there is no {kind} {brief(text, 40)!r}{where}", hint=brief(hint, 300))
