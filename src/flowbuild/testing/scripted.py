"""A server that answers the command core as it is told, and remembers what it was asked to change."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import unquote

from flowbuild.bot import seen
from flowbuild.client.base import RunUpdate
from flowbuild.client.problems import error_of

ULID = "01K{:023d}"


def run_id(project: str, number: int) -> str:
    """Return the id of a run of one of the projects."""
    return ULID.format({"shop": 1000, "site": 2000}.get(project, 9000) + number)


def step(key: str, outcome: str | None = "succeeded", **more: Any) -> dict[str, Any]:
    """A step as GET /runs/RUN has it."""
    done = outcome is not None
    attempt = {"attempt": 1, "epoch": 1, "state": "done" if done else "running", "outcome": outcome}
    plain = {"key": key, "name": key, "state": "done" if done else "running", "outcome": outcome, "attempts": [attempt]}
    times = {"started_at": 1000.0, "finished_at": 1010.0 if done else None}
    return {**plain, **times, **more}


def run(
    number: int, state: str = "succeeded", project: str = "shop", pipeline: str = "release", **more: Any
) -> dict[str, Any]:
    """A run as GET /runs/RUN has it."""
    final = state not in ("running", "cancelling")
    plain = {
        "id": run_id(project, number),
        "number": number,
        "project": project,
        "pipeline": pipeline,
        "state": state,
        "created_at": 1000.0 + number,
        "finished_at": 1060.0 + number if final else None,
        "branch": "main",
        "commit": f"{number:04x}" * 10,
        "actor": "ann",
        "repository": f"https://flow.example.org/git/runs/{run_id(project, number)}.git",
        "steps": [step("build"), step("test")],
        "edges": [{"source": "build", "target": "test", "kind": "success", "state": "taken"}],
    }
    return {**plain, **more}


class FakeClient:
    """Answers by "METHOD path" or "METHOD path?query", the longest that fits; `problem` makes it an error, `asked` keeps changes.

    What is not scripted is 404, so that a case cannot pass by what nobody wrote down.
    """

    def __init__(self, answers: Mapping[str, Any], runs: Mapping[str, Any], asked: list[Any]) -> None:
        self.answers, self.known_runs, self.asked = answers, runs, asked

    async def ask(self, method: str, path: str, body: Any = None, /, *, form_token: str = "", **query: str) -> Any:
        """See ServerClient."""
        del form_token
        path = unquote(path)
        if method != "GET":
            self.asked.append([method, path, *([body] if body is not None else [])])
        full = f"{method} {path}?" + "&".join(f"{name}={query[name]}" for name in sorted(query))
        for key in (full, f"{method} {path}"):
            if key in self.answers:
                return self._answer(self.answers[key])
        return self._run(method, path)

    def _run(self, method: str, path: str) -> Any:
        """Answer for a run that the world has, by id, number or `last`."""
        parts = path.split("/")
        if method == "GET" and parts[0] == "runs" and len(parts) == 2:
            found = [each for each in self.known_runs.values() if each["id"] == parts[1]]
        elif method == "GET" and parts[0] == "projects" and parts[2:3] == ["runs"] and len(parts) == 4:
            mine = [each for each in self.known_runs.values() if each["project"] == parts[1]]
            mine.sort(key=lambda each: each["number"])
            found = mine[-1:] if parts[3] == "last" else [each for each in mine if _is(each, parts[3])]
        else:
            found = []
        if not found:
            raise error_of(404, json.dumps({"code": "not_found", "detail": f"there is no {path}"}).encode())
        return found[0]

    def _answer(self, answer: Any) -> Any:
        if isinstance(answer, dict) and set(answer) == {"problem"}:
            problem = answer["problem"]
            raise error_of(problem.get("status", 400), json.dumps(problem).encode())
        if isinstance(answer, dict) and set(answer) == {"run"}:
            return self.known_runs[answer["run"]]
        if isinstance(answer, dict) and set(answer) == {"runs"}:
            return {"items": [self.known_runs[each] for each in answer["runs"]], "next": None}
        return answer

    async def watch(self, run: str, after: int = 0) -> AsyncIterator[RunUpdate]:
        """Yield the run as it is, or as `WATCH PROJECT#NUMBER` says that it will be."""
        view = self._run("GET", f"runs/{run}")
        answer = self.answers.get(f"WATCH {view['project']}#{view['number']}", view)
        yield RunUpdate(after + 1, 1000.0, {}, seen.run(self._answer(answer)))


def _is(each: Mapping[str, Any], name: str) -> bool:
    return name == str(each["number"]) or each["id"].startswith(name)
