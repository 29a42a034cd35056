"""The pipelines of a repository: which files hold them, and what is wrong with any of those."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from flowbuild.core.model import EdgeKind, Pipeline, Position
from flowbuild.spec import lint, yamlpos
from flowbuild.spec.compile import compile_file
from flowbuild.spec.findings import Finding, Severity
from flowbuild.spec.lint import Link
from flowbuild.spec.source import Repository, missing_file
from flowbuild.spec.words import did_you_mean, shown
from flowbuild.spec.written import Written, may_repeat

FILES = (".flow.yml", ".flow.yaml")
FOLDER = ".flow"
SUFFIXES = (".yml", ".yaml")
MAX_FILES = 100
NO_FILE = "no_pipeline_file"  # code of the finding that there is none


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The pipelines without errors, by name, and every problem of all files."""

    pipelines: dict[str, Pipeline]
    findings: list[Finding]


def load_pipelines(
    repository: Repository, path: str | None = None, *, trusted: bool = True, channels: Collection[str] | None = None
) -> LoadResult:
    """Load all pipelines of a repository, or those of the one file at `path`.

    Files: `.flow.yml`, `.flow.yaml` and the YAML files directly in `.flow/`, in this order and by name. Never raises
    for what is in them. `channels`: the names of those that the project has, if that is known.
    """
    paths = [path] if path is not None else list(pipeline_files(repository))
    if not paths:
        place = Position(FILES[0], 1, 1)
        hint = "write one; docs/tutorial.md shows how"
        return LoadResult({}, [Finding(NO_FILE, place, "the repository has no pipeline file", hint)])
    if len(paths) > MAX_FILES:
        place = Position(paths[MAX_FILES], 1, 1)
        return LoadResult({}, [Finding("too_many", place, f"more than {MAX_FILES} pipeline files", "use fewer files")])
    findings: list[Finding] = []
    found: dict[str, tuple[Written, Pipeline | None]] = {}
    for file in paths:
        for written, pipeline in _load_file(repository, file, findings, trusted=trusted):
            if written.name in found:
                first = found[written.name][0].position
                message = f"the pipeline {shown(written.name)} exists already, at {first}"
                findings.append(Finding("duplicate_pipeline", written.position, message, "give it another name"))
            found.setdefault(written.name, (written, pipeline))
    wrong = _check_after(found, findings)
    if channels is not None:
        findings += dict.fromkeys(_unknown_channels(found, channels))  # those of the whole file are in many pipelines
    pipelines = {
        name: pipeline for name, (_written, pipeline) in found.items() if pipeline is not None and name not in wrong
    }
    return LoadResult(pipelines, findings)


def pipeline_files(repository: Repository) -> Iterator[str]:
    """Yield the paths of the pipeline files of a repository."""
    top = set(repository.names(""))
    yield from (file for file in FILES if file in top)
    yield from (f"{FOLDER}/{name}" for name in sorted(repository.names(FOLDER)) if name.endswith(SUFFIXES))


def _load_file(
    repository: Repository, file: str, findings: list[Finding], *, trusted: bool
) -> Sequence[tuple[Written, Pipeline | None]]:
    text = repository.read(file)
    if text is None:
        findings.append(missing_file(repository, file, Position(file, 1, 1)))
        return []
    document, found = yamlpos.load(text, file, duplicates=may_repeat)
    findings += found
    if document is None:
        return []
    compiled, compile_findings = compile_file(document, repository, trusted=trusted)
    findings += compile_findings
    return [(written, None) for written, _ in compiled] if found else compiled


def _unknown_channels(
    found: dict[str, tuple[Written, Pipeline | None]], channels: Collection[str]
) -> Iterator[Finding]:
    """Yield a warning for each channel of `notify` that there is not: it may be added, or was removed; the runs go on."""
    for written, pipeline in found.values():
        for index, entry in enumerate(pipeline.notify if pipeline else ()):
            for number, name in enumerate(entry["to"]):
                if name not in channels:
                    place = written.place(("notify", index, "to", number))
                    hint = "`flow channels add` adds one; until then nobody is told"
                    message = f"the project has no channel {shown(name)}"
                    yield Finding("unknown_channel", place, message, hint, Severity.WARNING)


def _check_after(found: dict[str, tuple[Written, Pipeline | None]], findings: list[Finding]) -> set[str]:
    """Check what pipelines start after one another; return those that name something wrong."""
    wrong: set[str] = set()
    links: list[Link] = []
    places: dict[Link, Position] = {}
    for name, (written, pipeline) in found.items():
        for index, after in enumerate(pipeline.triggers.get("after", ()) if pipeline else ()):
            place = written.place(("on", "after", index, "pipeline"))
            link = Link(after["pipeline"], name, EdgeKind.ALWAYS, index)
            if link.source in found:
                links.append(link)
                places[link] = place
            else:
                wrong.add(name)
                message = f"there is no pipeline {shown(link.source)}"
                findings.append(Finding("unknown_pipeline", place, message, did_you_mean(link.source, found)))
    for cycle in lint.cycles(list(found), links):
        wrong.update(link.target for link in cycle)
        way = " → ".join([cycle[0].source, *(link.target for link in cycle)])
        message = f"pipelines start one another for ever: {way}"
        findings.append(Finding("cycle", places[cycle[-1]], message, "remove one of the triggers"))
    return wrong
