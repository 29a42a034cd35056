"""Kinds of queued attempts, by an index."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

QUEUED = """SELECT a.run_id, a.step, a.attempt, r.project, r.priority, r.network, r.owner, r.served, a.needs, a.warm
FROM attempts a JOIN runs r ON r.id = a.run_id WHERE a.state = 'queued'"""
KEEP = "UPDATE attempts SET kind = :kind WHERE run_id = :run_id AND step = :step AND attempt = :attempt"


def upgrade() -> None:
    """Add the column, fill it for what waits, and let the index of the queue begin with it."""
    op.add_column("attempts", sa.Column("kind", sa.String(length=16), server_default="", nullable=False))
    connection = op.get_bind()
    for run_id, step, attempt, *about in connection.execute(sa.text(QUEUED)).all():
        kind = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
        connection.execute(sa.text(KEEP), {"kind": kind, "run_id": run_id, "step": step, "attempt": attempt})
    op.drop_index("ix_attempts_state_queued_at", table_name="attempts")
    op.create_index("ix_attempts_state_kind", "attempts", ["state", "kind", "queued_at", "step"], unique=False)


def downgrade() -> None:
    """Take both away."""
    op.drop_index("ix_attempts_state_kind", table_name="attempts")
    op.create_index("ix_attempts_state_queued_at", "attempts", ["state", "queued_at"], unique=False)
    op.drop_column("attempts", "kind")
