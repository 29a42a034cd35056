"""Where attempts may run, what runners are loaded with, and networks of runs across machines."""

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
    """Add columns and a table. Runs that are open go on as they began: each machine has a network of theirs."""
    for table, column in COLUMNS:
        op.add_column(table, column)
    op.create_table(
        "networks",
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("subnet", sa.String(length=18), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_networks_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_networks")),
        sa.UniqueConstraint("subnet", name=op.f("uq_networks_subnet")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("networks")
    for table, column in reversed(COLUMNS):
        op.drop_column(table, column.name)
