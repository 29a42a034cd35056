"""Which steps have acted on which environments."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create a table; steps that have ended are not in it: nobody asks for what a pipeline of then named."""
    op.create_table(
        "deployments",
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("environment", sa.String(length=256), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_deployments_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "step", name=op.f("pk_deployments")),
    )
    op.create_index("ix_deployments_environment_at", "deployments", ["environment", "at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("deployments")
