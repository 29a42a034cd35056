"""The tables of runs. Times are seconds since the epoch (UTC); JSON columns hold text written by `store.codec`.

Those of the server, in which nothing happens when a pipeline is run without one, are in `store.server_tables`.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _run_key(*, primary_key: bool = False) -> Column[str]:
    key = ForeignKey("runs.id", ondelete="CASCADE")
    return Column("run_id", String(26), key, nullable=False, primary_key=primary_key)


meta = Table("meta", metadata, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False))

runs = Table(
    "runs",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("number", Integer, nullable=False),  # counts within the project
    Column("project", String(512), nullable=False),
    Column("pipeline", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("owner", String(64), nullable=False),  # the process that drives the run
    Column("served", Integer, nullable=False, server_default="0"),  # whether any server may go on with it
    Column("directory", Text, nullable=False),  # of the source work tree
    Column("dirty", Integer, nullable=False),
    Column("repository", Text, nullable=False),  # the run repository
    Column("definition", Text, nullable=False),  # core.model.Pipeline; never changes
    Column("snapshot", Text, nullable=False),  # core.run.Run without its pipeline
    Column("last_seq", Integer, nullable=False),  # of the newest event
    Column("rerun_of", String(26)),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    # Copies of what the snapshot says, and what began the run: lists are filtered by these.
    Column("event", String(32), nullable=False, server_default="manual"),
    Column("branch", String(512), nullable=False, server_default=""),
    Column("commit", String(64), nullable=False, server_default=""),
    Column("actor", String(128), nullable=False, server_default=""),
    Column("trust", String(16), nullable=False, server_default="trusted"),  # trusted, internal, untrusted
    Column("cause", Text, nullable=False, server_default="{}"),  # delivery, pull request, links, title
    Column("priority", Integer, nullable=False, server_default="0"),  # within the project
    Column("network", String(128), nullable=False, server_default=""),  # where it is: see core.placement
    UniqueConstraint("project", "number"),
    Index("ix_runs_owner_state", "owner", "state"),
    Index("ix_runs_project_pipeline_id", "project", "pipeline", "id"),
    Index("ix_runs_project_id", "project", "id"),
    Index("ix_runs_project_branch_id", "project", "branch", "id"),
    Index("ix_runs_branch_id", "branch", "id"),
    Index("ix_runs_state_id", "state", "id"),
    Index("ix_runs_actor_id", "actor", "id"),
    Index("ix_runs_commit", "commit"),
)

events = Table(
    "events",
    metadata,
    _run_key(primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("body", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _run_key(),
    Column("command", Text, nullable=False),
    Index("ix_outbox_run_id", "run_id"),
)

attempts = Table(
    "attempts",
    metadata,
    _run_key(primary_key=True),
    Column("step", String(64), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # queued, leased, launched, done
    Column("input_commit", String(64), nullable=False),
    Column("runner", String(64), nullable=False, default=""),  # NAME/LIFE
    Column("request_key", String(64), nullable=False, default=""),
    Column("lease_until", Float),
    Column("lease_seconds", Float, nullable=False, server_default="60"),  # by which it is prolonged
    Column("stop", String(8), nullable=False, default=""),  # "", graceful, force
    Column("queued_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("outcome", String(16)),
    Column("reason", String(32)),
    Column("message", Text, nullable=False, default=""),
    Column("exit_code", Integer),
    Column("commit", String(64)),
    Column("needs", Text, nullable=False, server_default=""),  # core.placement.Needs
    Column("warm", String(128), nullable=False, server_default=""),  # name of the runner that has the workspace
    Column("kind", String(16), nullable=False, server_default=""),  # while it is queued: see store.kinds
    Column("details", Text, nullable=False, default="{}"),  # phases, changes, images, key and origin in the step cache
    Index("ix_attempts_state_kind", "state", "kind", "queued_at", "step"),
)

timers = Table(
    "timers",
    metadata,
    _run_key(primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("at", Float, nullable=False),
    Index("ix_timers_at", "at"),
)

locks = Table(
    "locks",
    metadata,
    Column("name", String(256), primary_key=True),
    _run_key(primary_key=True),
    Column("step", String(64), primary_key=True),
    Column("position", Integer, nullable=False),  # 0 holds it, the others wait in this order
)

deployments = Table(  # steps that got an environment for themselves
    "deployments",
    metadata,
    _run_key(primary_key=True),
    Column("step", String(64), primary_key=True),
    Column("environment", String(256), nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_deployments_environment_at", "environment", "at"),
)

step_cache = Table(
    "step_cache",
    metadata,
    Column("project", String(512), primary_key=True),
    Column("trust", String(16), primary_key=True),  # trusted
    Column("key", String(64), primary_key=True),  # core.cache.cache_key
    _run_key(),
    Column("step", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),  # whose result stands for the key
    Index("ix_step_cache_run_id", "run_id"),
)
