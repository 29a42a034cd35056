"""Pipelines as they are written: the canonical form and the form of the seed, brought to one shape with its places.

The seed's form: `workflows: [workflow: {name, jobs: {job: {name, …}, job: {name, …}}}]`. `job` may repeat inside `jobs`,
the only place where a key may; `jobs` may also be a list or a mapping by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flowbuild.core.model import Position
from flowbuild.spec.findings import Finding
from flowbuild.spec.words import did_you_mean, kind, shown
from flowbuild.spec.yamlpos import Document, Path

TOP_KEYS = ("pipelines", "workflows")
FOR_ALL = ("notify",)  # keys at the top that stand for those of pipelines that have none of their own
MAX_PIPELINES = 200


@dataclass(frozen=True, slots=True)
class Written:
    """One pipeline of a file in canonical shape, not checked yet, and where its parts stand.

    `base` is its path in the document; `moved` holds the path of what stands elsewhere than the canonical shape says,
    `named` the path of the text that is the name of a step. `unnamed` says that it has a step whose name is not known.
    """

    name: str
    data: dict[str, Any]
    document: Document
    base: Path
    position: Position
    moved: dict[Path, Path] = field(default_factory=dict)
    named: dict[Path, Path] = field(default_factory=dict)
    unnamed: bool = False

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The keys of this form that stand beside what `PipelineHeader` knows."""
        return ("name", "jobs") if ("steps",) in self.moved else ("steps",)

    def place(self, path: Path, key: bool = False) -> Position:  # noqa: FBT001, FBT002 - like Document.position
        """Return where a part of the canonical shape stands in the file."""
        if key and path in self.named:
            return self.document.position(self.named[path])
        return self.document.position(self.path(path), key=key)

    def inside(self, path: Path, line: int, column: int) -> Position:
        """Return the place of a character of a text."""
        return self.document.inside(self.path(path), line, column)

    def path(self, path: Path) -> Path:
        """Return the path in the document."""
        for length in (2, 1):
            if path[:length] in self.moved:
                return (*self.moved[path[:length]], *path[length:])
        return (*self.base, *path)


def may_repeat(path: Path, key: str) -> bool:
    """Say to `yamlpos.load` that `job` may repeat inside the `jobs` of a workflow."""
    return key == "job" and path[:1] == ("workflows",) and path[-1:] == ("jobs",)


def read(document: Document) -> tuple[list[Written], list[Finding]]:
    """Return the pipelines of a file; what is not a mapping where one must be is left out and reported."""
    findings: list[Finding] = []
    data = document.data
    if data is None or data == {}:
        hint = "begin with pipelines:"
        return [], [Finding("empty_file", document.position(()), "the file is empty", hint)]
    if not isinstance(data, dict):
        return [], [_wrong(document, (), "a mapping", data)]
    for key in data:
        if key not in (*TOP_KEYS, *FOR_ALL) and not key.startswith("x-"):
            known = (*TOP_KEYS, *FOR_ALL)
            hint = "put it below pipelines: NAME:" if key in ("steps", "jobs", "on") else did_you_mean(key, known)
            findings.append(
                Finding("unknown_key", document.position((key,), key=True), f"unknown key {shown(key)}", hint)
            )
    if not findings and not any(key in data for key in TOP_KEYS):
        findings.append(Finding("missing_key", document.position(()), "the file has no `pipelines`"))
    found: dict[str, Written] = {}
    for count, written in enumerate([*_canonical(document, findings), *_workflows(document, findings)]):
        if count == MAX_PIPELINES:
            message = f"more than {MAX_PIPELINES} pipelines"
            findings.append(Finding("too_many", written.position, message, "use several files in .flow/"))
            break
        if written.name in found:
            message = f"the pipeline {shown(written.name)} stands here a second time"
            findings.append(Finding("duplicate_pipeline", written.position, message, "give it another name"))
        found.setdefault(written.name, written)
    return list(found.values()), findings


def _canonical(document: Document, findings: list[Finding]) -> Iterator[Written]:
    pipelines = document.data.get("pipelines", {})
    if not isinstance(pipelines, dict) or ("pipelines" in document.data and not pipelines):
        findings.append(_wrong(document, ("pipelines",), "a mapping of pipelines by name", pipelines))
        return
    for name, data in pipelines.items():
        base: Path = ("pipelines", name)
        if isinstance(data, dict):
            above, moved = _for_all(document, data)
            yield Written(name, {**above, **data}, document, base, document.position(base, key=True), moved)
        else:
            findings.append(_wrong(document, base, "a mapping with `steps`", data))


def _workflows(document: Document, findings: list[Finding]) -> Iterator[Written]:
    workflows = document.data.get("workflows", [])
    if not isinstance(workflows, list):
        findings.append(_wrong(document, ("workflows",), "a list of workflows", workflows))
        return
    for index, item in enumerate(workflows):
        base: Path = ("workflows", index)
        data = item
        if isinstance(item, dict) and list(item) == ["workflow"]:
            base, data = (*base, "workflow"), item["workflow"]
        if not isinstance(data, dict):
            findings.append(_wrong(document, base, "a mapping with `name` and `jobs`", data))
        elif not isinstance(data.get("name"), str):
            findings.append(_nameless(document, base, "a workflow", data))
        elif "jobs" not in data:
            place = document.position((*base, "name"))
            findings.append(Finding("missing_key", place, "a workflow needs the key `jobs`"))
        elif not isinstance(data["jobs"], dict | list):
            findings.append(_wrong(document, (*base, "jobs"), "the jobs", data["jobs"]))
        else:
            yield _workflow(document, base, data, findings)


def _for_all(document: Document, data: dict[str, Any]) -> tuple[dict[str, Any], dict[Path, Path]]:
    """Return what the file says for a pipeline that does not say it, and where that stands."""
    above = {key: document.data[key] for key in FOR_ALL if key in document.data and key not in data}
    return above, {(key,): (key,) for key in above}


def _workflow(document: Document, base: Path, data: dict[str, Any], findings: list[Finding]) -> Written:
    """Bring one workflow to the canonical shape."""
    steps: dict[str, Any] = {}
    above, moved = _for_all(document, data)
    moved["steps",] = (*base, "jobs")
    named: dict[Path, Path] = {}
    unnamed = False
    for path, name_path, name, job in _jobs(document, (*base, "jobs"), data["jobs"], findings):
        if name is None:
            unnamed = True
            continue
        if name in steps:
            message = f"the job {shown(name)} stands here a second time"
            findings.append(Finding("duplicate_step", document.position(name_path), message, "give it another name"))
            continue
        is_mapping = isinstance(job, dict)
        steps[name] = {key: value for key, value in job.items() if key != "name"} if is_mapping else job
        moved["steps", name] = path
        named["steps", name] = name_path
    canonical = above | {key: value for key, value in data.items() if key not in ("name", "jobs")}
    position = document.position((*base, "name"))
    return Written(data["name"], {**canonical, "steps": steps}, document, base, position, moved, named, unnamed)


def _jobs(
    document: Document, root: Path, jobs: dict[str, Any] | list[Any], findings: list[Finding]
) -> Iterator[tuple[Path, Path, str | None, Any]]:
    """Yield path, path of the name, name and content of every job; None as name of one without a usable one."""
    entries = (
        [((*root, key), key, job) for key, job in jobs.items()]
        if isinstance(jobs, dict)
        else [_list_item((*root, index), item) for index, item in enumerate(jobs)]
    )
    for path, key, job in entries:
        if not isinstance(job, dict) and key in (None, "job"):
            findings.append(_wrong(document, path, "a mapping with `action`", job))
            yield path, path, None, None
        elif not isinstance(job, dict):
            yield path, path, str(key), job
        elif isinstance(job.get("name"), str):
            yield path, (*path, "name"), job["name"], job
        elif key in (None, "job") or "name" in job:
            findings.append(_nameless(document, path, "a job", job))
            yield path, path, None, None
        else:
            yield path, path, str(key), job


def _list_item(path: Path, item: Any) -> tuple[Path, str | None, Any]:
    """Return path, key and value of a job in a list: `{job: {name: …}}`, `{build: {…}}` or `{name: …, action: …}`."""
    if isinstance(item, dict) and len(item) == 1:
        ((key, value),) = item.items()
        if isinstance(value, dict):
            return (*path, key), key, value
    return path, None, item


def _nameless(document: Document, path: Path, what: str, data: dict[str, Any]) -> Finding:
    if "name" in data:
        return _wrong(document, (*path, "name"), "text", data["name"])
    return Finding("missing_key", document.position(path, key=True), f"{what} needs the key `name`")


def _wrong(document: Document, path: Path, wanted: str, got: Any) -> Finding:
    return Finding("wrong_type", document.position(path), f"expected {wanted}, got {kind(got)}")
