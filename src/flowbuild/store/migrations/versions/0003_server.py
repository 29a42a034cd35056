"""The tables of a server, and what lists of runs are filtered by."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables; those that others refer to come first."""
    _runs()
    _projects()
    _people()
    _access()
    _triggers()
    _timely()
    _runners()
    _leases()


def _runs() -> None:
    """Add columns, filled from now on only: what older runs hold in their snapshots is not worth a migration."""
    op.add_column("runs", sa.Column("served", sa.Integer(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("event", sa.String(length=32), server_default="manual", nullable=False))
    op.add_column("runs", sa.Column("branch", sa.String(length=512), server_default="", nullable=False))
    op.add_column("runs", sa.Column("commit", sa.String(length=64), server_default="", nullable=False))
    op.add_column("runs", sa.Column("actor", sa.String(length=128), server_default="", nullable=False))
    op.add_column("runs", sa.Column("trust", sa.String(length=16), server_default="trusted", nullable=False))
    op.add_column("runs", sa.Column("cause", sa.Text(), server_default="{}", nullable=False))
    op.create_index("ix_runs_project_id", "runs", ["project", "id"])
    op.create_index("ix_runs_project_pipeline_id", "runs", ["project", "pipeline", "id"])
    op.create_index("ix_runs_project_branch_id", "runs", ["project", "branch", "id"])
    op.create_index("ix_runs_branch_id", "runs", ["branch", "id"])
    op.create_index("ix_runs_state_id", "runs", ["state", "id"])
    op.create_index("ix_runs_actor_id", "runs", ["actor", "id"])
    op.create_index("ix_runs_commit", "runs", ["commit"])


def _projects() -> None:
    """Create projects, what polling saw of them, and what may run at once."""
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("sealed_credential", sa.Text(), server_default="", nullable=False),
        sa.Column("default_branch", sa.String(length=512), server_default="", nullable=False),
        sa.Column("visibility", sa.String(length=16), server_default="private", nullable=False),
        sa.Column("settings", sa.Text(), server_default="{}", nullable=False),
        sa.Column("fetched_at", sa.Float(), nullable=True),
        sa.Column("fetch_error", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("archived_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "source_heads",
        sa.Column("project_id", sa.String(length=26), nullable=False),
        sa.Column("ref", sa.String(length=600), nullable=False),
        sa.Column("commit", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("found", sa.String(length=26), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_source_heads_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "ref", name=op.f("pk_source_heads")),
    )
    op.create_table(
        "concurrency",
        sa.Column("project", sa.String(length=512), nullable=False),
        sa.Column("group_name", sa.String(length=256), nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("room", sa.Integer(), nullable=False),
        sa.Column("cancels", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_concurrency_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project", "group_name", "run_id", name=op.f("pk_concurrency")),
    )
    op.create_index("ix_concurrency_run_id", "concurrency", ["run_id"])


def _people() -> None:
    """Create people, what they are called elsewhere, and their rights."""
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("email", sa.String(length=256), server_default="", nullable=False),
        sa.Column("display_name", sa.String(length=256), server_default="", nullable=False),
        sa.Column("password_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("disabled_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "identities",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_identities_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("provider", "subject", name=op.f("pk_identities")),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])
    op.create_table(
        "members",
        sa.Column("project_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_members_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_members_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_members")),
    )
    op.create_index("ix_members_user_id", "members", ["user_id"])
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("csrf_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("address", sa.String(length=64), server_default="", nullable=False),
        sa.Column("agent", sa.String(length=256), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])


def _access() -> None:
    """Create tokens, secrets and the journal of what was done."""
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("project_id", sa.String(length=26), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("used_at", sa.Float(), nullable=True),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_tokens_project_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("object", sa.String(length=256), nullable=False),
        sa.Column("detail", sa.Text(), server_default="{}", nullable=False),
        sa.Column("address", sa.String(length=64), server_default="", nullable=False),
        sa.Column("via", sa.String(length=64), server_default="", nullable=False),
        sa.Column("project", sa.String(length=128), server_default="", nullable=False),
        sa.Column("project_id", sa.String(length=26), server_default="", nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
        sa.UniqueConstraint("previous_hash", name=op.f("uq_audit_previous_hash")),
    )
    op.create_index("ix_audit_project_id_seq", "audit", ["project_id", "seq"])
    op.create_table(
        "secrets",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("project_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("environment", sa.String(length=128), server_default="", nullable=False),
        sa.Column("branches", sa.String(length=512), server_default="", nullable=False),
        sa.Column("steps", sa.Text(), server_default="[]", nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(length=128), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_secrets_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secrets")),
        sa.UniqueConstraint("project_id", "name", "environment", "branches", name=op.f("uq_secrets_project_id")),
    )


def _triggers() -> None:
    """Create webhooks and their deliveries."""
    op.create_table(
        "hooks",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("project_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("api_url", sa.Text(), server_default="", nullable=False),
        sa.Column("repository", sa.Text(), server_default="", nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("sealed_token", sa.Text(), server_default="", nullable=False),
        sa.Column("mapping", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_hooks_project_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hooks")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_hooks_project_id")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("hook_id", sa.String(length=26), nullable=False),
        sa.Column("delivery", sa.String(length=128), nullable=False),
        sa.Column("event", sa.String(length=64), server_default="", nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("result", sa.Text(), server_default="{}", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.Column("approved_by", sa.String(length=128), server_default="", nullable=False),
        sa.Column("approved_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["hook_id"], ["hooks.id"], name=op.f("fk_deliveries_hook_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("hook_id", "delivery", name=op.f("uq_deliveries_hook_id")),
    )
    op.create_index("ix_deliveries_hook_id_state_received_at", "deliveries", ["hook_id", "state", "received_at"])


def _timely() -> None:
    """Create schedules, and what is to be told to others."""
    op.create_table(
        "schedules",
        sa.Column("project_id", sa.String(length=26), nullable=False),
        sa.Column("pipeline", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("cron", sa.String(length=128), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("branch", sa.String(length=512), nullable=False),
        sa.Column("misfire", sa.String(length=16), nullable=False),
        sa.Column("paused_at", sa.Float(), nullable=True),
        sa.Column("next_at", sa.Float(), nullable=True),
        sa.Column("last_at", sa.Float(), nullable=True),
        sa.Column("last_run", sa.String(length=26), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_schedules_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "pipeline", "position", name=op.f("pk_schedules")),
    )
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"])
    op.create_table(
        "notices",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=True),
        sa.Column("claimed_until", sa.Float(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_notices_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_index("ix_notices_next_at", "notices", ["next_at"])
    op.create_index("ix_notices_run_id", "notices", ["run_id"])
    op.create_table(
        "starts",
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_starts")),
    )


def _runners() -> None:
    """Create runners and the codes they register with."""
    op.create_table(
        "runners",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("labels", sa.Text(), server_default="{}", nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("life", sa.String(length=16), server_default="", nullable=False),
        sa.Column("facts", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runners")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_runners_key_hash")),
        sa.UniqueConstraint("name", name=op.f("uq_runners_name")),
    )
    op.create_table(
        "runner_codes",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_runner_codes")),
    )


def _leases() -> None:
    """Create what runners must clear away; until now each attempt was the one embedded runner's, whose name had a dash."""
    op.add_column("attempts", sa.Column("lease_seconds", sa.Float(), server_default="60", nullable=False))
    op.execute("UPDATE attempts SET runner = 'local/' || substr(runner, 7) WHERE runner LIKE 'local-%'")
    op.create_table(
        "leftovers",
        sa.Column("runner", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("ended", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_leftovers_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("runner", "run_id", name=op.f("pk_leftovers")),
    )
    op.create_index("ix_leftovers_run_id", "leftovers", ["run_id"])
    op.execute(
        "INSERT INTO leftovers (runner, run_id) SELECT DISTINCT 'local', attempts.run_id FROM attempts"
        " JOIN runs ON runs.id = attempts.run_id WHERE runs.state IN ('running', 'cancelling')"
    )


def downgrade() -> None:
    """Drop them with all they hold."""
    for table in (
        "leftovers",
        "source_heads",
        "concurrency",
        "starts",
        "identities",
        "members",
        "sessions",
        "tokens",
        "audit",
        "secrets",
        "deliveries",
        "hooks",
        "schedules",
        "notices",
        "runners",
        "runner_codes",
        "users",
        "projects",
    ):
        op.drop_table(table)
    for index in (
        "project_id",
        "project_pipeline_id",
        "project_branch_id",
        "branch_id",
        "state_id",
        "actor_id",
        "commit",
    ):
        op.drop_index(f"ix_runs_{index}", table_name="runs")
    with op.batch_alter_table("attempts") as attempts:
        attempts.drop_column("lease_seconds")
    with op.batch_alter_table("runs") as runs:
        for column in ("event", "branch", "commit", "actor", "trust", "cause"):
            runs.drop_column(column)
