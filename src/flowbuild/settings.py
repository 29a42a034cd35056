"""Every option of the product: its default and its environment variable (`FLOW_` and the name in capitals)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowbuild.core.errors import InvalidRequest


def _default_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "flow-build"


class Settings(BaseSettings):
    """Options, read from the environment once at start; an empty variable is as none."""

    model_config = SettingsConfigDict(env_prefix="FLOW_", extra="ignore", env_ignore_empty=True)

    home: Path = Field(
        default_factory=_default_home, description="where runs, logs, workspaces and the database are kept"
    )
    capacity: int = Field(
        default_factory=lambda: max(4, 2 * (os.cpu_count() or 1)), ge=1, le=256, description="attempts that run at once"
    )
    network_pool: str = Field(
        default="10.201.0.0/16", description="addresses for the networks of runs; each run gets a /26 of it"
    )
    docker_host: str = Field(
        default="unix:///var/run/docker.sock",
        validation_alias="DOCKER_HOST",
        description="address of the Docker Engine (the one variable without FLOW_: every Docker tool reads it)",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="level of the program's own log, flow.log in the home directory"
    )


def read_settings() -> Settings:
    """Read the options from the environment; raises InvalidRequest naming all that are wrong."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [f"FLOW_{str(problem['loc'][0]).upper()}: {problem['msg']}" for problem in error.errors()]
        raise InvalidRequest("\n".join(problems), hint="docs/architecture.md lists the options") from error
