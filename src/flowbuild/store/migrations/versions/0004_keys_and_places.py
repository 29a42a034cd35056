"""New keys for runners; how much each of several servers can do at once."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add columns and a table; keys that runners have are as old as the runners."""
    op.add_column("runners", sa.Column("key_made_at", sa.Float(), nullable=True))
    op.add_column("runners", sa.Column("key_wanted_at", sa.Float(), nullable=True))
    op.add_column("runners", sa.Column("next_key_hash", sa.String(length=64), nullable=True))
    op.add_column("runners", sa.Column("next_key_at", sa.Float(), nullable=True))
    op.create_index("ix_runners_next_key_hash", "runners", ["next_key_hash"], unique=True)
    op.create_table(
        "server_places",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_server_places")),
    )


def downgrade() -> None:
    """Drop them: keys that were announced and not used yet open nothing then."""
    op.drop_table("server_places")
    op.drop_index("ix_runners_next_key_hash", table_name="runners")
    with op.batch_alter_table("runners") as runners:
        for column in ("key_made_at", "key_wanted_at", "next_key_hash", "next_key_at"):
            runners.drop_column(column)
