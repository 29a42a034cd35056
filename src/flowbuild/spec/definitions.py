"""The compose definitions of steps: found in the repository or in the pipeline file, checked by `spec.compose`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowbuild.core.model import Position
from flowbuild.spec import compose, yamlpos
from flowbuild.spec.findings import Finding
from flowbuild.spec.format import StepSpec
from flowbuild.spec.source import Repository, missing_file
from flowbuild.spec.written import Written
from flowbuild.spec.yamlpos import Document, Path


@dataclass(frozen=True, slots=True)
class Definition:
    """A canonical compose model, the services whose exit decides, and where parts of the model stand."""

    model: Mapping[str, Any]
    main: tuple[str, ...]
    document: Document
    base: Path

    def inside(self, path: Path, line: int, column: int) -> Position:
        """Return the place of a character of a text of the model; what another file defines: of what refers to it."""
        return self.document.inside((*self.base, *path), line, column)


class Definitions:
    """Loads the definitions of all steps of a file; a compose file that several steps use is read and reported once."""

    def __init__(self, repository: Repository, *, trusted: bool) -> None:
        self._repository = repository
        self._trusted = trusted
        self._files: dict[str, _Loaded] = {}

    def load(self, written: Written, name: str, spec: StepSpec) -> tuple[Definition | None, list[Finding]]:
        """Return the definition of a step, or None with every problem found."""
        base: Path = ("steps", name)
        if (spec.action is None) == (spec.compose is None):
            return None, []  # reported with the step
        if spec.action is not None:
            loaded = self._file(written.place((*base, "action")), spec.action)
        else:
            loaded = self._inline(written, (*base, "compose"), spec.compose)
        if loaded.model is None or loaded.document is None:
            return None, loaded.findings
        found = compose.check_main(loaded.model, spec.main, written.place((*base, "main")))
        main = compose.main_services(loaded.model, spec.main)
        return Definition(loaded.model, main, loaded.document, loaded.base), [*loaded.findings, *found]

    def _inline(self, written: Written, where: Path, data: Any) -> _Loaded:
        model, findings = compose.load(
            text=None,
            data=data,
            position_of=lambda path: written.place((*where, *path)),
            file=written.document.file,
            read=self._repository.read,
            trusted=self._trusted,
        )
        return _Loaded(model, findings, written.document, written.path(where))

    def _file(self, place: Position, action: str) -> _Loaded:
        if action in self._files:
            return self._files[action]
        text = self._repository.read(action)
        if text is None:
            return _Loaded(None, [missing_file(self._repository, action, place)], None)
        model, findings = compose.load(text=text, file=action, read=self._repository.read, trusted=self._trusted)
        document, _same = yamlpos.load(text, action)  # again, for the places of expressions in it
        self._files[action] = _Loaded(model, findings, document)
        return self._files[action]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What `compose.load` said about a definition, and where it stands."""

    model: dict[str, Any] | None
    findings: list[Finding]
    document: Document | None
    base: Path = ()
