"""Where attempts may run, and what runners are loaded with."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

COLUMNS = (
    ("attempts", sa.Column("needs", sa.Text(), nullable=False, server_default="")),
    ("attempts", sa.Column("warm", sa.String(length=128), nullable=False, server_default="")),
    ("runs", sa.Column("priority", sa.Integer(), nullable=False, server_default="0")),
    ("runs", sa.Column("network", sa.String(length=128), nullable=False, server_default="")),
    ("runners", sa.Column("load", sa.Text(), nullable=False, server_default="{}")),
)


def upgrade() -> None:
    """Add columns. Runs that are open go on as they began: each machine has a network of theirs."""
    for table, column in COLUMNS:
        op.add_column(table, column)


def downgrade() -> None:
    """Drop them."""
    for table, column in reversed(COLUMNS):
        op.drop_column(table, column.name)
