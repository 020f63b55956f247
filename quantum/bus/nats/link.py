"""The connection to NATS: found again for ever, each time as a new session.

An outage is logged once when it begins and once when it ends, however many attempts it takes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, NoServersError
from nats.js import JetStreamContext
from nats.js.errors import (
    APIError,
    NoStreamResponseError,
    NotFoundError,
    ServiceUnavailableError,
)

from quantum.bus.api import Conflict
from quantum.clock import Clock
from quantum.errors import BusFull, BusUnavailable, QuantumError, in_words
from quantum.ids import PROCESS_ID
from quantum.tasks import TaskSet

T = TypeVar("T")
_log = structlog.get_logger("quantum.bus")

CONNECT_SECONDS = 3
"""One attempt to connect: a server that needs longer for a TCP and TLS handshake serves nobody."""
OPERATION_SECONDS = 5.0
"""One read or write, an fsync on a busy disk and a leader election included."""
PATIENCE_SECONDS = 2.0
"""How long an operation waits for a connection that has just gone: a restart takes about one."""
RETRY_SECONDS = 0.1
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 5.0
"""Pauses between attempts: from a restart on the same machine to an absent cluster."""
PING_SECONDS = 5
"""A peer that vanished without closing is noticed after three of these."""
_WRONG_LAST = frozenset({10070, 10071, 10164})
"""JetStream's error codes for an expectation of the last message or sequence that does not hold."""
_FULL = frozenset({10002, 10023, 10028, 10047})
"""… for an account or a server without room: resource limits, insufficient resources, memory, storage."""
_STORE_FAILED = 10077
"""… for a stream that did not take a message; why is in the description."""


class Session:
    """One connection, from its handshake to its end."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.jetstream: JetStreamContext = client.jetstream(timeout=OPERATION_SECONDS)
        self.ensured: set[str] = set()
        self.ended = asyncio.Event()
        self.on_end: set[Callable[[], None]] = set()
        self._timers: set[asyncio.Timeout] = set()

    async def run(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        """Run ``operation``; TimeoutError after OPERATION_SECONDS or as soon as the session ends.

        A cancellation is heard however it meets the reply: ``asyncio.wait_for`` of Python 3.11, which
        nats-py waits with, drops one that comes in the same turn, and a loop would never end.
        """
        task = asyncio.current_task()
        cancels = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(0 if self.ended.is_set() else OPERATION_SECONDS) as timer:
                self._timers.add(timer)
                try:
                    return await operation(self)
                finally:
                    self._timers.discard(timer)
        finally:
            if task and task.cancelling() > cancels:
                raise asyncio.CancelledError

    def end(self) -> None:
        """Wake everyone who waits for this session. Idempotent."""
        if self.ended.is_set():
            return
        self.ended.set()
        now = asyncio.get_running_loop().time()
        for timer in self._timers:
            timer.reschedule(now)
        for callback in list(self.on_end):
            callback()


class Link:
    """Keeps a session alive and hands it out."""

    def __init__(self, servers: list[str], token: str | None, clock: Clock, name: str) -> None:
        self._servers = servers
        self._token = token
        self._clock = clock
        self._name = name
        self._random = random.Random(PROCESS_ID)  # noqa: S311 - spreads reconnects, keeps no secret
        self._session: Session | None = None
        self._arrived = asyncio.Event()
        self._away_since: float | None = None
        self._tasks = TaskSet("bus-link")
        self.is_closing = False
        """Asked by every loop: nats-py, and asyncio.wait_for of Python 3.11, can swallow a cancel."""
        self.on_change: Callable[[bool], None] = lambda connected: None

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._away_since = self._clock.monotonic()
        self._tasks.start(self._keep_connected(), "connect")

    @property
    def session(self) -> Session | None:
        """The session that works now."""
        return self._session

    async def wait_session(self) -> Session:
        """Return the session, waiting for one as long as it takes."""
        while self._session is None:
            await self._arrived.wait()
        return self._session

    async def call(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        """Run an operation on the session.

        BusUnavailable when there is none or the answer does not come in time (then it may or may not
        have been done); Conflict when an expectation of the last revision failed.
        """
        deadline = self._clock.monotonic() + OPERATION_SECONDS
        while True:
            session = await self._present_session()
            try:
                return await session.run(operation)
            except (NoStreamResponseError, ServiceUnavailableError, NotFoundError) as error:
                if _is_full(error):
                    raise BusFull(str(error)) from error
                session.ensured.clear()  # a server that has just started, or a stream someone deleted
                if self._clock.monotonic() > deadline:
                    raise BusUnavailable(str(error)) from error
                await asyncio.sleep(RETRY_SECONDS)
            except APIError as error:
                if error.err_code in _WRONG_LAST:
                    raise Conflict(str(error.description)) from error
                if _is_full(error):
                    raise BusFull(str(error)) from error
                raise BusUnavailable(str(error)) from error
            except MaxPayloadError as error:
                raise QuantumError("the value is larger than the bus carries") from error
            except (NatsError, OSError, TimeoutError) as error:
                raise BusUnavailable(str(error) or type(error).__name__) from error

    async def _present_session(self) -> Session:
        if self._session is not None:
            return self._session
        if self.is_closing:
            raise BusUnavailable("the bus is closed")
        if (patience := self.patience()) > 0:
            try:
                async with asyncio.timeout(patience):
                    return await self.wait_session()
            except TimeoutError:
                pass
        raise BusUnavailable(f"NATS does not answer at {', '.join(self.places)}")

    def patience(self) -> float:
        """Return for how many seconds it is worth waiting for a session that is not there."""
        if self._away_since is None:
            return PATIENCE_SECONDS
        return PATIENCE_SECONDS - (self._clock.monotonic() - self._away_since)

    async def aclose(self) -> None:
        """Flush and close the connection, stop looking for another. Idempotent."""
        self.is_closing = True
        session, self._session = self._session, None
        if session is not None:
            session.end()
            await _close(session.client)
        await self._tasks.aclose()

    async def _keep_connected(self) -> None:
        backoff, is_told = FIRST_BACKOFF, False
        while not self.is_closing:
            try:
                session = await self._connect()
            except (NatsError, OSError, TimeoutError, ValueError) as error:
                if not is_told:
                    _log.warning("bus_unreachable", servers=self.places, error=_text(error))
                    is_told = True
                await asyncio.sleep(backoff * self._random.uniform(0.5, 1.0))
                backoff = min(backoff * 2, LAST_BACKOFF)
                continue
            self._enter(session)
            backoff, is_told = FIRST_BACKOFF, True  # its end is told by `_leave`
            await session.ended.wait()
            self._leave(session)
            await _close(session.client)

    async def _connect(self) -> Session:
        client = Client()
        ended = asyncio.Event()
        session: Session | None = None
        errors: list[Exception] = []

        async def on_closed() -> None:
            ended.set()
            if session is not None:
                session.end()

        async def on_error(error: Exception) -> None:
            errors[:] = [error]
            _log.debug("bus_client_error", error=_text(error))

        try:
            await client.connect(
                servers=self._servers,
                token=self._token,
                name=self._name,
                allow_reconnect=False,
                max_reconnect_attempts=1,  # 0 would mean: for ever, and inside connect
                reconnect_time_wait=0,
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                closed_cb=on_closed,
                error_cb=on_error,
            )
            session = Session(client)
            await session.jetstream.account_info()
        except NoServersError as error:
            await _close(client)
            raise ConnectionError(_text(errors[-1] if errors else error)) from error
        except BaseException:
            await _close(client)
            raise
        if ended.is_set():
            raise ConnectionResetError("closed during the handshake")
        return session

    def _enter(self, session: Session) -> None:
        self._session = session
        self._away_since = None
        self._arrived.set()
        self.on_change(True)
        url = session.client.connected_url
        _log.info("bus_connected", server=url.netloc.rpartition("@")[2] if url else "")

    def _leave(self, session: Session) -> None:
        if self.is_closing:
            return
        self._session = None
        self._arrived.clear()
        self._away_since = self._clock.monotonic()
        self.on_change(False)
        _log.warning("bus_lost", servers=self.places, error=_text(session.client.last_error))

    @property
    def places(self) -> list[str]:
        """Where NATS is looked for, without credentials."""
        return [urlsplit(server).netloc.rpartition("@")[2] or server for server in self._servers]


def _is_full(error: NatsError) -> bool:
    """Whether the server refuses for want of room: waiting does not help."""
    if not isinstance(error, APIError):
        return False
    if error.err_code == _STORE_FAILED:
        return "exceeded" in str(error.description)  # maximum bytes, messages or consumers
    return error.err_code in _FULL


async def _close(client: Client) -> None:
    try:
        await client.close()
    except (NatsError, OSError) as error:
        _log.debug("bus_close_failed", error=_text(error))


def _text(error: Exception | None) -> str:
    return "" if error is None else in_words(error)
