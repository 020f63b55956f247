"""Changing the configuration of a process: in all its rooms, or in none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from quantum.errors import QuantumError
from quantum.service.api import Prepared, Preparing, Revision

if TYPE_CHECKING:
    import structlog


class Switch:
    """The ConfigSwitch of a process. One change at a time; waiting ones queue up.

    ``on_applied`` are called after each commit, with the new revision; they MUST NOT fail or wait.
    ``on_broken`` hears of a commit that failed against its contract: the process is then neither in
    the old configuration nor in the new one, and has to end. ``settled`` is awaited after each commit:
    what other processes do because of it.
    """

    def __init__(
        self,
        parse: Callable[[Any], Revision],
        *,
        metrics: CollectorRegistry,
        log: structlog.stdlib.BoundLogger,
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self._parse = parse
        self._log = log
        self._on_broken = on_broken
        self._services: Sequence[Preparing] = ()
        self._lock = asyncio.Lock()
        self._active: Revision | None = None
        self.on_applied: list[Callable[[Revision], None]] = []
        self.settled: Callable[[], Awaitable[None]] | None = None
        self._applied = Counter(
            "quantum_config_changes", "Configurations taken into use, or refused", ["result"],
            registry=metrics,
        )  # fmt: skip
        self._succeeded = Gauge(
            "quantum_config_last_change_succeeded", "Whether the last one was taken into use",
            registry=metrics,
        )  # fmt: skip

    def use(self, services: Sequence[Preparing]) -> None:
        """Name what takes part: the services of this process, in start order, and its workers."""
        self._services = services

    @property
    def active(self) -> Revision | None:
        """The revision in force."""
        return self._active

    def parse(self, document: Any) -> Revision:
        """Validate a document (simple or full); ConfigError when it is not valid."""
        return self._parse(document)

    async def apply(
        self, revision: Revision, agree: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Prepare in every room, then commit in all; on a refusal discard in all and raise it.

        ``agree`` is asked between the two, and refuses by raising. The revision in force already is
        nothing to do.
        """
        async with self._lock:
            if self._active is not None and self._active.id == revision.id:
                return
            try:
                prepared = await self._prepare(revision, agree)
            except BaseException:
                self._applied.labels("refused").inc()
                self._succeeded.set(0)
                raise
            self._commit(prepared)
            self._active = revision
            self._applied.labels("applied").inc()
            self._succeeded.set(1)
            self._log.info("config_applied", revision=revision.id)
            for listener in self.on_applied:
                listener(revision)
            if self.settled is not None:
                await self.settled()

    async def _prepare(
        self, revision: Revision, agree: Callable[[], Awaitable[None]] | None
    ) -> list[Prepared]:
        prepared: list[Prepared] = []
        try:
            for service in self._services:
                prepared.append(await service.prepare(revision))  # noqa: PERF401 - undone on failure
            if agree is not None:
                await agree()
        except BaseException:
            for item in reversed(prepared):
                try:
                    await item.discard()
                except Exception as error:  # noqa: BLE001 - the other rooms must be undone too
                    self._log.error("config_discard_failed", exc_info=error)
            raise
        return prepared

    def _commit(self, prepared: list[Prepared]) -> None:
        """Commit in every room; QuantumError after one failed: the process is about to end."""
        failure: Exception | None = None
        for item in prepared:
            try:
                item.commit()
            except Exception as error:  # noqa: BLE001 - reported below; the process ends
                self._log.error("config_commit_failed", exc_info=error)
                failure = failure or error
        if failure is not None:
            self._on_broken(failure)
            raise QuantumError(f"a room could not commit: {failure!r}") from failure
