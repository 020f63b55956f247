"""What rooms may ask of the bus. Typed names only: no room ever spells a subject.

Three kinds of names exist. A ``Subject`` carries facts of the moment, lost when nobody listens. A
``Bucket`` keeps the last value of each key (JetStream key-value). A ``Stream`` keeps every entry in
one order with a sequence number (a JetStream stream). Blobs live in an ``ObjectStore``.

Delivery: a subscriber sees a publisher's facts in order, at most once. Buckets and streams are
durable: a write that returned was stored, and, where ``durable`` is asked for, fsynced.
When the bus is away, reads and writes raise BusUnavailable after their timeout, publishing facts
drops them (counted in a metric), subscriptions and watches come back by themselves with the current
values. Opening a bucket or a stream, subscribing and watching never fail for a bus that is away: they
return after a moment, and the values come when it is there. A write that ended in BusUnavailable may have been done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from quantum.errors import BusUnavailable

P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True)
class Subject(Generic[P]):
    """A fact: ``name`` in past tense (``quantum.proxy.upstream_observed``) and its payload model."""

    name: str
    payload: type[P]
    summary: str


@dataclass(frozen=True)
class Bucket(Generic[P]):
    """The last value of each key. ``ttl`` in seconds (0: for ever); ``history`` values kept per key."""

    name: str
    payload: type[P]
    summary: str
    ttl: float = 0.0
    history: int = 1


@dataclass(frozen=True)
class Stream(Generic[P]):
    """An append-only log per key, one order each; NATS names it ``<name>_<key>``."""

    name: str
    payload: type[P]
    summary: str


@dataclass(frozen=True)
class ObjectStore:
    """Blobs by name, one store per key; NATS names it ``<name>_<key>``."""

    name: str
    summary: str


@dataclass(frozen=True)
class Entry(Generic[P]):
    """One value read from a bucket or a stream; ``value`` is None for a deleted key."""

    key: str
    value: P | None
    revision: int


@dataclass(frozen=True)
class Held:
    """A blob as its store lists it: ``age`` in seconds since it was last put, by the bus's own clock."""

    name: str
    size: int
    age: float
    revision: int


class Conflict(Exception):
    """A compare-and-swap write found another revision than expected."""


class Replaced(BusUnavailable):
    """A log was lost and made anew under its key: who opened it knows another one. It MUST be opened again."""


class Subscription(Protocol):
    """A running subscription or watch."""

    async def aclose(self) -> None:
        """Stop it. Idempotent."""


class KeyValue(Protocol[P]):
    """One bucket, opened. Keys: letters, digits and ``-_=./`` (``bus.subjects.key_of`` makes any text fit)."""

    async def get(self, key: str) -> Entry[P] | None:
        """Return the current value, None when there is none."""

    async def keys(self) -> list[str]:
        """Return all keys that have a value."""

    async def put(self, key: str, value: P) -> int:
        """Write; returns the new revision."""

    async def create(self, key: str, value: P) -> int:
        """Write only if the key has no value; Conflict otherwise."""

    async def update(self, key: str, value: P, revision: int) -> int:
        """Write only if ``revision`` is the current one; Conflict otherwise."""

    async def delete(self, key: str) -> None:
        """Remove the value; fine when there is none."""

    async def watch(self, on_entry: Callable[[Entry[P]], Awaitable[None]]) -> Subscription:
        """Call ``on_entry`` for every present value, then for every change, one at a time.

        Returns after the present values were delivered. After a reconnect the present values come
        again; deletions that were missed come as entries with value None.
        """


class Log(Protocol[P]):
    """One key of a stream, opened.

    Everything raises Replaced once the log is not the one any more that it first was; at the latest
    when a new connection was made, or some seconds after it was lost on a connection that stays.
    """

    async def append(self, value: P, *, expected_last: int | None = None) -> int:
        """Store durably; returns the sequence, which is right behind ``expected_last`` when that is given.

        Conflict if the last one is not ``expected_last``: then nothing was stored. BusUnavailable: it may
        or may not have been. However often one call has to send it, it is stored once.
        """

    async def append_all(self, values: Sequence[P], *, expected_last: int) -> int:
        """Store in this order, right behind ``expected_last``; returns the last sequence.

        Conflict or BusUnavailable: the first few may have been stored. Without either what is in the log
        there are these values, of this call, whatever others append that looks the same.
        """

    async def bounds(self) -> tuple[int, int]:
        """Return the first and the last sequence held; (1, 0) when empty."""

    async def purge(self, through: int) -> None:
        """Drop the entries up to that sequence; those behind it keep theirs."""

    async def identity(self) -> str:
        """Return what tells this log from one that was lost and made anew under the same key."""

    def read(self, after: int, known: Callable[[], int] = lambda: 0) -> AsyncIterator[Entry[P]]:
        """Yield the entries after that sequence, then new ones as they come; never ends by itself.

        An entry up to ``known()``, asked when it comes, is left out: the reader wrote it itself.
        """


class Objects(Protocol):
    """One store of blobs, opened. A name's content never changes: writing it again makes it young."""

    async def put(self, name: str, data: bytes) -> None:
        """Store durably, or renew: nobody's ``drop`` of what was listed before removes it then."""

    async def get(self, name: str) -> bytes | None:
        """Return the content, None when there is none."""

    async def list(self) -> list[Held]:
        """Return everything that is there, in no order."""

    async def drop(self, held: Held) -> bool:
        """Remove what was listed, unless it was put since; whether it went."""

    async def tidy(self, age: float) -> int:
        """Remove what puts and drops that did not end left ``age`` seconds ago; return how many."""


class Bus(Protocol):
    """A connection to the bus, shared by all rooms of a process."""

    @property
    def is_connected(self) -> bool:
        """Whether the bus can be reached now."""

    async def publish(self, subject: Subject[P], payload: P) -> None:
        """Send a fact; never waits for subscribers, never raises for a bus that is away."""

    async def subscribe(
        self, subject: Subject[P], on_fact: Callable[[P], Awaitable[None]]
    ) -> Subscription:
        """Call ``on_fact`` for each fact, one at a time; a payload that does not parse is logged and dropped."""

    async def bucket(self, bucket: Bucket[P]) -> KeyValue[P]:
        """Open a bucket, made when missing."""

    async def stream(self, stream: Stream[P], key: str) -> Log[P]:
        """Open the log of ``key``, made when missing, with fsync before acknowledgement."""

    async def objects(self, store: ObjectStore, key: str) -> Objects:
        """Open the blobs of ``key``, made when missing."""

    async def aclose(self) -> None:
        """Flush and close. Idempotent."""
