"""Checking of pipeline files, for editors: what is wrong and where, and the graph of what can be used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import OnProject, Public
from flowbuild.api.backend import Back
from flowbuild.api.pipelines import PipelineView, shown_pipeline
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.spec.findings import Finding, Severity
from flowbuild.spec.load import LoadResult

router = APIRouter(prefix="/api/v1", tags=["lint"], responses=RESPONSES)
_WORD = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|(?:[^\s:,\[\]{}]|:(?=\S))+""")


class LintRequest(BaseModel):
    """Files of a repository by path: the pipeline file and the compose files that it names."""

    model_config = ConfigDict(extra="forbid")
    files: dict[str, str]
    file: str = Field("", description="the pipeline file, when it is not at its usual place")


class ProjectLintRequest(BaseModel):
    """Files as they are edited, over those of a commit; null takes one away."""

    model_config = ConfigDict(extra="forbid")
    files: dict[str, str | None]
    file: str = Field("", description="only this pipeline file; else all at their usual places")


class LintFinding(BaseModel):
    """What is wrong, and where: lines and columns count from 1, the word that is meant ends before `end_column`."""

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    end_column: int
    message: str
    hint: str


class LintAnswer(BaseModel):
    """What was found. `pipelines`: those that can be used."""

    pipelines: list[PipelineView]
    findings: list[LintFinding]


class ProjectLintAnswer(LintAnswer):
    """What was found, over the files of a commit."""

    commit: str


@router.post("/lint", dependencies=[Depends(Public())])
def lint(wanted: LintRequest, backend: Back) -> LintAnswer:
    """Check a pipeline file with the compose files beside it, as `flow validate` does; nothing is kept."""
    found = backend.linting.lint(wanted.files, wanted.file)
    return LintAnswer(pipelines=_pipelines(found), findings=_findings(found, wanted.files))


@router.post("/projects/{project}/lint", dependencies=[Depends(OnProject(Action.PROJECT_READ))])
def lint_project(
    project: str,
    wanted: ProjectLintRequest,
    backend: Back,
    ref: Annotated[str, Query(max_length=512, description="a branch, tag or commit; default: the default branch")] = "",
) -> ProjectLintAnswer:
    """Check files as they are edited, over those of a branch, tag or commit as of the last fetch; nothing is kept."""
    commit, found = backend.linting.lint_at(project, ref, wanted.files, wanted.file)
    return ProjectLintAnswer(commit=commit, pipelines=_pipelines(found), findings=_findings(found, wanted.files))


def _pipelines(found: LoadResult) -> list[PipelineView]:
    return [shown_pipeline(each) for each in found.pipelines.values()]


def _findings(found: LoadResult, files: Mapping[str, str | None]) -> list[LintFinding]:
    lines = {path: text.splitlines() for path, text in files.items() if text}
    return [_shown(finding, lines.get(finding.position.file, [])) for finding in found.findings]


def _shown(finding: Finding, lines: list[str]) -> LintFinding:
    place = finding.position
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    return LintFinding(
        code=finding.code,
        severity=finding.severity,
        file=place.file,
        line=place.line,
        column=place.column,
        end_column=end_of_word(line, place.column),
        message=finding.message,
        hint=finding.hint,
    )


def end_of_word(line: str, column: int) -> int:
    """Return the column behind the key or value that begins at a column of a line of YAML; at least the next one."""
    word = _WORD.match(line, column - 1)
    return max(column + 1, word.end() + 1 if word else 0)
