"""Pipelines as clients see them: what their graph, their form of inputs and their triggers need."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from flowbuild.core.model import Input, Pipeline
from flowbuild.store.holds import HoldRow


class PipelineStep(BaseModel):
    """A step of a pipeline, as far as its graph needs."""

    key: str
    name: str
    background: bool
    allow_failure: bool
    environment: str | None
    approve: list[str] = Field(description="who may let it act on its environment; none: nobody needs to")
    cached: bool
    secrets: list[str]
    line: int


class PipelineEdge(BaseModel):
    """An edge of a pipeline."""

    source: str
    target: str
    kind: str
    condition: str | None


class HoldView(BaseModel):
    """Somebody holds a pipeline: nothing of it begins."""

    by: str
    reason: str
    at: float

    @classmethod
    def of(cls, row: HoldRow | None) -> HoldView | None:
        """Return what is shown of a hold, if there is one."""
        return None if row is None else cls(by=row.held_by, reason=row.reason, at=row.at)


class PipelineView(BaseModel):
    """A pipeline at a commit."""

    name: str
    description: str
    file: str
    line: int
    inputs: list[Input]
    variables: dict[str, str]
    triggers: dict[str, Any]
    steps: list[PipelineStep]
    edges: list[PipelineEdge]
    hold: HoldView | None = Field(description="who lets nothing of it begin; none: nobody does")


def shown_pipeline(found: Pipeline, hold: HoldRow | None = None) -> PipelineView:
    """Return a pipeline without what only runs need."""
    return PipelineView(
        name=found.name,
        description=found.description,
        file=found.position.file,
        line=found.position.line,
        inputs=list(found.inputs),
        variables=dict(found.variables),
        triggers=dict(found.triggers),
        steps=[
            PipelineStep(
                key=step.key,
                name=step.name,
                background=step.background,
                allow_failure=step.allow_failure,
                environment=None if step.environment is None else step.environment.name,
                approve=[] if step.environment is None else list(step.environment.approve),
                cached=step.cache is not None,
                secrets=list(step.secrets),
                line=step.position.line,
            )
            for step in found.steps
        ],
        edges=[
            PipelineEdge(source=edge.source, target=edge.target, kind=edge.kind, condition=edge.condition)
            for edge in found.edges
        ],
        hold=HoldView.of(hold),
    )
