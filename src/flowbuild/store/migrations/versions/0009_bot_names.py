"""By what names people find bots."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column."""
    op.add_column("bots", sa.Column("called", sa.String(length=128), server_default="", nullable=False))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("bots", "called")
