"""Who lives, on PostgreSQL: a process holds an advisory lock of its session for as long as it lives.

The database gives the lock back when the session ends, however the process died. The same connection listens to what
others tell. When it breaks, because the database was started anew or the network failed, it is made again; others may
have taken us for dead meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

import structlog
from psycopg import AsyncConnection, Error

from flowbuild.core.errors import StoreError
from flowbuild.store.owners import CHANNEL
from flowbuild.store.telling import Mailbox, News, read

log = structlog.get_logger()
RECONNECT_SECONDS = 0.5  # between two tries
# A process that dies closes its connection; of a machine that loses its power, or its network, the database has to find out
# by asking: here within 25 s, by default after hours. While something that it was told is under way nothing is asked, and another
# limit holds.
ASK = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 25000"


class Presence:
    """Life in the database at `address` (see `Database.address`). Tokens are 16 hexadecimal digits: the key of the lock.

    The connections live in a thread of their own, with an event loop.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._mailbox = Mailbox()
        self._posted = asyncio.Event()

    def begin(self, token: str, heard: Callable[[Sequence[News] | None], None]) -> None:
        """Live as `token` from now on; `heard` is called, in a thread, with what others tell, None: anything. Raises StoreError."""
        ready: Future[None] = Future()
        self._spawn(self._live(token, heard, ready))
        ready.result()
        self._spawn(self._tell_all(token))

    def tell(self, news: Iterable[News]) -> None:
        """Let the others hear something, at once but beside everything else.

        What comes up while something is being told goes together. When we die before it is told, the others learn of that.
        """
        self._mailbox.put(news)
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._posted.set)

    def outlive(self, token: str, gone: Callable[[], None]) -> None:
        """Call `gone` when nobody lives as `token` (any more); also, too early, when the database was away."""
        self._spawn(self._outlive(token, gone))

    def end(self) -> None:
        """Close the connections: we live no more, and nothing is begun any more."""
        with self._lock:
            self._ended = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _live(self, token: str, heard: Callable[[Sequence[News] | None], None], ready: Future[None]) -> None:
        while True:
            try:
                async with self._connected() as connection:
                    await connection.execute("SELECT pg_advisory_lock(%s)", [_key(token)])
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    if ready.done():
                        heard(None)  # what was told meanwhile is lost
                    else:
                        ready.set_result(None)
                    async for note in connection.notifies():
                        news = read(note.payload, token)
                        if news is None or news:
                            heard(news)
            except Error as error:
                if not ready.done():
                    ready.set_exception(StoreError(f"the database cannot be reached: {error}"))
                    return
                log.warning("presence_lost", error=str(error))
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _tell_all(self, token: str) -> None:
        while True:
            try:
                async with self._connected() as connection:
                    while True:
                        await self._posted.wait()
                        self._posted.clear()
                        for message in self._mailbox.take(token):
                            await connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, message])
            except Error as error:
                log.warning("not_told", error=str(error))
                self._mailbox.fail()
                self._posted.set()
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _outlive(self, token: str, gone: Callable[[], None]) -> None:
        while True:
            try:
                async with self._connected() as connection:
                    await connection.execute("SELECT pg_advisory_lock_shared(%s)", [_key(token)])
            except Error:
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                gone()
                return

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with await AsyncConnection.connect(self._address, autocommit=True) as connection:
            await connection.execute(ASK.encode())
            yield connection

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        with self._lock:
            if self._ended:  # a thread of ours may be late
                work.close()
                return
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="presence", daemon=True)
                self._thread.start()
            asyncio.run_coroutine_threadsafe(work, self._loop)


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _key(token: str) -> int:
    """Return the token as the signed number that PostgreSQL takes for a key."""
    return int.from_bytes(bytes.fromhex(token), signed=True)
