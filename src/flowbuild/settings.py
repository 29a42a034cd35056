"""Every option of the product: its default and its environment variable (`FLOW_` and the name in capitals)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from flowbuild.core.errors import InvalidRequest

NETWORK_PREFIX = 26  # bits of the subnet of a run on one machine
OVERLAY_PREFIX = 25  # and of one across machines, each of which takes an address, too
SECRET_LENGTH = 32  # characters, at least, of a secret that many machines know and that does not end


def _default_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME", "")
    if not base.startswith("/"):  # as the XDG specification wants it
        base = str(_user_home() / ".local" / "share")
    return Path(base) / "flow-build"


def _user_home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise InvalidRequest(
            "this user has no home directory, and HOME is not set", hint="say in FLOW_HOME where to keep runs"
        ) from error


def _pool(prefix: int) -> Callable[[str], str]:
    """Return what checks a pool of which each run takes a subnet of `prefix` bits; it raises ValueError."""

    def check(text: str) -> str:
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as error:
            raise ValueError(f"not a range of IPv4 addresses like 10.201.0.0/16: {error}") from error
        if network.prefixlen > prefix:
            raise ValueError(f"too small: each run takes a /{prefix} of it")
        return text

    return check


def _list(text: object) -> object:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _proxies(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return addresses and networks as they are; raises ValueError for anything else, as for names, which anybody may claim."""
    for address in addresses:
        try:
            ipaddress.ip_network(address)
        except ValueError as error:
            raise ValueError(f"not addresses or networks like 10.0.0.7, 192.0.2.0/24: {error}") from error
    return addresses


def _database(text: str) -> str:
    """Return the URL of a database; raises ValueError for anything but PostgreSQL, without showing its password."""
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("not a URL like postgresql://USER:PASSWORD@HOST:5432/NAME")
    return text


def _mail_server(text: str) -> str:
    """Return the URL of a mail server; raises ValueError for anything else, without showing its password."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0
        good = good and not (parts.path.strip("/") or parts.query or parts.fragment)
    except ValueError:
        good = False
    if text and not good:
        raise ValueError("not a URL like smtp://USER:PASSWORD@HOST:587 or smtps://HOST; %40 stands for an @ in it")
    return text


def _long(token: SecretStr) -> SecretStr:
    """Return a secret that opens a door for ever; raises ValueError when it could be guessed."""
    if token and len(token.get_secret_value()) < SECRET_LENGTH:
        raise ValueError(f"shorter than {SECRET_LENGTH} characters: openssl rand -hex 32 makes a good one")
    return token


class Settings(BaseSettings):
    """Options, read from the environment once at start; an empty variable is as none."""

    model_config = SettingsConfigDict(env_prefix="FLOW_", extra="ignore", env_ignore_empty=True)

    home: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        default_factory=_default_home, description="where runs, logs, workspaces and the database are kept"
    )
    database: Annotated[str, AfterValidator(_database)] = Field(
        default="",
        repr=False,  # it holds a password
        description="URL of a PostgreSQL database, like postgresql://USER:PASSWORD@HOST/NAME; empty: flow.db in the home directory",
    )
    capacity: int = Field(
        default_factory=lambda: max(4, 2 * (os.cpu_count() or 1)),
        ge=1,
        le=256,
        description="attempts whose containers run at once; background steps that are up do not count",
    )
    network_pool: Annotated[str, AfterValidator(_pool(NETWORK_PREFIX))] = Field(
        default="10.201.0.0/16",
        description=f"addresses for the networks of runs; each run gets a /{NETWORK_PREFIX} of it",
    )
    cluster: Literal["", "swarm"] = Field(
        default="",
        description="swarm: the engine of DOCKER_HOST is a manager of a Swarm; runs whose services are reached by steps on other machines get networks across it, and its nodes are known; empty: none",
    )
    overlay_pool: Annotated[str, AfterValidator(_pool(OVERLAY_PREFIX))] = Field(
        default="10.224.0.0/12",
        description=f"addresses for networks of runs across machines; each such run gets a /{OVERLAY_PREFIX} of it",
    )
    docker_host: str = Field(
        default="unix:///var/run/docker.sock",
        validation_alias="DOCKER_HOST",
        description="address of the Docker Engine (the one variable without FLOW_: every Docker tool reads it)",
    )
    host: str = Field(
        default="127.0.0.1", description="address that a server listens on; 0.0.0.0 for all of the machine"
    )
    port: int = Field(default=8080, ge=1, le=65535, description="port that a server listens on")
    runner: bool = Field(
        default=True, description="whether a server executes attempts itself; false: only runners on other machines do"
    )
    leave_seconds: float = Field(
        default=0,
        ge=0,
        description="seconds that a runner has for what it works on when its machine is drained by the cluster and its program is told to end; 0: as long as it takes",
    )
    runner_key_days: int = Field(
        default=0,
        ge=0,
        le=3650,
        description="days after which the key of a runner opens nothing any more; runners get new ones after half of them; 0: keys do not end",
    )
    join_token: Annotated[SecretStr, AfterValidator(_long)] = Field(
        default=SecretStr(""),
        description=f"secret of at least {SECRET_LENGTH} characters with which runners register by themselves, as those of a cluster do; the same at the server and at them; empty: they need codes",
    )
    public_url: str = Field(
        default="", description="address of the server as its users write it, when something stands in front of it"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list), AfterValidator(_proxies)] = Field(
        default=(),
        description="addresses and networks of what stands in front of the server, separated by commas; who asks is then who they say it is",
    )
    allow_http: bool = Field(default=False, description="whether projects may come from http:// addresses, too")
    allow_local: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list)] = Field(
        default=(), description="directories below which the repositories of projects may lie, separated by commas"
    )
    allow_internal: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list)] = Field(
        default=(),
        description="hosts and networks that are not public and may be asked for projects, separated by commas; * for all",
    )
    git_clients: int = Field(
        default=16, ge=1, le=1024, description="git clients that are served at once; others wait for half a minute"
    )
    git_seconds: float = Field(default=3600, ge=1, description="seconds that one request of a git client may take")
    git_slow: float = Field(
        default=60,
        ge=1,
        description="seconds after which a client, of git or any other, that takes nothing of its answer is given up",
    )
    git_push_bytes: int = Field(default=4 << 30, ge=1 << 20, description="bytes that a runner may push for one step")
    store_bytes: int = Field(
        default=20 << 30,
        ge=0,
        description="bytes that `flow runner` keeps of runs, sources and large files; what was used longest ago goes first; 0: no limit",
    )
    key_file: Path | None = Field(
        default=None, description="the keys that seal secrets (default: vault.keys in the home directory)"
    )
    oidc_issuer: str = Field(
        default="", description="OpenID Connect provider by which people may log in: its https address"
    )
    oidc_client_id: str = Field(default="", description="what the server is called there")
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""),
        description="what proves that; register PUBLIC_URL/api/v1/login/oidc/back there as the address to come back to",
    )
    oidc_title: str = Field(default="OpenID Connect", description="what people call the provider")
    oidc_create: bool = Field(
        default=False,
        description="whether who comes for the first time gets an account; else an admin adds them with their e-mail address",
    )
    server: str = Field(
        default="", description="address of the server that `flow bot` speaks for, like https://flow.example.org"
    )
    bot_network: Literal["", "matrix", "slack", "telegram"] = Field(
        default="", description="chat network that `flow bot` speaks on"
    )
    bot_token: SecretStr = Field(
        default=SecretStr(""), description="what lets `flow bot` in at the server; `flow bots add` prints it"
    )
    matrix_homeserver: str = Field(
        default="", description="address of the homeserver of the bot, like https://matrix.example.org"
    )
    matrix_token: SecretStr = Field(default=SecretStr(""), description="access token of the bot's account on it")
    matrix_user: str = Field(default="", description="name of that account, when there is no access token")
    matrix_password: SecretStr = Field(default=SecretStr(""), description="and its password")
    matrix_invites: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list)] = Field(
        default=(),
        description="whose invitations to rooms the bot follows, separated by commas: people (@ann:example.org), all of a server (example.org), rooms (!id:example.org), or * for everybody; empty: nobody's",
    )
    slack_token: SecretStr = Field(default=SecretStr(""), description="token of the bot in Slack, xoxb-…")
    slack_app_token: SecretStr = Field(default=SecretStr(""), description="token of its app for Socket Mode, xapp-…")
    slack_api: str = Field(
        default="https://slack.com/api/", description="address of the Web API of Slack; another one for GovSlack"
    )
    telegram_token: SecretStr = Field(default=SecretStr(""), description="token of the bot that @BotFather gave")
    telegram_api: str = Field(
        default="https://api.telegram.org", description="address of the Bot API; another one for a server of one's own"
    )
    smtp_url: Annotated[str, AfterValidator(_mail_server)] = Field(
        default="",
        repr=False,  # it may hold a password
        description="mail server that takes the server's e-mail, like smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://HOST; empty: no mail is sent",
    )
    smtp_password: SecretStr = Field(
        default=SecretStr(""), description="password of the user in FLOW_SMTP_URL, when it is not written there"
    )
    mail_from: str = Field(default="", description="whom e-mail comes from, like Flow <flow@example.org>")
    secrets: Path | None = Field(
        default=None,
        description="directory with files that are named as options and hold their values, like /run/secrets of containers; variables come first",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="level of the program's own log, flow.log in the home directory"
    )


def read_settings() -> Settings:
    """Read the options from the environment; raises InvalidRequest naming all that are wrong."""
    directory = os.environ.get("FLOW_SECRETS") or None
    if directory is not None and not Path(directory).is_dir():
        raise InvalidRequest(f"FLOW_SECRETS: there is no directory {directory}")
    try:
        return Settings(_secrets_dir=directory)
    except ValidationError as error:
        problems = [f"FLOW_{str(problem['loc'][0]).upper()}: {_words(problem['msg'])}" for problem in error.errors()]
        raise InvalidRequest("\n".join(problems), hint="docs/server.md lists the options") from error


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")
