"""The one writer of the configuration: takes a document into use here, then everywhere.

A change is applied in this process first: what cannot be provisioned here changes nothing anywhere.
Then the CONFIG bucket gets it, every other process applies it and says so on CONFIG_APPLIED. If one
of them refuses, the previous revision is put back everywhere and the caller hears why.

When the bus is away a process that is a whole deployment by itself can still be reloaded: nobody else
needs to know. The revision is shared as soon as the bus is back. With other processes about, a change
that they cannot hear of would split the deployment, so it is refused (503) and undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter, Gauge

from quantum.bus.api import Conflict, KeyValue, Subscription
from quantum.bus.subjects import (
    CONFIG,
    CONFIG_APPLIED,
    REVISIONS,
    ROOMS,
    ConfigApplied,
    ConfigRevision,
    RoomPresence,
)
from quantum.errors import BusUnavailable, ConfigError, HttpError
from quantum.ids import PROCESS_ID
from quantum.service.api import Revision, ServiceContext
from quantum.tasks import TaskSet

ACTIVE = "active"
"""The key of the configuration in force."""

APPLY_SECONDS = 5.0
"""How long the other processes may take to say that they applied a revision. One that died lately is
still listed for a while: waiting longer for it would only make every reload slow."""

RETRY_SHARE_SECONDS = 1.0
"""Pause between attempts to share a revision that the bus could not take."""

MAX_REVISIONS = 64
"""Revisions kept to go back to."""


@dataclass(frozen=True)
class Outcome:
    """What became of a change. ``waiting_for`` are processes that did not answer in time."""

    revision: Revision
    changed: bool
    shared: bool = True
    waiting_for: tuple[str, ...] = ()


class RevisionStore:
    """Changes the configuration, one change at a time."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._log = context.log
        self._turn = asyncio.Lock()
        self._tasks = TaskSet("admin:store")
        self._acks: dict[str, ConfigApplied] = {}
        self._acked = asyncio.Event()
        self._awaited = ""
        self._others: frozenset[str] = frozenset()
        self._subscription: Subscription | None = None
        self._sharing: asyncio.Task[None] | None = None
        self._loads = Counter(
            "quantum_admin_config_changes_total",
            "Changes of the configuration that were asked for",
            ["outcome"],
            registry=context.metrics,
        )
        self._succeeded = Gauge(
            "quantum_admin_last_change_successful",
            "Whether the last change of the configuration was taken into use",
            registry=context.metrics,
        )

    async def start(self) -> None:
        """Listen for what other processes say of revisions."""
        self._subscription = await self._context.bus.subscribe(CONFIG_APPLIED, self._on_applied)

    async def aclose(self) -> None:
        """Stop listening. Idempotent."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()
        await self._tasks.aclose()

    @property
    def document(self) -> Any:
        """The full-format document in force; None before there is one."""
        active = self._context.switch.active
        return active.document if active is not None else None

    async def change(
        self, make: Callable[[Any], Any], author: str, *, must_apply: bool = False
    ) -> Outcome:
        """Apply what ``make`` makes of the document in force.

        ConfigError: not valid, or refused by some process; HttpError 409: another process changed it
        at the same time; 503: it cannot be shared. Whatever is raised, the old one stays in force.
        """
        async with self._turn:
            try:
                outcome = await self._change(make, author, must_apply=must_apply)
            except BaseException:
                self._loads.labels("refused").inc()
                self._succeeded.set(0)
                raise
            self._loads.labels("applied" if outcome.changed else "unchanged").inc()
            self._succeeded.set(1)
            return outcome

    async def revisions(self) -> list[ConfigRevision]:
        """Return what was in force, newest first. BusUnavailable when nobody can say."""
        bucket = await self._context.bus.bucket(REVISIONS)
        entries = [await bucket.get(key) for key in await bucket.keys()]
        found = [e.value for e in entries if e is not None and e.value is not None]
        return sorted(found, key=lambda r: r.at, reverse=True)

    async def note(self, revision: Revision) -> None:
        """Keep a revision that came into force by another way than ``change``: the file, mostly."""
        if self._turn.locked():
            return  # ours, or about to be put back
        entry = ConfigRevision(
            revision=revision.id,
            document=revision.document,
            author="configuration file",
            at=self._context.clock.now(),
            process=PROCESS_ID,
        )
        try:
            await (await self._context.bus.bucket(REVISIONS)).create(revision.id, entry)
        except Conflict:
            self._log.debug("revision_known", revision=revision.id)
        except BusUnavailable as error:
            self._log.info("revision_not_kept", revision=revision.id, reason=str(error))

    async def presences(self) -> list[RoomPresence]:
        """Return who runs what. BusUnavailable when nobody can say."""
        bucket = await self._context.bus.bucket(ROOMS)
        entries = [await bucket.get(key) for key in sorted(await bucket.keys())]
        return [e.value for e in entries if e is not None and e.value is not None]

    async def _change(
        self, make: Callable[[Any], Any], author: str, *, must_apply: bool
    ) -> Outcome:
        switch = self._context.switch
        previous = switch.active
        revision = switch.parse(make(self.document))
        if previous is not None and previous.id == revision.id and not must_apply:
            return Outcome(revision, changed=False)
        await switch.apply(revision)
        try:
            outcome = await self._share(revision, author, previous)
        except BaseException:
            if previous is not None:
                await switch.apply(previous)
            raise
        self._log.info(
            "config_changed", revision=revision.id, author=author, waiting_for=outcome.waiting_for
        )
        return outcome

    # Telling the others.

    async def _share(self, revision: Revision, author: str, previous: Revision | None) -> Outcome:
        entry = ConfigRevision(
            revision=revision.id,
            document=revision.document,
            author=author,
            at=self._context.clock.now(),
            process=PROCESS_ID,
        )
        try:
            bucket = await self._context.bus.bucket(CONFIG)
            self._others = await self._find_others()
            self._expect(revision.id)
            before = await self._put(bucket, entry, previous)
        except BusUnavailable as error:
            return self._keep_unshared(entry, error)
        self._tasks.start(self._remember(entry), "remember")
        waiting = await self._wait_for(self._others)
        refused = [ack for ack in self._acks.values() if ack.error]
        if refused:
            await self._put_back(bucket, before)
            raise ConfigError("", f"process {refused[0].process} refused it: {refused[0].error}")
        return Outcome(revision, changed=True, waiting_for=tuple(sorted(waiting)))

    async def _put(
        self, bucket: KeyValue[ConfigRevision], entry: ConfigRevision, previous: Revision | None
    ) -> ConfigRevision | None:
        """Write unless somebody else did since; return what was there."""
        current = await bucket.get(ACTIVE)
        known = {previous.id if previous is not None else "", entry.revision}
        try:
            if current is None or current.value is None:
                await bucket.create(ACTIVE, entry)
                return None
            if current.value.revision not in known:
                raise Conflict
            await bucket.update(ACTIVE, entry, current.revision)
        except Conflict:
            raise HttpError(409, "another process changed the configuration meanwhile") from None
        return current.value

    async def _put_back(
        self, bucket: KeyValue[ConfigRevision], before: ConfigRevision | None
    ) -> None:
        if before is None:
            await bucket.delete(ACTIVE)
        else:
            now = {"at": self._context.clock.now(), "process": PROCESS_ID}
            await bucket.put(ACTIVE, before.model_copy(update=now))

    def _keep_unshared(self, entry: ConfigRevision, error: BusUnavailable) -> Outcome:
        if self._others:
            raise HttpError(
                503, f"the bus is away, {len(self._others)} other processes cannot be told"
            ) from error
        self._log.warning("config_not_shared", revision=entry.revision, reason=str(error))
        if self._sharing is not None:
            self._sharing.cancel()
        self._sharing = self._tasks.start(self._share_later(entry), "share")
        active = self._context.switch.active
        assert active is not None
        return Outcome(active, changed=True, shared=False)

    async def _share_later(self, entry: ConfigRevision) -> None:
        """Put a revision that was taken while the bus was away, unless a newer one is there by then."""
        while True:
            await self._context.clock.sleep(RETRY_SHARE_SECONDS)
            if not self._context.bus.is_connected:
                continue
            try:
                bucket = await self._context.bus.bucket(CONFIG)
                current = await bucket.get(ACTIVE)
                if current is None or current.value is None:
                    await bucket.create(ACTIVE, entry)
                elif current.value.at < entry.at:
                    await bucket.update(ACTIVE, entry, current.revision)
            except (BusUnavailable, Conflict):
                continue
            await self._remember(entry)
            return

    async def _find_others(self) -> frozenset[str]:
        """Return the processes that answer for some room, without this one."""
        answering = {presence.parent or presence.process for presence in await self.presences()}
        return frozenset(answering - {PROCESS_ID})

    def _expect(self, revision: str) -> None:
        self._awaited = revision
        self._acks.clear()

    async def _on_applied(self, ack: ConfigApplied) -> None:
        if ack.revision == self._awaited and ack.process != PROCESS_ID:
            self._acks[ack.process] = ack
            self._acked.set()

    async def _wait_for(self, others: frozenset[str]) -> frozenset[str]:
        """Wait until all have answered, one has refused, or time is up; return who is silent."""
        try:
            async with asyncio.timeout(APPLY_SECONDS):
                while not (
                    others <= self._acks.keys() or any(a.error for a in self._acks.values())
                ):
                    self._acked.clear()
                    await self._acked.wait()
        except TimeoutError:
            self._log.warning("config_change_incomplete", silent=sorted(others - self._acks.keys()))
        return others - self._acks.keys()

    async def _remember(self, entry: ConfigRevision) -> None:
        """Keep a revision to go back to; forget the oldest ones."""
        try:
            bucket = await self._context.bus.bucket(REVISIONS)
            await bucket.put(entry.revision, entry)
            if len(await bucket.keys()) > MAX_REVISIONS:
                for old in (await self.revisions())[MAX_REVISIONS:]:
                    await bucket.delete(old.revision)
        except BusUnavailable as error:
            self._log.warning("revision_not_kept", revision=entry.revision, reason=str(error))
