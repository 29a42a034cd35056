"""Commands that need no run: check a pipeline file, print its schema, look at the machine."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flowbuild.cli import options
from flowbuild.cli.render.text import clean
from flowbuild.client.base import Check, Connect
from flowbuild.core import human
from flowbuild.core.errors import InvalidRequest


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"


def add_commands(app: typer.Typer, connect: Connect) -> None:
    """Add the commands to the command line."""

    @app.command("validate")
    def validate(
        file: Annotated[
            str, typer.Argument(metavar="FILE", help="Pipeline file; default: those of the repository.")
        ] = "",
        directory: options.Directory = ".",
        output: Annotated[Format, typer.Option("--format", help="How findings are printed.")] = Format.TEXT,
        graph: Annotated[bool, typer.Option("--graph", help="Draw the pipelines, too.")] = False,
    ) -> int:
        """Check pipeline and compose files.

        Shows every problem at once, with its place. Exit code 2 when there are errors.
        """
        return _validate(file, directory, output, graph=graph)

    @app.command("schema")
    def schema() -> None:
        """Print the JSON Schema of pipeline files, for editors."""
        from flowbuild.spec.schema import render

        print(render(), end="")

    @app.command("doctor")
    def doctor(directory: options.Directory = ".") -> int:
        """Say whether this machine can run pipelines.

        Names what is missing and what to do about it. Exit code 3 then.
        """

        async def main() -> Sequence[Check]:
            async with connect(directory) as session:
                return await session.doctor()

        checks = asyncio.run(main())
        for check in checks:
            print(f"{'✓' if check.ok else '✗'} {clean(check.text)}")
            if check.hint:
                print(f"    hint: {clean(check.hint)}")
        return 0 if all(check.ok for check in checks) else 3


def _validate(file: str, directory: str, output: Format, *, graph: bool) -> int:
    from flowbuild.cli.folder import Folder
    from flowbuild.spec.findings import has_errors
    from flowbuild.spec.load import load_pipelines

    if not Path(directory).is_dir():
        raise InvalidRequest(f"{directory} is not a directory")
    top, path = _place(Path(directory, file).absolute(), is_file=bool(file))
    result = load_pipelines(Folder(top), path or None)
    errors = has_errors(result.findings)
    if output is Format.JSON:
        report = {
            "valid": not errors,
            "pipelines": list(result.pipelines),
            "findings": [finding.to_dict() for finding in result.findings],
        }
        print(json.dumps(report, indent=2))
        return 2 if errors else 0
    for finding in result.findings:
        print(finding)
    if graph:
        from flowbuild.cli.views import print_graph

        for pipeline in result.pipelines.values():
            print_graph(pipeline)
    if not errors:
        steps = sum(len(pipeline.steps) for pipeline in result.pipelines.values())
        print(f"{human.count(len(result.pipelines), 'pipeline')}, {human.count(steps, 'step')}: no errors")
    return 2 if errors else 0


def _place(full: Path, *, is_file: bool) -> tuple[Path, str]:
    """Return the top of the repository that a file or directory belongs to, and the path of the file in it, else ""."""
    full = Path(os.path.normpath(full))
    start = full.parent if is_file else full
    top = next((parent for parent in (start, *start.parents) if (parent / ".git").exists()), start)
    return top, full.relative_to(top).as_posix() if is_file else ""
