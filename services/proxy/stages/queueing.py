"""Requests that wait while every upstream is full (``load_balancing.queue``; an extension).

First come, first served: who waits longest is woken by the next request that ends, and who comes while
others wait gets in line behind them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from services.proxy.config import QueueConfig
from services.proxy.upstreams import Member


class Queue:
    """The line of one handler."""

    def __init__(self, config: QueueConfig) -> None:
        self._config = config
        self._line: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._line)

    def freed(self) -> None:
        """Hear that a request has ended somewhere: the first in line may look again."""
        for waiter in self._line:
            if not waiter.done():
                waiter.set_result(None)
                return

    async def wait(
        self, look: Callable[[], tuple[Member, ...]], deadline: float | None
    ) -> tuple[Member, ...]:
        """Return whom ``look`` finds once it is this request's turn; () when that took too long.

        Does not wait at all where the line is full.
        """
        loop = asyncio.get_running_loop()
        if len(self._line) >= self._config.max:
            return ()
        until = loop.time() + self._config.timeout
        until = until if deadline is None else min(until, deadline)
        waiter: asyncio.Future[None] = loop.create_future()
        self._line.append(waiter)
        try:
            while True:
                timer = loop.call_at(until, _wake, waiter)
                try:
                    await waiter
                finally:
                    timer.cancel()
                if found := look():
                    return found
                if loop.time() >= until:
                    return ()
                fresh: asyncio.Future[None] = loop.create_future()
                self._line[self._line.index(waiter)] = fresh
                waiter = fresh
        finally:
            self._line.remove(waiter)
            self.freed()  # more than one place may be free


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
