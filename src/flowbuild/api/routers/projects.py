"""Projects: repositories that runs come from, their branches and pipelines, and starting runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from flowbuild.api.access import Acting, InList, OnProject, OnServer
from flowbuild.api.backend import Back, Backend
from flowbuild.api.paging import Limit
from flowbuild.api.pipelines import PipelineView, shown_pipeline
from flowbuild.api.problems import RESPONSES
from flowbuild.api.routers.runs import shown
from flowbuild.client.base import RunView
from flowbuild.core.access import Action
from flowbuild.core.errors import NotFound
from flowbuild.core.project import ProjectSettings, Visibility
from flowbuild.core.retention import Retention
from flowbuild.services.audit import NOBODY, Actor
from flowbuild.services.launching import LaunchRequest
from flowbuild.services.projects import ProjectChange
from flowbuild.spec.words import did_you_mean
from flowbuild.store.projects import ProjectRow
from flowbuild.workspace.remote import Credential

router = APIRouter(prefix="/api/v1/projects", tags=["projects"], responses=RESPONSES)
demo_router = APIRouter(prefix="/api/v1/demo", tags=["projects"], responses=RESPONSES)
Visible = Annotated[frozenset[str] | None, Depends(InList(Action.PROJECT_READ))]
SOURCE_MAX = 1 << 20  # bytes of a file that is shown
Ref = Annotated[str, Query(max_length=512, description="a branch, tag or commit; default: the default branch")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CredentialIn(_Strict):
    """What opens the repository: user and password (or token) for https, a private key for ssh. Never shown again."""

    user: str = Field("", max_length=256)
    password: str = Field("", max_length=4096)
    key: str = Field("", max_length=65536, description="a private key as ssh-keygen writes it")
    known_hosts: str = Field("", max_length=65536)


class SettingsIn(_Strict):
    """What maintainers decide. No branch pattern in `protected`: the default branch is."""

    protected: list[str] = Field([], max_length=100)
    protected_tags: list[str] = Field(["*"], max_length=100)
    keep_runs: int | None = Field(500, ge=0)
    keep_days: float | None = Field(90.0, ge=0)
    keep_bytes: int | None = Field(50 << 30, ge=0)
    poll: float | None = Field(
        None, ge=10, le=86400, description="seconds between looks for changes, where there are no webhooks; null: none"
    )
    cancel_closed: bool = Field(
        True, description="whether runs of a pull request are cancelled when it is closed or merged"
    )
    four_eyes: bool = Field(False, description="nobody approves what they started, or have written")
    any_variables: bool = Field(
        False, description="who starts runs may set any variable, also of pipelines with secrets or environments"
    )


class NewProject(_Strict):
    """A repository to build."""

    name: str = Field(max_length=128)
    url: str = Field(max_length=2048, description="https://, ssh://, user@host:path; a path where the server allows it")
    credential: CredentialIn | None = None
    default_branch: str = Field("", max_length=512, description="empty: what the repository says")
    visibility: Visibility = Visibility.PRIVATE
    settings: SettingsIn | None = None


class ProjectPatch(_Strict):
    """What is to be different. An empty credential takes it away."""

    url: str | None = Field(None, max_length=2048)
    credential: CredentialIn | None = None
    default_branch: str | None = Field(None, max_length=512)
    visibility: Visibility | None = None
    settings: SettingsIn | None = None
    archived: bool | None = None


class ProjectView(BaseModel):
    """A project. Its credential is never told, only whether there is one."""

    name: str
    url: str
    default_branch: str
    visibility: Visibility
    settings: SettingsIn
    has_credential: bool
    created_at: float
    archived_at: float | None
    fetched_at: float | None = Field(description="when the repository was looked at last")
    fetch_error: str = Field(description="why that did not work the last time; empty: it did")


class RefView(BaseModel):
    """A branch or tag, as of the last fetch."""

    name: str
    commit: str


class AnyRef(RefView):
    """A branch or a tag."""

    kind: Literal["branch", "tag"]
    default: bool = Field(description="the branch that counts when none is named")


class PipelinesView(BaseModel):
    """The pipelines at a commit, and what is wrong in their files; a pipeline with errors is not among them."""

    commit: str
    branch: str
    tag: str
    files: list[str] = Field(description="in which pipelines are written")
    pipelines: list[PipelineView]
    findings: list[dict[str, str | int]]


class SourceFile(BaseModel):
    """A text file of the repository at a commit. Bytes that are not UTF-8 are shown as replacement characters."""

    path: str
    commit: str
    text: str


class StartIn(_Strict):
    """How to start a run by hand."""

    ref: str = Field("", max_length=512, description="a branch, tag or commit; empty: the default branch")
    inputs: dict[str, str] = {}
    variables: dict[str, str] = {}
    fresh: bool = Field(False, description="take no result from the step cache")


@router.get("")
def list_projects(visible: Visible, backend: Back, archived: bool = False) -> list[ProjectView]:
    """Return the projects that the caller may see, by name."""
    return [_shown(row) for row in backend.projects.list(visible, archived=archived)]


@router.post("", status_code=201, dependencies=[Depends(OnServer(Action.PROJECT_CREATE))])
async def add_project(wanted: NewProject, actor: Acting, backend: Back) -> ProjectView:
    """Add a project and fetch it. Its repository must answer and let us in."""
    return await backend.at_remote(_add, wanted, actor, backend)


def _add(wanted: NewProject, actor: Actor, backend: Backend) -> ProjectView:
    row = backend.projects.add(
        actor,
        wanted.name,
        wanted.url,
        credential=_credential(wanted.credential),
        default_branch=wanted.default_branch,
        visibility=wanted.visibility,
        settings=_settings(wanted.settings),
    )
    return _fetched(backend, row.name)


@demo_router.post("", status_code=201, dependencies=[Depends(OnServer(Action.PROJECT_CREATE))])
async def add_demo(actor: Acting, backend: Back) -> ProjectView:
    """Add the demo project and fetch it: its repository is made on the server. Its steps use the images of scripts/images."""
    return await backend.at_remote(_add_demo, actor, backend)


def _add_demo(actor: Actor, backend: Backend) -> ProjectView:
    row = backend.demo.add(actor)
    return _fetched(backend, row.name)


@router.get("/{project}", dependencies=[Depends(OnProject(Action.PROJECT_READ))])
def get_project(project: str, backend: Back) -> ProjectView:
    """Return a project."""
    return _shown(backend.projects.get(project))


@router.patch("/{project}", dependencies=[Depends(OnProject(Action.PROJECT_CHANGE))])
async def change_project(project: str, wanted: ProjectPatch, actor: Acting, backend: Back) -> ProjectView:
    """Change a project, put it into the archive or take it out."""
    return await backend.at_remote(_change, project, wanted, actor, backend)


def _change(project: str, wanted: ProjectPatch, actor: Actor, backend: Backend) -> ProjectView:
    change = ProjectChange(
        url=wanted.url,
        credential=_credential(wanted.credential),
        default_branch=wanted.default_branch,
        visibility=wanted.visibility,
        settings=_settings(wanted.settings),
    )
    row = (
        backend.projects.change(actor, project, change) if change != ProjectChange() else backend.projects.get(project)
    )
    if wanted.archived is not None:
        row = backend.projects.archive(actor, project, archived=wanted.archived)
    return _shown(row)


@router.delete("/{project}", status_code=204, dependencies=[Depends(OnProject(Action.PROJECT_DELETE))])
def delete_project(project: str, actor: Acting, backend: Back) -> None:
    """Delete a project with all its runs, secrets, hooks and schedules. Runs must have ended; nothing begins meanwhile."""
    backend.removal.project(actor, project)


@router.post("/{project}/fetch", dependencies=[Depends(OnProject(Action.RUN_START))])
async def fetch_project(project: str, backend: Back) -> ProjectView:
    """Look at the repository now. Runs do that by themselves."""
    return await backend.at_remote(_fetched, backend, project)


def _fetched(backend: Backend, project: str) -> ProjectView:
    backend.projects.fetch(project)
    backend.triggers.schedules.refresh(project)
    return _shown(backend.projects.get(project))


@router.get("/{project}/branches", dependencies=[Depends(OnProject(Action.PROJECT_READ))])
def list_branches(project: str, backend: Back) -> list[RefView]:
    """Return the branches as of the last fetch, the default branch first."""
    found, first = backend.projects.branches(project), backend.projects.default_branch(project)
    return [RefView(name=name, commit=found[name]) for name in sorted(found, key=lambda name: (name != first, name))]


@router.get("/{project}/tags", dependencies=[Depends(OnProject(Action.PROJECT_READ))])
def list_tags(project: str, backend: Back) -> list[RefView]:
    """Return the tags as of the last fetch."""
    return [RefView(name=name, commit=commit) for name, commit in sorted(backend.projects.tags(project).items())]


@router.get("/{project}/refs", dependencies=[Depends(OnProject(Action.PROJECT_READ))])
def list_refs(
    project: str,
    backend: Back,
    search: Annotated[str, Query(max_length=512, description="a part of the name, in whatever case")] = "",
    limit: Limit = 50,
) -> list[AnyRef]:
    """Return branches and tags as of the last fetch, for people to choose from: the default branch, then what begins so."""
    return [AnyRef(**asdict(ref)) for ref in backend.projects.refs(project, search, limit)]


@router.get("/{project}/pipelines", dependencies=[Depends(OnProject(Action.PROJECT_READ))])
def list_pipelines(project: str, backend: Back, ref: Ref = "") -> PipelinesView:
    """Return the pipelines at a branch, tag or commit as of the last fetch, with everything that is wrong in their files."""
    found = backend.projects.pipelines(project, ref)
    holds = backend.holds.of_project(project)
    return PipelinesView(
        commit=found.point.commit,
        branch=found.point.branch,
        tag=found.point.tag,
        files=list(found.files),
        pipelines=[shown_pipeline(each, holds.get(each.name)) for each in found.pipelines.values()],
        findings=[finding.to_dict() for finding in found.findings],
    )


@router.get("/{project}/pipelines/{pipeline}", dependencies=[Depends(OnProject(Action.PROJECT_READ))])
def getshown_pipeline(project: str, pipeline: str, backend: Back, ref: Ref = "") -> PipelineView:
    """Return a pipeline at a branch, tag or commit as of the last fetch."""
    found = backend.projects.pipelines(project, ref).pipelines
    if pipeline not in found:
        raise NotFound(f"there is no pipeline {pipeline!r}", hint=did_you_mean(pipeline, found))
    return shown_pipeline(found[pipeline], backend.holds.of_project(project).get(pipeline))


@router.get("/{project}/file", dependencies=[Depends(OnProject(Action.PROJECT_READ))])
def get_source_file(
    project: str, path: Annotated[str, Query(min_length=1, max_length=4096)], backend: Back, ref: Ref = ""
) -> SourceFile:
    """Return a text file of the repository at a branch, tag or commit as of the last fetch, at most 1 MiB."""
    commit, data = backend.projects.file(project, ref, path, SOURCE_MAX)
    return SourceFile(path=path, commit=commit, text=data.decode("utf-8", "replace"))


@router.post(
    "/{project}/pipelines/{pipeline}/runs", status_code=201, dependencies=[Depends(OnProject(Action.RUN_START))]
)
async def start_run(project: str, pipeline: str, wanted: StartIn, actor: Acting, backend: Back) -> RunView:
    """Start a run of a pipeline at the newest state of a branch, at a tag or a commit."""
    request = LaunchRequest(
        project,
        pipeline,
        wanted.ref,
        inputs=wanted.inputs,
        variables=wanted.variables,
        by=actor,
        fresh=wanted.fresh,
    )
    run = await backend.at_remote(backend.launcher.launch, request)
    return shown(backend, await backend.client(NOBODY).get(run))


@router.get("/{project}/runs/{name}", dependencies=[Depends(OnProject(Action.RUN_READ))])
async def find_run(project: str, name: str, backend: Back) -> RunView:
    """Return a run of the project by number, id, beginning of an id, or `last`."""
    return shown(backend, await backend.client(NOBODY).find(project, name))


def _credential(given: CredentialIn | None) -> Credential | None:
    return None if given is None else Credential(given.user, given.password, given.key, given.known_hosts)


def _settings(given: SettingsIn | None) -> ProjectSettings | None:
    if given is None:
        return None
    kept = Retention(given.keep_runs, given.keep_days, given.keep_bytes)
    return ProjectSettings(
        protected=tuple(given.protected),
        protected_tags=tuple(given.protected_tags),
        retention=kept,
        poll=given.poll,
        cancel_closed=given.cancel_closed,
        four_eyes=given.four_eyes,
        any_variables=given.any_variables,
    )


def _shown(row: ProjectRow) -> ProjectView:
    kept = row.settings.retention
    return ProjectView(
        name=row.name,
        url=row.url,
        default_branch=row.default_branch,
        visibility=row.visibility,
        settings=SettingsIn(
            protected=list(row.settings.protected),
            protected_tags=list(row.settings.protected_tags),
            keep_runs=kept.runs,
            keep_days=kept.days,
            keep_bytes=kept.bytes,
            poll=row.settings.poll,
            cancel_closed=row.settings.cancel_closed,
            four_eyes=row.settings.four_eyes,
            any_variables=row.settings.any_variables,
        ),
        has_credential=bool(row.sealed_credential),
        created_at=row.created_at,
        archived_at=row.archived_at,
        fetched_at=row.fetched_at,
        fetch_error=row.fetch_error,
    )
