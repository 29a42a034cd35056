"""The step cache."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create its table."""
    op.create_table(
        "step_cache",
        sa.Column("project", sa.String(length=512), nullable=False),
        sa.Column("trust", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_step_cache_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project", "trust", "key", name=op.f("pk_step_cache")),
    )
    op.create_index("ix_step_cache_run_id", "step_cache", ["run_id"], unique=False)


def downgrade() -> None:
    """Drop it: everything is run again then."""
    op.drop_index("ix_step_cache_run_id", table_name="step_cache")
    op.drop_table("step_cache")
