"""The connections to one upstream address: kept alive, bounded, each owned by one lease at a time.

Whoever takes a connection gives it back exactly once (``services.proxy.leases``); the pool looks at
the connection itself to decide between keeping and closing it, so no caller can keep a dirty one.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from quantum.errors import in_words
from quantum.tasks import TaskSet
from services.proxy.transports.connection import Connection
from services.proxy.transports.failure import Stage, UpstreamFailed

if TYPE_CHECKING:
    from services.proxy.transports.h2.channels import Channels

Dial = Callable[[Callable[[Connection], None]], Awaitable[Connection]]
"""Opens a connection that tells the given callback when it is gone; raises OSError."""


SURPLUS_SECONDS = 0.5
"""How long connections above the bound of idle ones are kept. Streams of HTTP/2 and HTTP/3 come and are
answered in bursts of dozens: closing at once what the next burst opens again costs more than the request."""


class ConnectionPool:
    """Keeps up to ``max_idle`` idle connections for ``idle_timeout`` seconds; the youngest is used first."""

    def __init__(
        self,
        dial: Dial,
        *,
        dial_timeout: float,
        max_idle: int,
        max_open: int,
        idle_timeout: float,
    ) -> None:
        """``max_open`` bounds all connections, 0 not at all: then requests wait for one to be free."""
        self._dial = dial
        self._dial_timeout = dial_timeout
        self._max_idle = max_idle
        self._max_open = max_open
        self._idle_timeout = idle_timeout
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._tasks = TaskSet("proxy:dial")
        self._open: set[Connection] = set()
        self._dialing = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._trim: asyncio.TimerHandle | None = None
        self.on_idle: Callable[[], None] | None = None
        """Called when a connection has become idle, where idle ones are counted over all pools."""
        self.channels: Channels | None = None
        """Connections to the same address that speak HTTP/2, where it may."""

    @property
    def open(self) -> int:
        """Connections that are open or being opened."""
        return len(self._open) + self._dialing

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    def take(self) -> Connection | None:
        """Return an idle connection, now the caller's to give back; None when there is none."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.is_fit:
                return connection
            connection.abort()
        return None

    async def acquire(self, *, fresh: bool = False) -> Connection:
        """Return a connection, opened if need be (always if ``fresh``). UpstreamFailed: no connection."""
        while True:
            if not fresh and (connection := self.take()) is not None:
                return connection
            if not self._max_open or self.open < self._max_open:
                return await self._dialled()
            if self._idle:  # fresh is wanted and the bound is reached: make room
                self._idle.popleft().abort()
            await self._room()

    def adopt(self, connection: Connection) -> None:
        """Keep a connection that was opened elsewhere; ``gone`` MUST have been its ``on_close``."""
        if not connection.transport.is_closing():
            self._open.add(connection)
        self.give_back(connection)

    def give_back(self, connection: Connection) -> None:
        """Keep ``connection`` if another exchange may follow on it, else close it."""
        if connection.is_fit and self._max_idle:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(self._idle_timeout / 2, self._close_expired)
            if self._trim is None and len(self._idle) > self._max_idle:
                self._trim = self._loop.call_later(SURPLUS_SECONDS, self._close_surplus)
            if self.on_idle is not None:
                self.on_idle()
        elif connection.is_fit:
            connection.close()
        else:
            connection.abort()
        if self._waiters:
            self._wake()

    @property
    def oldest_idle(self) -> float:
        """The loop's time at which the connection that is idle longest became so; infinity for none."""
        return self._idle[0].idle_since if self._idle else math.inf

    def close_oldest(self) -> None:
        """Close the connection that is idle longest."""
        self._idle.popleft().close()

    async def aclose(self) -> None:
        """Close idle connections and take none back; those in use end with their requests."""
        self._max_idle = 0
        for timer in (self._sweep, self._trim):
            if timer is not None:
                timer.cancel()
        while self._idle:
            self._idle.pop().close()
        await self._tasks.aclose()
        if self.channels is not None:
            await self.channels.aclose()

    def abort(self) -> None:
        """Cut every connection."""
        for connection in list(self._open):
            connection.abort()

    # Opening.

    async def _dialled(self) -> Connection:
        """Open a connection in a task of its own: a caller that leaves does not waste it."""
        self._dialing += 1
        task = self._tasks.start(self._open_one())
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.add_done_callback(self._keep)
            raise
        opened = task.result()
        if isinstance(opened, UpstreamFailed):
            raise opened
        return opened

    async def _open_one(self) -> Connection | UpstreamFailed:
        try:
            async with asyncio.timeout(self._dial_timeout):
                connection = await self._dial(self.gone)
        except TimeoutError:
            return UpstreamFailed(Stage.DIAL, "timeout dialing", 504)
        except OSError as error:
            return UpstreamFailed(Stage.DIAL, f"dialing: {in_words(error)}")
        finally:
            self._dialing -= 1
            self._wake()
        if not connection.transport.is_closing():
            self._open.add(connection)
        return connection

    def _keep(self, task: asyncio.Task[Connection | UpstreamFailed]) -> None:
        if not task.cancelled() and isinstance(opened := task.result(), Connection):
            self.give_back(opened)

    # Waiting for room.

    async def _room(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake()  # the turn was ours already: pass it on
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    # Closing.

    def gone(self, connection: Connection) -> None:
        """Hear that a connection is closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake()

    def _close_expired(self) -> None:
        """Close what was idle for too long; looks again while anything is idle."""
        self._sweep = None
        oldest_kept = self._loop.time() - self._idle_timeout
        while self._idle and self._idle[0].idle_since <= oldest_kept:
            self._idle.popleft().close()
        if self._idle:
            next_look = self._idle[0].idle_since - oldest_kept
            self._sweep = self._loop.call_later(max(next_look, 0.05), self._close_expired)

    def _close_surplus(self) -> None:
        """Close what is above the bound and was not wanted for a moment; looks again while anything is."""
        self._trim = None
        latest = self._loop.time() - SURPLUS_SECONDS
        while len(self._idle) > self._max_idle and self._idle[0].idle_since <= latest:
            self._idle.popleft().close()
        if len(self._idle) > self._max_idle:
            self._trim = self._loop.call_later(SURPLUS_SECONDS, self._close_surplus)
