"""The pipeline format as pydantic models: the one truth for checking, for the JSON Schema and for the reference.

A key that takes one item or a list takes both; a key that takes a name or a mapping takes both. Unknown keys and values
of a wrong type are refused. Checks that need more than one place of the file (names of steps, conditions) are made in
`flowbuild.spec.compile`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flowbuild.spec.scalars import (
    ChannelName,
    Cron,
    Duration,
    FilePath,
    Glob,
    HookName,
    InputName,
    Limit,
    Person,
    PipelineName,
    Scalar,
    ScalarText,
    ServiceName,
    StepName,
    Text,
    TimeZone,
    VariableName,
    problem,
)
from flowbuild.spec.shapes import NOTHING_IS_EMPTY, TRIGGER_NAMES, YES_OR_NO, OneOrMore, short
from flowbuild.spec.words import kind, shown


class Strict(BaseModel):
    """Base of all parts of the format: nothing unknown, nothing converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Names = OneOrMore[Glob]


class Push(Strict):
    """Start on a push. Without a filter every branch counts; `tags` makes pushed tags count as well."""

    branches: Names = Field(default=[], description="Branches that count; patterns with * and **")
    branches_ignore: Names = Field(default=[], description="Branches that do not count")
    tags: Names = Field(default=[], description="Tags that count")
    tags_ignore: Names = Field(default=[], description="Tags that do not count")
    paths: Names = Field(default=[], description="Only when one of these files changed")
    paths_ignore: Names = Field(default=[], description="Not when only these files changed")


class Tag(Strict):
    """Start on a pushed tag."""

    tags: Names = Field(default=[], description="Tags that count; all of them when left out")
    tags_ignore: Names = Field(default=[], description="Tags that do not count")


class PullRequest(Strict):
    """Start when a pull request is opened or changed."""

    branches: Names = Field(default=[], description="Target branches that count")
    branches_ignore: Names = Field(default=[], description="Target branches that do not count")
    paths: Names = Field(default=[], description="Only when one of these files changed")
    paths_ignore: Names = Field(default=[], description="Not when only these files changed")


class Schedule(Strict):
    """Start at times."""

    cron: Cron = Field(description="minute hour day month weekday")
    timezone: TimeZone = Field(default="UTC", description="Name of the tz database, like Europe/Riga")
    branch: Annotated[Text, Field(max_length=512)] | None = Field(
        default=None, description="Branch that is built; the default branch when left out"
    )
    misfire: Literal["skip", "once", "all"] = Field(
        default="once", description="Times at which the server did not work: nothing, one run for all, or one for each"
    )


class Webhook(Strict):
    """Start by POST /hooks/<project>/<name> with a token; fields of the JSON body are inputs."""

    name: HookName


class After(Strict):
    """Start when another pipeline of the project has ended."""

    pipeline: PipelineName
    outcome: OneOrMore[Literal["succeeded", "failed", "errored", "cancelled"]] = Field(
        default=["succeeded"], description="Ends that count"
    )
    branches: Names = Field(default=[], description="Branches whose runs count")


class Triggers(Strict):
    """What starts the pipeline, besides people."""

    push: Annotated[Push | None, NOTHING_IS_EMPTY] = None
    tag: Annotated[Tag | None, NOTHING_IS_EMPTY] = None
    pull_request: Annotated[PullRequest | None, NOTHING_IS_EMPTY] = None
    schedule: OneOrMore[Schedule] = []
    webhook: Annotated[Webhook, short("name", str)] | None = None
    after: OneOrMore[Annotated[After, short("pipeline", str)]] = []


class InputSpec(Strict):
    """A typed parameter of the pipeline; required when it has no default."""

    type: Literal["string", "number", "boolean", "choice"] = "string"
    default: Scalar = Field(default=None, description="Value when none is given; without one the input is required")
    options: list[ScalarText] = Field(default=[], max_length=200, description="Possible values of a choice")
    description: Text = Field(default="", description="Shown beside the field of the form")

    @model_validator(mode="after")
    def _consistent(self) -> InputSpec:
        if self.type == "choice" and not self.options:
            raise problem("bad_input", "a choice without `options`", hint="add options: [first, second]")
        if self.type != "choice" and self.options:
            raise problem("bad_input", f"`options` of a {self.type}", hint="write type: choice", at="options")
        if len(set(self.options)) < len(self.options):
            raise problem("bad_input", "an option stands twice", at="options")
        if self.default is None:
            return self
        expected = {"number": "a number", "boolean": "true or false"}.get(self.type)
        if expected and kind(self.default) != expected:
            raise problem("bad_input", f"the default {shown(self.default)} is not {expected}", at="default")
        if self.options and str(self.default) not in self.options:
            message = f"the default {shown(self.default)} is not one of the options"
            raise problem("bad_input", message, at="default")
        return self


class ConcurrencySpec(Strict):
    """At most `limit` runs of the same group at once; others wait."""

    group: Text = Field(min_length=1, description="Name of the group; may hold ${{ }}")
    limit: int = Field(default=1, ge=1, le=1000)
    cancel_running: bool = Field(default=False, description="Cancel what runs instead of waiting for it")


Told = Literal[
    "started", "finished", "succeeded", "failed", "errored", "recovered", "still_failing", "approval", "cancelled",
]  # fmt: skip


class Notify(Strict):
    """Tell people about runs, besides what the channels are told by their own rules."""

    to: OneOrMore[ChannelName] = Field(min_length=1, description="Channels of the project")
    on: OneOrMore[Told] = Field(
        default=["failed", "errored", "recovered", "approval"], min_length=1, description="What is told"
    )
    branches: Names = Field(default=[], description="Branches whose runs count; patterns with * and **")


NotifyList = OneOrMore[Annotated[Notify, short("to", str)]]


class EdgeSpec(Strict):
    """The step that runs next, perhaps under a condition."""

    step: Text
    condition: Annotated[ScalarText | None, Field(max_length=512)] = Field(
        default=None, alias="if", description="CEL, evaluated when this step has ended"
    )


Edges = OneOrMore[Annotated[EdgeSpec, short("step", str)]]

RetryOn = Literal[
    "failed", "errored", "timeout", "infra_lost", "exit_code", "oom", "unhealthy", "dependency_failed",
    "engine_error", "image_unavailable", "workspace_error",
]  # fmt: skip


class RetrySpec(Strict):
    """Try again."""

    max: int = Field(ge=0, le=20, description="Further attempts after the first")
    on: OneOrMore[RetryOn] = Field(default=["failed", "errored"], min_length=1, description="Outcomes or reasons")
    delay: Duration = Field(default=0.0, description="Pause between attempts")


class EnvironmentSpec(Strict):
    """A place that the step acts on: one run at a time, its secrets, and approval when asked for."""

    name: Text = Field(min_length=1, description="May hold ${{ }}")
    approve: OneOrMore[Person] = Field(default=[], description="Roles or users of whom one has to agree")


class CacheSpec(Strict):
    """Take the recorded result when nothing that decides it has changed. Narrowing is a promise of whoever writes it."""

    inputs: OneOrMore[Glob] | None = Field(
        default=None, min_length=1, description="Files of the workspace that the step reads; all when left out"
    )
    variables: OneOrMore[VariableName] | None = Field(
        default=None, description="Variables that the step reads; all when left out"
    )


class MatrixSpec(BaseModel):
    """Run the step once for every combination of the values; every other key is an axis."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, OneOrMore[ScalarText]]
    include: list[dict[VariableName, ScalarText]] = Field(
        default=[], max_length=256, description="Further combinations"
    )
    exclude: list[dict[VariableName, ScalarText]] = Field(default=[], max_length=256, description="Ones to leave out")


class StepSpec(Strict):
    """One step: a docker compose definition, and what runs next."""

    action: FilePath | None = Field(default=None, description="A compose file of the repository")
    compose: dict[str, Any] | None = Field(default=None, description="The compose definition itself")
    main: OneOrMore[ServiceName] = Field(
        default=[], description="Services whose exit decides; by default those that no other service depends on"
    )
    success: Edges = Field(default=[], description="What runs next when this step succeeded")
    fail: Edges = Field(default=[], description="What runs next when it failed, or errored after its retries")
    always: Edges = Field(default=[], description="What runs next however it ended, unless cancelled")
    condition: Annotated[ScalarText | None, Field(max_length=512)] = Field(
        default=None, alias="if", description="CEL; the step is skipped when it is false"
    )
    join: Literal["all", "any", "first"] = Field(
        default="all", description="When a step with several incoming edges runs"
    )
    retry: Annotated[RetrySpec, short("max", int)] | None = None
    timeout: Limit | None = Field(default=None, description="The attempt fails after this time: 90s, 10m, 1h30m")
    allow_failure: bool = Field(default=False, description="A failure does not make the run fail")
    background: bool = Field(default=False, description="Succeeded when healthy; stays up until the run ends")
    environment: Annotated[EnvironmentSpec, short("name", str)] | None = None
    secrets: OneOrMore[VariableName] = Field(default=[], description="Secrets that main services get as environment")
    cache: Annotated[CacheSpec | None, YES_OR_NO] = None
    matrix: MatrixSpec | None = None


PathPolicy = Literal["fail", "ours", "theirs", "union", "text"]
VariablePolicy = Literal["fail", "first", "last", "append", "max"]


class PipelineHeader(Strict):
    """All of a pipeline except its steps."""

    description: Text = Field(default="", description="Shown to people")
    on: Annotated[Triggers, TRIGGER_NAMES] | None = Field(
        default=None, description="What starts the pipeline, besides people"
    )
    inputs: dict[InputName, Annotated[InputSpec, NOTHING_IS_EMPTY]] = Field(
        default={}, max_length=100, description="Typed parameters"
    )
    variables: dict[VariableName, ScalarText] = Field(
        default={}, max_length=500, description="Initial context variables; may hold ${{ }}"
    )
    concurrency: Annotated[ConcurrencySpec, short("group", str)] | None = None
    priority: int = Field(
        default=0, ge=-100, le=100, description="Of its steps among those of the project that wait for a machine"
    )
    timeout: Limit | None = Field(default=None, description="The run ends after this time")
    checkout: bool = Field(default=True, description="The workspace starts as the source tree; false: empty")
    merge: dict[Glob, PathPolicy] = Field(
        default={}, max_length=200, description="What becomes of paths that parallel steps changed differently"
    )
    merge_variables: dict[VariableName, VariablePolicy] = Field(
        default={}, max_length=500, description="The same for variables"
    )
    notify: NotifyList = Field(default=[], description="Whom to tell about runs; takes the place of that of the file")


class PipelineSpec(PipelineHeader):
    """A graph of steps."""

    steps: dict[StepName, StepSpec] = Field(min_length=1, description="The steps by name")


class FileHeader(Strict):
    """What a pipeline file says about all of its pipelines."""

    notify: NotifyList = []


class PipelineFile(BaseModel):
    """A pipeline file of a project; keys that begin with `x-` are free, for anchors."""

    model_config = ConfigDict(strict=True, frozen=True, title="Pipeline file of flow-build-server")
    pipelines: dict[PipelineName, PipelineSpec] = Field(min_length=1, description="The pipelines by name")
    notify: NotifyList = Field(default=[], description="Whom to tell about runs of pipelines that do not say it")
