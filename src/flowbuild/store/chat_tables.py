"""The tables of bots and of what people are told. Conventions as in `store.server_tables`."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from flowbuild.store.server_tables import ID
from flowbuild.store.tables import metadata as metadata  # noqa: PLC0414 (from here it has all tables)

bots = Table(  # programs that speak to people on a chat network, and act for those who linked themselves
    "bots",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("network", String(32), nullable=False),  # matrix, slack, telegram
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("created_by", String(128), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float),
    Column("revoked_at", Float),
    Column("called", String(128), nullable=False, server_default=""),  # by what name people find it
)

link_codes = Table(  # say on a chat network whose account somebody there has; used once
    "link_codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index("ix_link_codes_user_id", "user_id"),
)

holds = Table(  # pipelines of which nothing begins
    "holds",
    metadata,
    Column("project_id", ID, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("pipeline", String(128), primary_key=True),
    Column("held_by", String(128), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("at", Float, nullable=False),
)

channels = Table(  # where people are told what happened: of a project, or of one person
    "channels",
    metadata,
    Column("id", ID, primary_key=True),
    Column("project_id", ID, ForeignKey("projects.id", ondelete="CASCADE")),  # none: of a person, about all they see
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE")),  # none: of a project
    Column("name", String(64), nullable=False),
    Column("kind", String(16), nullable=False),  # email, webhook, matrix, slack, telegram
    Column("target", Text, nullable=False),  # addresses, a URL, a room
    Column("sealed_secret", Text, nullable=False, server_default=""),  # what webhooks are signed with
    Column("rule", Text, nullable=False, server_default="{}"),  # core.notifying.Rule
    Column("created_by", String(128), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("disabled_at", Float),
    UniqueConstraint("project_id", "name"),
    UniqueConstraint("user_id", "name"),
)

messages = (
    Table(  # what a channel is told of one thing: a run, a machine; on chat networks one message, edited in place
        "messages",
        metadata,
        Column("id", ID, primary_key=True),
        Column("channel_id", ID, ForeignKey("channels.id", ondelete="CASCADE"), nullable=False),
        Column("run_id", ID, ForeignKey("runs.id", ondelete="CASCADE")),
        Column("subject", String(160), nullable=False),  # the run, or what else it is about
        Column(
            "remote", Text, nullable=False, server_default=""
        ),  # what the network calls the message, once it is there
        UniqueConstraint("channel_id", "subject"),
        Index("ix_messages_run_id", "run_id"),
    )
)

dispatches = Table(  # one thing that happened, on its way to a channel; the log of what was sent
    "dispatches",
    metadata,
    Column("id", ID, primary_key=True),
    Column("message_id", ID, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("event", String(32), nullable=False),
    Column("payload", Text, nullable=False),  # core.notifying.News as it was then
    Column("state", String(16), nullable=False),  # waiting, sent, failed
    Column("created_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),  # when waiting: not before; quiet hours, digests and tries that failed
    Column("claimed_until", Float),  # somebody is at it
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", Text, nullable=False, server_default=""),
    Column("answer", Text, nullable=False, server_default=""),  # what the receiver said, shortened
    Column("done", Text, nullable=False, server_default=""),  # those addresses that have it
    Column("sent_at", Float),
    Column(
        "parcel", ID
    ),  # none: is sent by itself; "": waits to be collected; else the first of those that are sent together
    Index("ix_dispatches_message_id", "message_id"),
    Index("ix_dispatches_state_next_at", "state", "next_at"),
)
