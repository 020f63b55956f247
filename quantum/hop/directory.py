"""Which processes serve which rooms: the deployment's presence, as this process knows it.

Every process puts its rooms into the ROOMS bucket and again every few seconds; everybody watches.
What is known is also on disk, so that a process that starts while the bus is away finds the others.
A process that dies is noticed at its connections, at once; the bucket only tells who is new.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from quantum.bus.api import Bus, Entry, KeyValue, Subscription
from quantum.bus.subjects import ROOMS, RoomPresence, key_of
from quantum.clock import Clock
from quantum.errors import BusUnavailable
from quantum.hop.peer import Peer
from quantum.tasks import TaskSet

if TYPE_CHECKING:
    import structlog

HEARTBEAT_SECONDS = 5.0
FORGET_SECONDS = 16.0
"""Silence after which a process is forgotten: three heartbeats and the bucket's own time to live."""


class Directory:
    """The presence of all processes, and the connections to them."""

    def __init__(
        self,
        bus: Bus,
        copy: Path,
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        process: str,
        parent: str = "",
    ) -> None:
        """``copy`` is the file that outlives this process; ``process`` names this one."""
        self._bus = bus
        self._copy = copy
        self._clock = clock
        self._log = log
        self._process = process
        self._parent = parent
        self._tasks = TaskSet("hop")
        self._seen: dict[str, float] = {}
        self._presences: dict[str, RoomPresence] = {}
        self._peers: dict[str, Peer] = {}
        self._rooms: dict[str, list[Peer]] = {}
        self._own: dict[str, RoomPresence] = {}
        self._changed = asyncio.Event()
        self._bucket: KeyValue[RoomPresence] | None = None
        self._watch: Subscription | None = None
        self._turn = 0

    async def open(self) -> None:
        """Read the copy on disk and begin to watch, now or as soon as the bus is there."""
        for presence in self._read_copy():
            self._take(_key(presence), presence)
        self._rebuild()
        await self._connect_to_bus()
        self._tasks.start(self._beat(), "heartbeat")

    async def withdraw(self) -> None:
        """Tell the others that this process is leaving. Idempotent."""
        own, self._own = self._own, {}
        if self._bucket is not None and self._bus.is_connected:
            for key in own:
                try:
                    await self._bucket.delete(key)
                except BusUnavailable:
                    break  # the time to live does it

    async def aclose(self) -> None:
        """Stop watching; let connections end with their requests. Idempotent."""
        if self._watch is not None:
            await self._watch.aclose()
        await self._tasks.aclose()
        for peer in self._peers.values():
            peer.close()

    async def announce(self, rooms: frozenset[str], address: str, revision: str) -> None:
        """Say what this process serves, now and with every heartbeat."""
        self._own = {}
        for room in sorted(rooms):
            presence = RoomPresence(
                process=self._process, room=room, address=address, revision=revision,
                parent=self._parent,
            )  # fmt: skip
            self._own[_key(presence)] = presence
        await self._put_own()

    # Finding a process.

    def pick(self, room: str, tried: set[Peer]) -> Peer | None:
        """Return a live process of ``room``: of the two whose turn it is, the one with less to do.

        Two looked at in turn share nearly as well as all, and cost the same however many there are.
        One that was lost is taken only when there is no other, since it may be back.
        """
        peers = self._rooms.get(room)
        if not peers:
            return None
        if len(peers) == 1:
            return None if peers[0] in tried else peers[0]
        left = [p for p in peers if p not in tried] if tried else peers
        live = [p for p in left if not p.is_lost] or left
        if not live:
            return None
        self._turn = turn = self._turn + 1
        one, two = live[turn % len(live)], live[(turn + 1) % len(live)]
        return one if one.in_flight <= two.in_flight else two

    def mismatch(self, room: str) -> str:
        """Return why no process of ``room`` can be spoken to, when all there are speak another version."""
        reasons = [peer.mismatch for peer in self._rooms.get(room, ())]
        return reasons[0] if reasons and all(reasons) else ""

    async def changed(self, seconds: float) -> None:
        """Wait until another process is known, at most ``seconds``."""
        await asyncio.sleep(0)  # a request that has not waited yet has no task, a timeout needs one
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    @property
    def presences(self) -> list[RoomPresence]:
        """Everything known, the own rooms excepted."""
        return list(self._presences.values())

    # The bus.

    async def _connect_to_bus(self) -> None:
        if self._watch is not None:
            return
        try:
            self._bucket = await self._bus.bucket(ROOMS)
            self._watch = await self._bucket.watch(self._on_entry)
        except BusUnavailable as error:
            self._log.warning("hop_directory_offline", reason=str(error))

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(HEARTBEAT_SECONDS)
            await self._connect_to_bus()
            await self._put_own()
            self._forget_silent()

    async def _put_own(self) -> None:
        if self._bucket is None:
            return
        for key, presence in list(self._own.items()):
            try:
                await self._bucket.put(key, presence)
            except BusUnavailable:
                return  # the next heartbeat says it

    async def _on_entry(self, entry: Entry[RoomPresence]) -> None:
        presence = entry.value
        if presence is not None and presence.process == self._process:
            return
        before = self._presences.get(entry.key)
        if presence is None:
            self._drop(entry.key)
        else:
            self._take(entry.key, presence)
        after = self._presences.get(entry.key)
        if (before and before.address) != (after and after.address):
            self._rebuild()
            self._write_copy()

    def _take(self, key: str, presence: RoomPresence) -> None:
        for other, known in list(self._presences.items()):
            is_former = other != key and known.address == presence.address
            if is_former and known.process != presence.process:
                self._drop(other)  # the process before this one, at the same address
        self._seen[key] = self._clock.monotonic()
        self._presences[key] = presence

    def _drop(self, key: str) -> None:
        self._presences.pop(key, None)
        self._seen.pop(key, None)

    def _forget_silent(self) -> None:
        """Forget processes that stopped to say they are there; not while nobody can say it."""
        now = self._clock.monotonic()
        if not self._bus.is_connected:
            self._seen = dict.fromkeys(self._seen, now)
            return
        silent = [k for k, at in self._seen.items() if now - at > FORGET_SECONDS]
        for key in silent:
            self._log.info("hop_process_forgotten", key=key)
            self._drop(key)
        if silent:
            self._rebuild()
            self._write_copy()

    def _rebuild(self) -> None:
        rooms: dict[str, list[Peer]] = {}
        used = {p.address for p in self._presences.values()}
        for address in [a for a in self._peers if a not in used]:
            self._peers.pop(address).close()
        for presence in self._presences.values():
            peer = self._peers.get(presence.address)
            if peer is None:
                peer = self._peers[presence.address] = Peer(presence.address, self._tasks)
            members = rooms.setdefault(presence.room, [])
            if peer not in members:
                members.append(peer)
        self._rooms = rooms
        self._changed.set()
        self._changed = asyncio.Event()

    # The copy on disk.

    def _read_copy(self) -> list[RoomPresence]:
        try:
            return [RoomPresence.model_validate(p) for p in json.loads(self._copy.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            self._log.warning("hop_directory_copy_unreadable", reason=str(error))
            return []

    def _write_copy(self) -> None:
        text = json.dumps([p.model_dump() for p in self._presences.values()])
        fresh = self._copy.with_name(f"{self._copy.name}.{self._process}")
        try:
            self._copy.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text)
            fresh.replace(self._copy)
        except OSError as error:
            self._log.warning("hop_directory_copy_failed", reason=str(error))


def _key(presence: RoomPresence) -> str:
    return f"{key_of(presence.room)}.{presence.process}"
