"""The small values of the pipeline format: what each may be, how it is shown to editors, and errors in people's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, LiteralString
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from flowbuild.core.ids import CHANNEL_NAME, STEP_NAME, VARIABLE_NAME
from flowbuild.core.schedule import cron_problem
from flowbuild.spec.words import shown

MAX_SECONDS = 30 * 86400.0  # nothing in a run lasts longer than 30 days
MAX_TEXT = 65_536  # characters of one variable, the size of a comfortable file and far below what execve takes

_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,3})?)s)?")
_UNITS = (86400.0, 3600.0, 60.0, 1.0)
_HOOK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_SERVICE = re.compile(r"[a-zA-Z0-9._-]{1,63}")


def problem(code: LiteralString, message: str, *, hint: str = "", at: str = "") -> PydanticCustomError:
    """Make an error that becomes a finding with this code; `at` names the key inside the value that is to blame."""
    return PydanticCustomError(code, "{message}", {"message": message, "hint": hint, "at": at})


def parse_duration(value: Any) -> float:
    """Return seconds from `90s`, `10m`, `1h30m`, `2d` or a number of seconds; raises PydanticCustomError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
        if match is None:
            raise problem("bad_duration", f"{shown(value)} is not a duration", hint="write 90s, 10m, 1h30m or 2d")
        seconds = sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)
    if not 0 <= seconds <= MAX_SECONDS:
        raise problem("bad_duration", f"{shown(value)} is out of range", hint="from 0 to 30d")
    return seconds


def _positive(seconds: float) -> float:
    if seconds == 0:
        raise problem("bad_duration", "a limit of no time at all", hint="leave the key out for no limit")
    return seconds


def scalar_text(value: Any) -> str:
    """Return a scalar as it was written (`3.10` stays `3.10`), null as empty text; raises PydanticCustomError."""
    if isinstance(value, list | dict):
        raise problem("wrong_type", f"expected text, got {'a list' if isinstance(value, list) else 'a mapping'}")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _scalar(value: Any) -> Any:
    scalar_text(value)
    return value


def _name(pattern: re.Pattern[str], what: str, hint: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise problem("bad_name", f"{shown(value)} is not a name of {what}", hint=hint)
        return value

    return check


def _variable(value: str) -> str:
    _name(VARIABLE_NAME, "a variable", "letters, digits and _, beginning with a letter")(value)
    if value.startswith("FLOW_"):
        raise problem("reserved_name", f"{shown(value)} is set by the server", hint="names with FLOW_ are reserved")
    return value


def check_pipeline_name(value: str) -> str:
    """Return the name of a pipeline; raises PydanticCustomError."""
    if not value.strip() or value != value.strip() or not value.isprintable() or "/" in value or len(value) > 100:
        hint = "up to 100 printable characters without `/`, no space at the ends"
        raise problem("bad_name", f"{shown(value)} is not a name of a pipeline", hint=hint)
    return value


def _glob(value: str) -> str:
    if value.startswith("!"):
        hint = "use the key that ends in _ignore" if len(value) > 1 else ""
        raise problem("bad_pattern", f"{shown(value)}: patterns cannot be negated", hint=hint)
    if not value or value.startswith("/") or "\\" in value or ".." in value.split("/") or not value.isprintable():
        hint = 'relative, with `/` and without `..`, like "src/**"'
        raise problem("bad_pattern", f"{shown(value)} is not a pattern", hint=hint)
    return value


def file_path(value: str) -> str:
    """Return the normal form of a path inside the repository; raises PydanticCustomError."""
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if not parts or value.startswith("/") or "\\" in value or ".." in parts or not value.isprintable():
        hint = "relative to the root of the repository, without `..`"
        raise problem("bad_path", f"{shown(value)} is not a path of the repository", hint=hint)
    return "/".join(parts)


def _cron(value: str) -> str:
    if wrong := cron_problem(value):
        hint = 'minute hour day month weekday, like "0 3 * * *"'
        raise problem("bad_cron", f"{shown(value)}: {wrong}", hint=hint)
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown, malformed, or a folder of the database
        raise problem("bad_timezone", f"unknown time zone {shown(value)}", hint="like Europe/Riga or UTC") from None
    return value


def _pattern(pattern: re.Pattern[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern.pattern}$"})


Text = Annotated[str, Field(max_length=4096)]
ScalarText = Annotated[
    Annotated[str, Field(max_length=MAX_TEXT)],
    BeforeValidator(scalar_text, json_schema_input_type=str | float | bool | None),
]
Scalar = Annotated[Any, BeforeValidator(_scalar, json_schema_input_type=str | float | bool | None)]
Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=str | float)]
Limit = Annotated[Duration, AfterValidator(_positive)]
Glob = Annotated[str, Field(max_length=512), AfterValidator(_glob)]
FilePath = Annotated[str, Field(max_length=1024), AfterValidator(file_path)]
Cron = Annotated[str, Field(max_length=100), AfterValidator(_cron)]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_timezone)]
PipelineName = Annotated[str, AfterValidator(check_pipeline_name)]
_STEP_HINT = "up to 48 letters, digits, `-` and `_`"
StepName = Annotated[str, AfterValidator(_name(STEP_NAME, "a step", _STEP_HINT)), _pattern(STEP_NAME)]
VariableName = Annotated[str, AfterValidator(_variable), _pattern(VARIABLE_NAME)]
InputName = Annotated[
    str,
    AfterValidator(_name(VARIABLE_NAME, "an input", "letters, digits and _, beginning with a letter")),
    _pattern(VARIABLE_NAME),
]
HookName = Annotated[
    str, AfterValidator(_name(_HOOK_NAME, "a webhook", "letters, digits, `.`, `-` and `_`")), _pattern(_HOOK_NAME)
]
ChannelName = Annotated[
    str,
    AfterValidator(_name(CHANNEL_NAME, "a channel", "letters, digits, `.`, `-` and `_`; not an address")),
    _pattern(CHANNEL_NAME),
]
Person = Annotated[str, AfterValidator(_name(_PERSON, "a role or a user", "like maintainers")), _pattern(_PERSON)]
ServiceName = Annotated[
    str, AfterValidator(_name(_SERVICE, "a compose service", "letters, digits, `.`, `-` and `_`")), _pattern(_SERVICE)
]
