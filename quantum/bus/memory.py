"""The bus inside one process, for tests: same interface, same conformance suite as NATS.

A ``MemoryServer`` holds what a NATS server would; each ``MemoryBus`` is one connection to it and can
be cut and restored. Payloads travel as JSON, so that a model that does not survive it fails here too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from quantum.bus.api import (
    Bucket,
    Conflict,
    Entry,
    Held,
    KeyValue,
    Log,
    Objects,
    ObjectStore,
    Replaced,
    Stream,
    Subject,
    Subscription,
)
from quantum.clock import Clock, SystemClock
from quantum.errors import BusUnavailable, QuantumError
from quantum.tasks import TaskSet

P = TypeVar("P", bound=BaseModel)
_log = structlog.get_logger("quantum.bus")


@dataclass
class _Value:
    """The last write to a key; ``data`` is None after a deletion."""

    data: bytes | None
    revision: int


@dataclass
class _BucketState:
    values: dict[str, _Value] = field(default_factory=dict)
    last: int = 0


@dataclass
class _StreamState:
    entries: list[bytes] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    first: int = 1
    identity: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True)
class _Blob:
    data: bytes
    since: float
    revision: int


class MemoryServer:
    """What all connections of a test share."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.buckets: defaultdict[str, _BucketState] = defaultdict(_BucketState)
        self.streams: defaultdict[str, _StreamState] = defaultdict(_StreamState)
        self.objects: defaultdict[str, dict[str, _Blob]] = defaultdict(dict)
        self.puts = 0
        self.listeners: set[_Inbox] = set()
        self._tasks = TaskSet("memory-bus")

    def write(self, bucket: Bucket[Any], key: str, data: bytes | None) -> int:
        """Store a value, tell the watchers, start its time to live."""
        state = self.buckets[bucket.name]
        state.last += 1
        state.values[key] = _Value(data, state.last)
        self.tell(bucket.name, (key, state.values[key]))
        if bucket.ttl and data is not None:
            self._tasks.start(self._expire(bucket, key, state.last), "ttl")
        return state.last

    async def _expire(self, bucket: Bucket[Any], key: str, revision: int) -> None:
        await self.clock.sleep(bucket.ttl)
        if self.buckets[bucket.name].values[key].revision == revision:
            self.write(bucket, key, None)

    def tell(self, name: str, item: Any) -> None:
        """Hand ``item`` to every connected listener of ``name``."""
        for inbox in list(self.listeners):
            if inbox.name == name and inbox.bus.is_connected:
                inbox.queue.put_nowait(item)

    def wipe(self) -> None:
        """Lose everything, as a server does whose storage was deleted."""
        lost = list(self.streams.values())
        for held in (self.buckets, self.streams, self.objects):
            held.clear()
        for state in lost:
            state.grown.set()

    async def aclose(self) -> None:
        """Stop its timers."""
        await self._tasks.aclose()


class _Inbox:
    """One subscription: a queue and the task that empties it."""

    def __init__(self, bus: MemoryBus, name: str, handle: Callable[[Any], Awaitable[None]]) -> None:
        self.bus = bus
        self.name = name
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self._handle = handle
        self._task = bus.tasks.start(self._run(), name)
        bus.server.listeners.add(self)

    async def _run(self) -> None:
        while True:
            item = await self.queue.get()
            try:
                await self._handle(item)
            except Exception as error:  # noqa: BLE001 - a failing callback must not end the subscription
                _log.error("bus_callback_failed", name=self.name, exc_info=error)
            finally:
                self.queue.task_done()

    async def aclose(self) -> None:
        """Stop it. Idempotent."""
        self.bus.server.listeners.discard(self)
        self._task.cancel()
        if self._task is not asyncio.current_task():
            await asyncio.wait([self._task])


class MemoryBus:
    """One connection to a MemoryServer."""

    def __init__(self, server: MemoryServer | None = None, clock: Clock | None = None) -> None:
        """Without ``server`` it has its own one, on ``clock``."""
        self._owns_server = server is None
        self.server = server or MemoryServer(clock)
        self.tasks = TaskSet("bus")
        self._connected = True

    @property
    def is_connected(self) -> bool:
        """Whether it was not cut."""
        return self._connected

    def cut(self) -> None:
        """Lose the connection."""
        self._connected = False

    async def restore(self) -> None:
        """Connect again: watches get the present values and the deletions they missed."""
        self._connected = True
        for inbox in [i for i in self.server.listeners if i.bus is self]:
            inbox.queue.put_nowait(None)
        await self.settled()

    async def settled(self) -> None:
        """Wait until every fact and entry of this connection was handled."""
        for inbox in [i for i in self.server.listeners if i.bus is self]:
            await inbox.queue.join()

    def require(self) -> None:
        """Raise BusUnavailable when the connection is cut."""
        if not self._connected:
            raise BusUnavailable("the bus is away")

    async def publish(self, subject: Subject[P], payload: P) -> None:
        """Send a fact to everyone connected; dropped when cut."""
        if self._connected:
            self.server.tell(subject.name, payload.model_dump_json().encode())

    async def subscribe(
        self, subject: Subject[P], on_fact: Callable[[P], Awaitable[None]]
    ) -> Subscription:
        """Call ``on_fact`` for each fact, one at a time."""

        async def handle(data: bytes | None) -> None:
            if data is not None and (fact := _parse(subject.payload, data, subject.name)):
                await on_fact(fact)

        return _Inbox(self, subject.name, handle)

    async def bucket(self, bucket: Bucket[P]) -> KeyValue[P]:
        """Open a bucket."""
        return _MemoryKeyValue(self, bucket)

    async def stream(self, stream: Stream[P], key: str) -> Log[P]:
        """Open a log."""
        return _MemoryLog(self, stream, key)

    async def objects(self, store: ObjectStore, key: str) -> Objects:
        """Open a store of blobs."""
        return _MemoryObjects(self, f"{store.name}_{key}")

    async def aclose(self) -> None:
        """End all subscriptions. Idempotent."""
        self._connected = False
        self.server.listeners = {i for i in self.server.listeners if i.bus is not self}
        await self.tasks.aclose()
        if self._owns_server:
            await self.server.aclose()


class _MemoryKeyValue(Generic[P]):
    """A bucket of a MemoryServer."""

    def __init__(self, bus: MemoryBus, bucket: Bucket[P]) -> None:
        self._bus = bus
        self._bucket = bucket

    @property
    def _state(self) -> _BucketState:
        self._bus.require()
        return self._bus.server.buckets[self._bucket.name]

    async def get(self, key: str) -> Entry[P] | None:
        """Return the current value; QuantumError when this version cannot read it."""
        value = self._state.values.get(key)
        if value is None or value.data is None:
            return None
        payload = _parse(self._bucket.payload, value.data, self._bucket.name)
        if payload is None:
            raise QuantumError(f"{self._bucket.name}: the value of {key} cannot be read")
        return Entry(key, payload, value.revision)

    async def keys(self) -> list[str]:
        """Return all keys that have a value."""
        return [key for key, value in self._state.values.items() if value.data is not None]

    async def put(self, key: str, value: P) -> int:
        """Write; returns the new revision."""
        self._bus.require()
        return self._bus.server.write(self._bucket, key, value.model_dump_json().encode())

    async def create(self, key: str, value: P) -> int:
        """Write only if the key has no value."""
        held = self._state.values.get(key)
        if held is not None and held.data is not None:
            raise Conflict(key)
        return await self.put(key, value)

    async def update(self, key: str, value: P, revision: int) -> int:
        """Write only if ``revision`` is the current one."""
        held = self._state.values.get(key)
        if (held.revision if held else 0) != revision:
            raise Conflict(key)
        return await self.put(key, value)

    async def delete(self, key: str) -> None:
        """Remove the value."""
        if key in self._state.values:
            self._bus.server.write(self._bucket, key, None)

    async def watch(self, on_entry: Callable[[Entry[P]], Awaitable[None]]) -> Subscription:
        """Follow the bucket; see the interface."""
        known: set[str] = set()

        async def deliver(key: str, value: _Value) -> None:
            payload = None
            if value.data is not None:
                payload = _parse(self._bucket.payload, value.data, self._bucket.name)
                if payload is None:
                    return
            (known.discard if payload is None else known.add)(key)
            await on_entry(Entry(key, payload, value.revision))

        async def handle(item: tuple[str, _Value] | None) -> None:
            if item is not None:
                await deliver(*item)
                return
            present = dict(self._bus.server.buckets[self._bucket.name].values)
            for key, value in present.items():
                if value.data is not None or key in known:
                    await deliver(key, value)

        inbox = _Inbox(self._bus, self._bucket.name, handle)
        if self._bus.is_connected:
            inbox.queue.put_nowait(None)
            await inbox.queue.join()
        return inbox


class _MemoryLog(Generic[P]):
    """A log of a MemoryServer."""

    def __init__(self, bus: MemoryBus, stream: Stream[P], key: str) -> None:
        self._bus = bus
        self._stream = stream
        self._key = key
        self._identity = ""

    @property
    def _state(self) -> _StreamState:
        state = self._bus.server.streams[f"{self._stream.name}_{self._key}"]
        if self._identity not in ("", state.identity):
            raise Replaced(f"{self._stream.name}_{self._key} was made anew")
        self._identity = state.identity
        return state

    async def append(self, value: P, *, expected_last: int | None = None) -> int:
        self._bus.require()
        state = self._state
        last = len(state.entries)
        if expected_last is not None and expected_last != last:
            raise Conflict(f"{self._key}: last is {last}, not {expected_last}")
        state.entries.append(value.model_dump_json().encode())
        state.grown.set()
        state.grown = asyncio.Event()
        return last + 1

    async def append_all(self, values: Sequence[P], *, expected_last: int) -> int:
        """Store one after the other."""
        for value in values:
            expected_last = await self.append(value, expected_last=expected_last)
        return expected_last

    async def bounds(self) -> tuple[int, int]:
        """Return the first and the last sequence held."""
        self._bus.require()
        return self._state.first, len(self._state.entries)

    async def purge(self, through: int) -> None:
        """Drop entries."""
        self._bus.require()
        state = self._state
        state.first = max(state.first, min(through, len(state.entries)) + 1)

    async def identity(self) -> str:
        """Return the mark of its making."""
        self._bus.require()
        return self._state.identity

    async def read(
        self, after: int, known: Callable[[], int] = lambda: 0
    ) -> AsyncIterator[Entry[P]]:
        """Yield what comes after that sequence, across outages."""
        position = after
        while True:
            state = self._state
            grown = state.grown
            if position > len(state.entries):
                raise Replaced(f"{self._key} ends before {position}, which was read")
            while (position := max(position, state.first - 1)) < len(state.entries):
                data = state.entries[position]
                position += 1
                if position <= known():
                    continue
                payload = _parse(self._stream.payload, data, self._stream.name)
                if payload is not None:
                    yield Entry(self._key, payload, position)
            await grown.wait()


class _MemoryObjects:
    """The blobs of a MemoryServer."""

    def __init__(self, bus: MemoryBus, name: str) -> None:
        self._bus = bus
        self._name = name

    @property
    def _held(self) -> dict[str, _Blob]:
        self._bus.require()
        return self._bus.server.objects[self._name]

    async def put(self, name: str, data: bytes) -> None:
        known, server = self._held.get(name), self._bus.server
        content = data if known is None else known.data
        server.puts += 1
        self._held[name] = _Blob(content, server.clock.monotonic(), server.puts)

    async def get(self, name: str) -> bytes | None:
        known = self._held.get(name)
        return None if known is None else known.data

    async def list(self) -> list[Held]:
        now = self._bus.server.clock.monotonic()
        return [
            Held(name, len(blob.data), now - blob.since, blob.revision)
            for name, blob in self._held.items()
        ]

    async def drop(self, held: Held) -> bool:
        known = self._held.get(held.name)
        if known is None or known.revision != held.revision:
            return False
        del self._held[held.name]
        return True

    async def tidy(self, age: float) -> int:
        self._bus.require()
        return 0


def _parse(model: type[P], data: bytes, name: str) -> P | None:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        _log.warning("bus_payload_refused", name=name, error=str(error))
        return None
