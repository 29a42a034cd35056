"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec, TypeVar, get_type_hints

import typer

from flowbuild.cli.views import say
from flowbuild.core.errors import InvalidRequest
from flowbuild.core.redact import WEAK, weak_secrets

MAX_SECRET_FILE = 1 << 20  # bytes
P = ParamSpec("P")
T = TypeVar("T")

Directory = Annotated[str, typer.Option("-C", "--directory", metavar="DIR", help="Work in this directory.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Number or id of the run, or `last`.")]
Step = Annotated[str, typer.Argument(metavar="STEP", help="Name of the step.")]
Comment = Annotated[str, typer.Option("-m", "--comment", metavar="TEXT", help="Why; kept with the run.")]
Inputs = Annotated[
    list[str] | None, typer.Option("-i", "--input", metavar="NAME=VALUE", help="Value of an input; may be repeated.")
]
Variables = Annotated[
    list[str] | None, typer.Option("-v", "--variable", metavar="NAME=VALUE", help="Set a variable; may be repeated.")
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret", metavar="NAME[=VALUE]", help="A secret; without a value it is taken from the environment."
    ),
]
SecretFile = Annotated[
    Path | None, typer.Option("--secret-file", metavar="FILE", help="File with one NAME=VALUE per line.")
]
Approve = Annotated[
    list[str] | None, typer.Option("--approve", metavar="STEP", help="Approve this step unasked, or `all`.")
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Run every step, whatever is recorded; record what comes of it.")
]
Attempt = Annotated[int | None, typer.Option("--attempt", metavar="N", min=1, help="The attempt; default: the latest.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


Plain = Annotated[bool, typer.Option("--plain", help="One line per fact, as when the output is no terminal.")]


@dataclass(frozen=True, slots=True)
class Driving:
    """What every command takes that drives a run: `run`, `rerun`, `resume`."""

    directory: Directory = "."
    secret: Secrets = None
    secret_file: SecretFile = None
    approve: Approve = None
    json_lines: Json = False
    plain: Plain = False

    def secrets(self) -> dict[str, str]:
        """Return the values of the secrets that are given; raises InvalidRequest."""
        return secrets(self.secret, self.secret_file)


def driving(command: Callable[Concatenate[Driving, P], T]) -> Callable[..., T]:
    """Let a command take the options of `Driving`, behind its own; it gets them as its first argument."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    hints = get_type_hints(Driving, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(Driving)
    ]

    def call(*arguments: P.args, **named: P.kwargs) -> T:
        given = {field.name: named.pop(field.name) for field in fields(Driving)}
        return command(Driving(**given), *arguments, **named)  # type: ignore[arg-type]

    call.__doc__, call.__name__ = command.__doc__, command.__name__
    call.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    return call


def pairs(texts: Sequence[str] | None, what: str) -> dict[str, str]:
    """Return NAME=VALUE texts as a mapping; raises InvalidRequest."""
    found = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidRequest(f"{what} {text!r} is not NAME=VALUE", hint=f"for example {name or 'NAME'}=value")
        found[name] = value
    return found


def secrets(texts: Sequence[str] | None, file: Path | None) -> dict[str, str]:
    """Return secret values: from the file first, then from the options."""
    found = _secret_file(file) if file is not None else {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name:
            raise InvalidRequest("a secret without a name", hint="--secret NAME (from the environment) or NAME=VALUE")
        if not equals:
            if name not in os.environ:
                raise InvalidRequest(f"secret {name!r} is not in the environment", hint=f"export {name}=… first")
            value = os.environ[name]
        found[name] = value
    if weak := weak_secrets(found):
        say(f"masked in logs, but short enough to be guessed: {', '.join(weak)}; use at least {WEAK} characters")
    return found


def _secret_file(file: Path) -> dict[str, str]:
    try:
        if file.stat().st_size > MAX_SECRET_FILE:
            raise InvalidRequest(f"{file}: a secret file holds at most 1 MiB")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the secret file {file} cannot be read: {error}") from error
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise InvalidRequest(f"{file}:{number}:1: expected NAME=VALUE")
        found[name.strip()] = value
    return found
