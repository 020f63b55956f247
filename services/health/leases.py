"""Leases: in a deployment with several health processes, each upstream is checked by one of them.

A key in the bucket of probers belongs to the process that created it and writes it again every
``RENEW_SECONDS``. When that process dies the key ends by the bucket's time to live, when it stops it
deletes it; the others, who watch the bucket, then try to create it and one succeeds. While the bus is
away everybody goes on as before: who checked, checks, and nothing is handed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from quantum.bus.api import Bus, Conflict, Entry, KeyValue, Subscription
from quantum.bus.subjects import PROBERS, ProbeLease
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from quantum.tasks import TaskSet

RENEW_SECONDS = 1.0
"""A third of the bucket's time to live: two renewals may be lost."""


class Leases:
    """Tells ``on_change(key, is_ours)`` for every key that is wanted. It wants nothing at first."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        process: str,
        on_change: Callable[[str, bool], None],
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._log = log
        self._value = ProbeLease(process=process)
        self._on_change = on_change
        self._wanted: dict[str, None] = {}
        self._held: dict[str, int] = {}
        self._others: dict[str, str] = {}
        self._bucket: KeyValue[ProbeLease] | None = None
        self._subscription: Subscription | None = None
        self._tasks = TaskSet("health:leases")
        self._turn = asyncio.Lock()

    @property
    def held(self) -> int:
        """How many leases this process has."""
        return len(self._held)

    def start(self) -> None:
        """Begin to renew."""
        self._tasks.start(self._keep())

    async def aclose(self) -> None:
        """Give every lease to who wants it next."""
        await self._tasks.aclose()
        self._wanted.clear()
        await self._release_unwanted()
        if self._subscription is not None:
            await self._subscription.aclose()

    def want(self, keys: Iterable[str]) -> None:
        """Hold, as far as they are free, the leases of exactly ``keys`` from now on."""
        self._wanted = dict.fromkeys(keys)
        self._tasks.start(self._round())

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(RENEW_SECONDS)
            await self._round()

    async def _round(self) -> None:
        """Release, renew and take what there is; without the bus, nothing."""
        async with self._turn:
            try:
                if self._bucket is None:
                    bucket = await self._bus.bucket(PROBERS)
                    self._subscription = await bucket.watch(self._on_entry)
                    self._bucket = bucket
                await self._release_unwanted()
                for key in tuple(self._wanted):
                    await self._hold(self._bucket, key)
            except BusUnavailable:
                return  # everybody goes on as before, until it is back

    async def _hold(self, bucket: KeyValue[ProbeLease], key: str) -> None:
        revision = self._held.get(key)
        try:
            if revision is not None:
                self._held[key] = await bucket.update(key, self._value, revision)
                return
            if self._others.get(key):
                return
            self._held[key] = await bucket.create(key, self._value)
        except Conflict:
            if self._held.pop(key, None) is not None:
                self._log.warning("probe_lease_lost", key=key)
                self._on_change(key, False)
            return
        self._on_change(key, True)

    async def _release_unwanted(self) -> None:
        for key in self._held.keys() - self._wanted.keys():
            del self._held[key]
            self._on_change(key, False)
            if self._bucket is not None and self._bus.is_connected:
                try:
                    await self._bucket.delete(key)
                except BusUnavailable:
                    continue  # its time to live does it

    async def _on_entry(self, entry: Entry[ProbeLease]) -> None:
        holder = "" if entry.value is None else entry.value.process
        if holder and holder != self._value.process:
            self._others[entry.key] = holder
            return
        self._others.pop(entry.key, None)
        if holder and entry.key in self._held:  # a renewal whose acknowledgement was lost
            self._held[entry.key] = max(entry.revision, self._held[entry.key])
        if not holder and entry.key in self._wanted and entry.key not in self._held:
            self._tasks.start(self._round())
