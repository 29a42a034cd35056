"""What steps tell people: test reports and summaries, found in what they left. All of it may be hostile; it is text."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from flowbuild.api.access import OnRun
from flowbuild.api.backend import Back
from flowbuild.api.problems import RESPONSES
from flowbuild.core.access import Action
from flowbuild.core.ids import RunId
from flowbuild.services.reports import StepReports, Told
from flowbuild.spec.junit import Status

router = APIRouter(prefix="/api/v1/runs/{run}", tags=["reports"], responses=RESPONSES)
Readable = Annotated[RunId, Depends(OnRun(Action.WORKSPACE_READ))]


class TestTotals(BaseModel):
    """How many test cases ended how; `seconds` is the sum of their durations."""

    passed: int = 0
    failed: int = 0
    errored: int = Field(0, description="as reports mean it: by something else than an assertion")
    skipped: int = 0
    seconds: float = 0.0


class TestCase(BaseModel):
    """A test case. Texts may be cut; `report` is the file of the workspace that tells of it, for further questions."""

    suite: str
    classname: str
    name: str
    status: Status
    seconds: float
    message: str
    details: str
    file: str = Field(description="of the test, when the report says it")
    line: int = Field(description="0: the report does not say it")
    report: str


class ReportProblem(BaseModel):
    """A file that cannot be read, or not to its end."""

    report: str
    message: str


class StepTests(BaseModel):
    """What the test reports of a step say: of its latest attempt that left something (0: it was taken over from another run)."""

    step: str
    attempt: int
    commit: str
    files: int
    totals: TestTotals
    failed: list[TestCase]
    slowest: list[TestCase]
    problems: list[ReportProblem]
    complete: bool = Field(description="false: there is more than was read, or is told here")


class RunTests(BaseModel):
    """The test reports of a run, by step in the order of the file; steps without any are not in it."""

    totals: TestTotals
    steps: list[StepTests]


class StepSummary(BaseModel):
    """What a step says of itself, in Markdown. It may be anything: show it as elements, never as HTML."""

    step: str
    attempt: int
    commit: str
    text: str
    cut: bool


@router.get("/reports")
def list_reports(
    run: Readable, backend: Back, step: Annotated[str, Query(max_length=128, description="only of this one")] = ""
) -> RunTests:
    """Return what the test reports say that the steps of a run wrote."""
    steps = [_step(each) for each in backend.reports.tests(run, step)]
    names = TestTotals.model_fields
    totals = TestTotals(**{name: sum(getattr(each.totals, name) for each in steps) for name in names})
    return RunTests(totals=totals, steps=steps)


@router.get("/summaries")
def list_summaries(run: Readable, backend: Back) -> list[StepSummary]:
    """Return what the steps of a run wrote into the files that FLOW_SUMMARY names, in the order of the pipeline."""
    return [
        StepSummary(
            step=each.ended.step,
            attempt=each.ended.attempt,
            commit=each.ended.commit,
            text=each.text,
            cut=each.cut,
        )
        for each in backend.reports.summaries(run)
    ]


def _step(found: StepReports) -> StepTests:
    ended, reports = found.ended, found.reports
    counts = {str(status): count for status, count in reports.counts.items()}
    return StepTests(
        step=ended.step,
        attempt=ended.attempt,
        commit=ended.commit,
        files=reports.files,
        totals=TestTotals(**counts, seconds=reports.seconds),
        failed=[_case(each) for each in reports.failed],
        slowest=[_case(each) for each in reports.slowest],
        problems=[ReportProblem(report=quote(name), message=message) for name, message in reports.problems],
        complete=reports.complete,
    )


def _case(told: Told) -> TestCase:
    case = told.case
    return TestCase(
        suite=case.suite,
        classname=case.classname,
        name=case.name,
        status=case.status,
        seconds=case.seconds,
        message=case.message,
        details=case.details,
        file=case.file,
        line=case.line,
        report=quote(told.report),
    )
