"""From an assignment to what the engine gets: names, environment, mounts, our own compose file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flowbuild.client.runner import Assignment, Lease
from flowbuild.core.errors import StepFailed
from flowbuild.core.expr import ExpressionError
from flowbuild.core.ids import network_name
from flowbuild.engine.base import Attachment, Labels, UnitSpec
from flowbuild.runner.dockerfiles import copy_dockerfiles
from flowbuild.runner.tools import RunnerPlaces
from flowbuild.spec import compose, interpolate
from flowbuild.spec.findings import InvalidFile
from flowbuild.workspace.source_git import MOUNT
from flowbuild.workspace.source_git import environment as git_environment
from flowbuild.workspace.variables import environment as safe_environment


@dataclass(frozen=True, slots=True)
class Plan:
    """What one attempt needs. `directory` holds `workspace/`, `variables/` and `files/`; `notes` go to the step's log."""

    assignment: Assignment
    model: Mapping[str, Any]
    labels: Labels
    run_labels: Labels
    project: str
    network: str
    directory: Path
    images: tuple[str, ...]
    main: tuple[str, ...]
    notes: tuple[str, ...]
    environment: Mapping[str, str]
    inline_files: Mapping[str, str]
    digests: Mapping[str, str] = field(default_factory=dict)

    def borrowing(self, objects: tuple[str, ...]) -> Plan:
        """Return the plan with these object directories of the source."""
        return replace(self, assignment=replace(self.assignment, source_objects=objects))

    @property
    def across(self) -> bool:
        """Whether the network of the run is one across machines: the server has made it."""
        return self.assignment.network == "overlay"

    @property
    def predictable(self) -> bool:
        """Whether the containers can be made before they are needed: nothing of the workspace is mounted or built.

        Those of a step with `cache` may never be needed.
        """
        if self.assignment.step.cache is not None:
            return False
        return not compose.bind_paths(self.model) and not any("build" in s for s in self.model["services"].values())

    def predict(self) -> UnitSpec:
        """Return the specification, making the empty directories that the containers refer to."""
        for name in ("workspace", "variables"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        return self.spec()

    def spec(self) -> UnitSpec:
        """Return the specification; the workspace is in place. Raises StepFailed when the file cannot be used."""
        _confine(self.directory / "workspace", compose.bind_paths(self.model), compose.mount_paths(self.model))
        files = self.directory / "files"
        for name, text in self.inline_files.items():
            files.mkdir(exist_ok=True)
            (files / name).write_text(text, encoding="utf-8")
        context = compose.EmitContext(
            project=self.project,
            step=self.assignment.lease.step,
            labels=self.labels.as_dict(),
            network=self.network,
            workspace=str(self.directory / "workspace"),
            variables_dir=str(self.directory / "variables"),
            files=str(files),
            dockerfiles=copy_dockerfiles(self.model, self.directory / "workspace", self.directory / "dockerfiles"),
            main=self.main,
            mounts=tuple(
                compose.Mount(path, f"{MOUNT}/{number}") for number, path in enumerate(self.assignment.source_objects)
            ),
            variables=self.assignment.variables,
            main_environment=self.environment,
            flow_environment={**self.assignment.environment, "FLOW_NETWORK": self.network},
            image_digests=self.digests,
            trusted=self.assignment.trusted,
            across=self.across,
        )
        try:
            emitted = compose.emit(self.model, context)
        except InvalidFile as error:
            raise StepFailed("\n".join(str(finding) for finding in error.findings)) from error
        return UnitSpec(self.project, self.labels, emitted, self.main, self._attachments())

    def _attachments(self) -> Mapping[str, tuple[Attachment, ...]]:
        """Return what is joined without compose: on a worker it fails, not knowing a network across machines before it is used there."""
        if not self.across:
            return {}
        names = compose.joining(self.model, self.assignment.lease.step)
        return {service: (Attachment(self.network, (name,)),) for service, name in names.items()}


def make_plan(assignment: Assignment, places: RunnerPlaces) -> Plan:
    """Return the plan of an attempt; raises StepFailed when its compose definition cannot be used."""
    lease, step = assignment.lease, assignment.step
    variables, refused = safe_environment(assignment.variables)
    try:
        model = interpolate.render_tree(step.compose, assignment.facts, quote=compose.escape)
        images = compose.images(model, assignment.variables)
        inline_files = compose.inline_files(model, assignment.variables)
    except (ExpressionError, ValueError) as error:
        raise StepFailed(f"{step.position}: {error}") from error
    labels = Labels(places.instance, lease.run, lease.step, lease.attempt, lease.epoch)
    return Plan(
        assignment=assignment,
        model=model,
        labels=labels,
        run_labels=Labels(places.instance, lease.run),
        project=project_name(lease),
        network=network_name(lease.run),
        directory=places.directory(lease.run, lease.step, lease.attempt, lease.epoch),
        images=images,
        main=compose.main_services(model, step.main),
        notes=tuple(_notes(assignment, refused)),
        environment={**git_environment(), **variables, **assignment.secrets},
        inline_files=inline_files,
    )


def _notes(assignment: Assignment, refused: Collection[str]) -> Iterator[str]:
    """Yield what people are told of what the step has to do without, of secrets once."""
    if refused:
        yield f"not in the environment, because programs obey these names: {', '.join(refused)}"
    if assignment.state != "launched":
        for name, why in sorted(assignment.withheld.items()):
            yield f"the secret {name} is not given to this step: {why}"


def project_name(lease: Lease) -> str:
    """Return the compose project of an attempt: unique in the engine, and telling to a person."""
    step = re.sub("[^a-z0-9-]", "-", lease.step.lower())[:32]
    if step != lease.step:  # two steps may differ in what was folded
        step += "-" + hashlib.sha256(lease.step.encode()).hexdigest()[:6]
    return f"flow-{lease.run[-12:].lower()}-{step}-{lease.attempt}-{lease.epoch}"


def _confine(workspace: Path, paths: tuple[str, ...], mounts: tuple[str, ...]) -> None:
    """Refuse paths that a link leads out of the workspace, and make mount sources that are missing."""
    top = os.path.realpath(workspace)
    for path in paths:
        wanted = workspace / path
        real = os.path.realpath(wanted)
        if real != top and not real.startswith(top + os.sep):
            raise StepFailed(f"{path}: leads out of the workspace, to {real}", hint="mount a path inside the workspace")
        if path in mounts and not os.path.lexists(wanted):
            try:
                wanted.mkdir(parents=True)
            except OSError as error:  # a file of the workspace is in the way
                raise StepFailed(f"{path}: cannot be made in the workspace: {error.strerror}") from error
