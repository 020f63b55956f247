"""Buckets: JetStream key-value, in the layout of NATS's own tools (``nats kv`` reads them).

Reads ask the leader of the stream, so that what was written is what is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Generic, TypeVar

import structlog
from nats.js import api
from nats.js.errors import BadRequestError, NotFoundError
from pydantic import BaseModel, ValidationError

from quantum.bus.api import Bucket, Conflict, Entry, Subscription
from quantum.bus.nats.feed import Feed
from quantum.bus.nats.link import Link, Session
from quantum.bus.nats.loop import Running, deliver
from quantum.errors import QuantumError
from quantum.tasks import TaskSet

P = TypeVar("P", bound=BaseModel)
_log = structlog.get_logger("quantum.bus")
_OPERATION, _MARKER = "KV-Operation", "Nats-Marker-Reason"
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
MARKER_SECONDS = 60.0
"""How long the server keeps the sign that a key's time ran out: watchers of that minute hear of it,
later ones compare what is there with what they knew."""
DEDUPE_SECONDS = 120.0
NO_MESSAGE = 10037
_NAME_IN_USE = 10058


class NatsKeyValue(Generic[P]):
    """One bucket on one link; made on the server when first used."""

    def __init__(self, link: Link, tasks: TaskSet, bucket: Bucket[P], replicas: int) -> None:
        self._link = link
        self._tasks = tasks
        self._bucket = bucket
        self._replicas = replicas
        self._stream = f"KV_{bucket.name}"
        self._prefix = f"$KV.{bucket.name}."

    async def get(self, key: str) -> Entry[P] | None:
        """Return the current value; QuantumError when this version cannot read it."""
        data, revision = await self._link.call(lambda session: self._last(session, key))
        if data is None:
            return None
        value = self._parse(key, data)
        if value is None:
            raise QuantumError(f"{self._bucket.name}: the value of {key} cannot be read")
        return Entry(key, value, revision)

    async def keys(self) -> list[str]:
        """Return all keys that have a value."""
        return await self._link.call(self._list)

    async def put(self, key: str, value: P) -> int:
        """Write; returns the new revision."""
        return await self._write(key, value, {})

    async def create(self, key: str, value: P) -> int:
        """Write only if the key has no value."""
        try:
            return await self._write(key, value, {_EXPECTED: "0"})
        except Conflict:
            data, revision = await self._link.call(lambda session: self._last(session, key))
            if data is not None or not revision:
                raise
            return await self.update(key, value, revision)  # over the sign of a deletion

    async def update(self, key: str, value: P, revision: int) -> int:
        """Write only if ``revision`` is the current one."""
        return await self._write(key, value, {_EXPECTED: str(revision)})

    async def delete(self, key: str) -> None:
        """Remove the value."""
        await self._publish(key, b"", {_OPERATION: "DEL"})

    async def watch(self, on_entry: Callable[[Entry[P]], Awaitable[None]]) -> Subscription:
        """Follow the bucket; see the interface."""
        watch = _Watch(self._bucket.name, self._prefix, self._parse, on_entry)

        async def work(session: Session) -> None:
            await session.run(self._ensure)
            async with aclosing(Feed(session, self._stream)) as feed:
                await feed.open()
                await watch.follow(feed, running.settle)

        running = Running(self._link, self._tasks, f"watch:{self._bucket.name}", work)
        await running.wait_settled()
        return running

    async def _write(self, key: str, value: P, headers: dict[str, str]) -> int:
        return await self._publish(key, value.model_dump_json().encode(), headers)

    async def _publish(self, key: str, data: bytes, headers: dict[str, str]) -> int:
        async def publish(session: Session) -> int:
            await self._ensure(session)
            subject = self._prefix + key
            ack = await session.jetstream.publish(subject, data, headers=dict(headers) or None)
            return ack.seq

        return await self._link.call(publish)

    async def _last(self, session: Session, key: str) -> tuple[bytes | None, int]:
        """Return the last write to ``key``: its data (None for a deletion) and its revision."""
        await self._ensure(session)
        try:
            message = await session.jetstream.get_msg(self._stream, subject=self._prefix + key)
        except NotFoundError as error:
            if error.err_code == NO_MESSAGE:
                return None, 0
            raise
        gone = is_deletion(message.headers)
        return (None if gone else message.data or b""), message.seq or 0

    async def _list(self, session: Session) -> list[str]:
        await self._ensure(session)
        found: dict[str, None] = {}
        async with aclosing(Feed(session, self._stream)) as feed:
            await feed.open(headers_only=True)
            left = feed.pending
            while left > 0 and (message := await feed.next()) is not None:
                left = message.metadata.num_pending
                key = message.subject.removeprefix(self._prefix)
                found.pop(key, None)
                if not is_deletion(message.headers):
                    found[key] = None
        return list(found)

    async def _ensure(self, session: Session) -> None:
        if self._stream not in session.ensured:
            await ensure_stream(session, _stream_config(self._bucket, self._replicas))

    def _parse(self, key: str, data: bytes) -> P | None:
        try:
            return self._bucket.payload.model_validate_json(data)
        except ValidationError as error:
            _log.warning("bus_payload_refused", name=self._bucket.name, key=key, error=str(error))
            return None


class _Watch(Generic[P]):
    """What a watcher knows of a bucket, across sessions."""

    def __init__(
        self,
        name: str,
        prefix: str,
        parse: Callable[[str, bytes], P | None],
        on_entry: Callable[[Entry[P]], Awaitable[None]],
    ) -> None:
        self._name = name
        self._prefix = prefix
        self._parse = parse
        self._on_entry = on_entry
        self._known: set[str] = set()

    async def follow(self, feed: Feed, settle: Callable[[], None]) -> None:
        """Deliver the present values, then the deletions that were missed, then what comes."""
        before, seen, is_complete = set(self._known), set[str](), False
        left = feed.pending
        while True:
            if not is_complete and left == 0:
                is_complete = True
                for key in before - seen:
                    await self._tell(key, None, 0)
                settle()
            message = await feed.next()
            if message is None:
                left = 0
                continue
            left = message.metadata.num_pending
            key = message.subject.removeprefix(self._prefix)
            seen.add(key)
            data = None if is_deletion(message.headers) else message.data
            await self._tell(key, data, message.metadata.sequence.stream)

    async def _tell(self, key: str, data: bytes | None, revision: int) -> None:
        value = None if data is None else self._parse(key, data)
        if data is not None and value is None:
            return
        if value is not None:
            self._known.add(key)
        elif key in self._known:
            self._known.discard(key)
        else:
            return
        await deliver(self._name, self._on_entry(Entry(key, value, revision)))


def is_deletion(headers: dict[str, str] | None) -> bool:
    """Whether a message says that its key has no value: deleted, purged, or out of time."""
    if not headers:
        return False
    return _MARKER in headers or headers.get(_OPERATION) in ("DEL", "PURGE")


def _stream_config(bucket: Bucket[Any], replicas: int) -> api.StreamConfig:
    return api.StreamConfig(
        name=f"KV_{bucket.name}",
        description=bucket.summary,
        subjects=[f"$KV.{bucket.name}.>"],
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.NEW,
        max_msgs_per_subject=bucket.history,
        max_age=bucket.ttl or None,
        duplicate_window=min(bucket.ttl or DEDUPE_SECONDS, DEDUPE_SECONDS),
        deny_delete=True,
        allow_rollup_hdrs=True,
        allow_direct=True,
        allow_msg_ttl=True,
        subject_delete_marker_ttl=MARKER_SECONDS if bucket.ttl else None,
        num_replicas=replicas,
    )


async def ensure_stream(session: Session, config: api.StreamConfig) -> None:
    """Make the stream unless it is there; one that was made differently is brought up to date."""
    name = config.name or ""
    try:
        await session.jetstream.add_stream(config)
    except BadRequestError as error:
        if error.err_code != _NAME_IN_USE:
            raise
        try:
            await session.jetstream.update_stream(config)
        except BadRequestError as refusal:
            _log.warning("bus_stream_differs", stream=name, error=str(refusal.description))
    session.ensured.add(name)
