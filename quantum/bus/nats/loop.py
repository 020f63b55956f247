"""What goes on for as long as the process wants it, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from nats.errors import Error as NatsError

from quantum.bus.nats.feed import FeedBroken
from quantum.bus.nats.link import Link, Session
from quantum.tasks import TaskSet

_log = structlog.get_logger("quantum.bus")
AGAIN_SECONDS = 0.2
"""The pause before a pass that failed on a living session is tried again: no storm of consumers."""
CANCEL_SECONDS = 0.5
_FAILURES = (FeedBroken, NatsError, OSError, TimeoutError)


class Running:
    """A Subscription: one task that runs ``work`` on each session until closed.

    ``work`` returns or raises when the session, or its consumer, ends; it calls ``settle`` when it
    has delivered what was there at its start.
    """

    def __init__(
        self, link: Link, tasks: TaskSet, name: str, work: Callable[[Session], Awaitable[None]]
    ) -> None:
        self._link = link
        self._name = name
        self._work = work
        self._settled = asyncio.Event()
        self._is_closed = False
        self._task = tasks.start(self._run(), name)

    def settle(self) -> None:
        """Say that the first pass has delivered what was there."""
        self._settled.set()

    async def wait_settled(self) -> None:
        """Wait for ``settle``; while the bus is away no longer than an operation would."""
        while not self._settled.is_set() and not self._task.done():
            seconds = AGAIN_SECONDS if self._link.session is not None else self._link.patience()
            if seconds <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._settled.wait()

    async def aclose(self) -> None:
        """Stop. Idempotent; may be called by the callback itself."""
        self._is_closed = True
        self._task.cancel()
        if self._task is asyncio.current_task():
            return
        while not self._task.done():  # a cancel that nats-py swallowed is repeated
            await asyncio.wait([self._task], timeout=CANCEL_SECONDS)
            self._task.cancel()

    async def _run(self) -> None:
        is_told = False
        while not (self._is_closed or self._link.is_closing):
            session = await self._link.wait_session()
            try:
                await self._work(session)
                is_told = False
            except _FAILURES as error:
                if not session.ended.is_set() and not is_told:
                    _log.warning("bus_subscription_restarted", name=self._name, error=str(error))
                    is_told = True
            await asyncio.sleep(AGAIN_SECONDS)


async def deliver(name: str, callback: Awaitable[None]) -> None:
    """Await a subscriber's callback; its failure is logged and ends nothing."""
    try:
        await callback
    except Exception as error:  # noqa: BLE001 - the subscriber's defect must not end its subscription
        _log.error("bus_callback_failed", name=name, exc_info=error)
