"""The tables of a server: projects, people, secrets, triggers, runners. Conventions as in `store.tables`.

Ids are ULIDs. What is `sealed` was encrypted by `vault`; tokens, codes and keys are kept as SHA-256 only.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from flowbuild.store.tables import metadata

ID = String(26)


def _id() -> Column[str]:
    return Column("id", ID, primary_key=True)


def _project(*, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    key = ForeignKey("projects.id", ondelete="CASCADE")
    return Column("project_id", ID, key, primary_key=primary_key, nullable=nullable)


def _user(*, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    key = ForeignKey("users.id", ondelete="CASCADE")
    return Column("user_id", ID, key, primary_key=primary_key, nullable=nullable)


projects = Table(
    "projects",
    metadata,
    _id(),
    Column("name", String(128), nullable=False, unique=True),  # what `runs.project` says; never changes
    Column("url", Text, nullable=False),
    Column(
        "sealed_credential", Text, nullable=False, server_default=""
    ),  # of the remote: password, token or private key
    Column("default_branch", String(512), nullable=False, server_default=""),  # empty: what the remote says
    Column("visibility", String(16), nullable=False, server_default="private"),  # private, public
    Column("settings", Text, nullable=False, server_default="{}"),
    Column("fetched_at", Float),
    Column("fetch_error", Text, nullable=False, server_default=""),
    Column("created_at", Float, nullable=False),
    Column("archived_at", Float),
)

users = Table(
    "users",
    metadata,
    _id(),
    Column("name", String(128), nullable=False, unique=True),
    Column("email", String(256), nullable=False, server_default=""),
    Column("display_name", String(256), nullable=False, server_default=""),
    Column("password_hash", Text, nullable=False, server_default=""),  # empty: no login with a password
    Column("role", String(16), nullable=False),  # on the whole server: admin, user
    Column("created_at", Float, nullable=False),
    Column("disabled_at", Float),
)

identities = Table(
    "identities",
    metadata,
    Column("provider", String(64), primary_key=True),  # an OIDC provider, a chat network
    Column("subject", String(256), primary_key=True),
    _user(),
    Column("created_at", Float, nullable=False),
    Index("ix_identities_user_id", "user_id"),
)

members = Table(
    "members",
    metadata,
    _project(primary_key=True),
    _user(primary_key=True),
    Column("role", String(16), nullable=False),  # viewer, developer, approver, maintainer
    Index("ix_members_user_id", "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    _user(),
    Column("csrf_hash", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("used_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("address", String(64), nullable=False, server_default=""),
    Column("agent", String(256), nullable=False, server_default=""),
    Index("ix_sessions_user_id", "user_id"),
)

tokens = Table(
    "tokens",
    metadata,
    _id(),
    Column("hash", String(64), nullable=False, unique=True),
    Column("hint", String(16), nullable=False),  # its last characters, so that people know it again
    Column("name", String(128), nullable=False),
    _user(),
    _project(nullable=True),  # set: it opens nothing else
    Column("scopes", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("used_at", Float),
    Column("revoked_at", Float),
    Index("ix_tokens_user_id", "user_id"),
)

audit = Table(  # rows are never changed: each holds the hash of the one before
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("object", String(256), nullable=False),
    Column("detail", Text, nullable=False, server_default="{}"),
    Column("address", String(64), nullable=False, server_default=""),
    Column("via", String(300), nullable=False, server_default=""),  # the token or login, or who spoke through a bot
    Column("project", String(128), nullable=False, server_default=""),  # its name, for people
    Column("project_id", ID, nullable=False, server_default=""),  # whose maintainers may read it; outlives the project
    Column("previous_hash", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_project_id_seq", "project_id", "seq"),
)

secrets = Table(
    "secrets",
    metadata,
    _id(),
    _project(),
    Column("name", String(64), nullable=False),
    Column("environment", String(128), nullable=False, server_default=""),  # empty: all steps, else those of one
    Column("branches", String(512), nullable=False, server_default=""),  # a glob; empty: all
    Column("steps", Text, nullable=False, server_default="[]"),  # names; none: all
    Column("sealed", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_by", String(128), nullable=False, server_default=""),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("used_at", Float),
    UniqueConstraint("project_id", "name", "environment", "branches"),
)

hooks = Table(
    "hooks",
    metadata,
    _id(),
    _project(),
    Column("kind", String(16), nullable=False),  # github, gitlab, gitea, bitbucket, generic
    Column("name", String(64), nullable=False),
    Column("api_url", Text, nullable=False, server_default=""),  # of the forge, for statuses
    Column("repository", Text, nullable=False, server_default=""),  # what the forge calls it
    Column("sealed_secret", Text, nullable=False),  # what deliveries are signed with
    Column("sealed_token", Text, nullable=False, server_default=""),  # for calls to the forge
    Column("mapping", Text, nullable=False, server_default="{}"),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("project_id", "name"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("hook_id", ID, ForeignKey("hooks.id", ondelete="CASCADE"), nullable=False),
    Column("delivery", String(128), nullable=False),  # the forge's id of it, or the SHA-256 of what was signed
    Column("event", String(64), nullable=False, server_default=""),
    Column("received_at", Float, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),  # received, waiting (for approval), done, ignored, failed
    Column("result", Text, nullable=False, server_default="{}"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Float, nullable=False),  # when received: not to be looked at before
    Column("approved_by", String(128), nullable=False, server_default=""),
    Column("approved_at", Float),
    UniqueConstraint("hook_id", "delivery"),
    Index("ix_deliveries_hook_id_state_received_at", "hook_id", "state", "received_at"),
)

schedules = Table(
    "schedules",
    metadata,
    _project(primary_key=True),
    Column("pipeline", String(128), primary_key=True),
    Column("position", Integer, primary_key=True),  # in the file, from 0
    Column("cron", String(128), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("branch", String(512), nullable=False),
    Column("misfire", String(16), nullable=False),
    Column("paused_at", Float),
    Column("next_at", Float),
    Column("last_at", Float),
    Column("last_run", ID),
    Column("error", Text, nullable=False, server_default=""),  # why the last time began no run
    Index("ix_schedules_next_at", "next_at"),
)

runners = Table(
    "runners",
    metadata,
    _id(),
    Column("name", String(128), nullable=False, unique=True),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("labels", Text, nullable=False, server_default="{}"),
    Column("capacity", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # active, draining, revoked
    Column("life", String(16), nullable=False, server_default=""),  # of its program, the one that began last
    Column("facts", Text, nullable=False, server_default="{}"),  # version, engine, what it offers, as it says itself
    Column("load", Text, nullable=False, server_default="{}"),  # what it said of itself when it was last heard of
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float),
    Column("key_made_at", Float),  # none: with the runner
    Column("key_wanted_at", Float),  # when somebody asked for a new one
    Column("next_key_hash", String(64)),  # takes the place of the key when it is used
    Column("next_key_at", Float),
    Index("ix_runners_next_key_hash", "next_key_hash", unique=True),
)

server_places = Table(  # of servers that share the database, by life
    "server_places",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("capacity", Integer, nullable=False),
    Column("since", Float, nullable=False),
)

runner_codes = Table(
    "runner_codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("created_by", String(128), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)

leftovers = Table(  # what a runner may have of a run, from its first attempt there until all of it is cleared away
    "leftovers",
    metadata,
    Column("runner", String(64), primary_key=True),  # its name
    Column("run_id", ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("ended", Integer, nullable=False, server_default="0"),  # the run is over: clear it away
    Index("ix_leftovers_run_id", "run_id"),
)

networks = Table(  # of runs whose steps reach each other across machines; until it is removed from the cluster
    "networks",
    metadata,
    Column("run_id", ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("subnet", String(18), nullable=False),
    UniqueConstraint("subnet"),
)

concurrency = Table(  # runs that have begun or wait, by group
    "concurrency",
    metadata,
    Column("project", String(512), primary_key=True),
    Column("group_name", String(256), primary_key=True),
    Column("run_id", ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("room", Integer, nullable=False),  # how many may go at once, as this run has it
    Column("cancels", Integer, nullable=False),  # 1: older ones make room
    Column("begun_at", Float),
    Index("ix_concurrency_run_id", "run_id"),
)

starts = Table(  # what began a run by itself: the same key never begins two
    "starts",
    metadata,
    Column("key", String(256), primary_key=True),
    Column("run_id", ID, nullable=False),  # of a run that may be gone by now
    Column("at", Float, nullable=False),
)

notices = Table(  # what is to be told to others, at least once: statuses to forges, later messages
    "notices",
    metadata,
    _id(),
    Column("kind", String(32), nullable=False),
    Column("run_id", ID, ForeignKey("runs.id", ondelete="CASCADE")),  # none: about a commit of which nothing runs
    Column("payload", Text, nullable=False),
    Column("next_at", Float),  # none: nothing to tell until the run changes
    Column("claimed_until", Float),  # somebody is at it
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", Text, nullable=False, server_default=""),
    Index("ix_notices_next_at", "next_at"),
    Index("ix_notices_run_id", "run_id"),
)

source_heads = Table(  # what was seen or told last of a branch, tag or pull request
    "source_heads",
    metadata,
    _project(primary_key=True),
    Column("ref", String(600), primary_key=True),
    Column("commit", String(64), nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("found", String(26), nullable=False, server_default=""),  # the delivery made of it when none had come
)
