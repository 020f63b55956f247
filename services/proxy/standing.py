"""What the health room says of upstreams, obeyed as soon as it is said.

An upstream nobody spoke of is healthy. A bad standing holds for the time its writer vouches for and
no longer: when the health room is away, what it said last must not keep an upstream out for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quantum.bus.api import Bus, Entry, KeyValue, Subscription
from quantum.bus.subjects import STANDINGS, UpstreamStanding, key_of
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from quantum.tasks import TaskSet

Listener = Callable[[str], None]
"""Hears the reason against an upstream, "" when there is none."""

RETRY_SECONDS = 2.0
"""Between attempts to open the bucket while the bus is away."""


def standing_key(checker: str, address: str) -> str:
    """Return the bucket's key for one upstream as one active check sees it."""
    return key_of(f"{checker}|{address}")


class Standings:
    """The present standings of this process, and who wants to hear of them."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._reasons: dict[str, str] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._subscription: Subscription | None = None
        self._tasks = TaskSet("proxy:standings")

    async def start(self) -> None:
        """Begin to watch; when the bus is away, as soon as it is back."""
        if not await self._watch():
            self._tasks.start(self._keep_trying())

    async def aclose(self) -> None:
        """Stop watching."""
        await self._tasks.aclose()
        for expiry in self._expiries.values():
            expiry.cancel()
        self._expiries.clear()
        if self._subscription is not None:
            await self._subscription.aclose()

    def listen(self, key: str, listener: Listener) -> Callable[[], None]:
        """Tell ``listener`` what is known of ``key`` now and whenever it changes; returns the way out."""
        listeners = self._listeners.setdefault(key, [])
        listeners.append(listener)
        listener(self._reasons.get(key, ""))

        def leave() -> None:
            listeners.remove(listener)
            if not listeners and self._listeners.get(key) is listeners:
                del self._listeners[key]

        return leave

    async def _keep_trying(self) -> None:
        while not await self._watch():
            await self._clock.sleep(RETRY_SECONDS)

    async def _watch(self) -> bool:
        try:
            bucket: KeyValue[UpstreamStanding] = await self._bus.bucket(STANDINGS)
            self._subscription = await bucket.watch(self._on_entry)
        except BusUnavailable:
            return False
        return True

    async def _on_entry(self, entry: Entry[UpstreamStanding]) -> None:
        self._cancel_expiry(entry.key)
        standing = entry.value
        if standing is None or standing.healthy:
            self._set(entry.key, "")
            return
        self._set(entry.key, standing.reason or "unhealthy")
        expire = asyncio.get_running_loop().call_later
        self._expiries[entry.key] = expire(standing.valid_for, self._expired, entry.key)

    def _expired(self, key: str) -> None:
        self._expiries.pop(key, None)
        self._set(key, "")

    def _cancel_expiry(self, key: str) -> None:
        expiry = self._expiries.pop(key, None)
        if expiry is not None:
            expiry.cancel()

    def _set(self, key: str, reason: str) -> None:
        if self._reasons.get(key, "") == reason:
            return
        if reason:
            self._reasons[key] = reason
        else:
            del self._reasons[key]
        for listener in tuple(self._listeners.get(key, ())):
            listener(reason)
