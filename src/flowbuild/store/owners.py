"""What other processes see of who lives (see `store.presence`); on PostgreSQL only."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, text

CHANNEL = "flow"
EVERYBODY = ""

# The keys of owners are one number of 64 bits (objsubid 1); `store.sharing` has keys of two numbers.
_LIVING = text("""
    SELECT classid::bigint AS high, objid::bigint AS low FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


class Owners:
    """The tokens of living processes: 16 hexadecimal digits, the key of a lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def living(self) -> frozenset[str]:
        """Return the tokens of all who live."""
        return frozenset(f"{row.high:08x}{row.low:08x}" for row in self._connection.execute(_LIVING))

    def tell(self, token: str) -> None:
        """Let who lives as `token`, or EVERYBODY, hear something when this transaction is committed."""
        self._connection.execute(select(func.pg_notify(CHANNEL, token)))
