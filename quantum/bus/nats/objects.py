"""Blobs: JetStream's object store, in the layout of NATS's own tools (``nats object`` reads them).

A blob is two messages: its bytes under a subject of their own, then a record under its name. Whoever puts
a name that is there writes the record anew, expecting the one that was read; whoever drops a name erases
exactly the record that was listed. The server puts the two in one order, so either the name was put again
and stays, or it is gone before the put looks again and writes the bytes anew. Ages are the server's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from quantum.bus.api import Conflict, Held, ObjectStore
from quantum.bus.nats.feed import Feed, FeedBroken
from quantum.bus.nats.keyvalue import NO_MESSAGE, ensure_stream
from quantum.bus.nats.link import Link, Session
from quantum.errors import BusUnavailable

_ROLLUP, _EXPECTED = "Nats-Rollup", "Nats-Expected-Last-Subject-Sequence"
_DIGEST = "SHA-256="
_NOT_DELETED = frozenset({NO_MESSAGE, 10043, 10057})
"""JetStream's error codes for a message that is gone already."""
_ATTEMPTS = 100
"""Of a put that somebody else's put or drop of the same name overtakes each time."""

Record = dict[str, Any]


class NatsObjects:
    """One store on one link; made on the server when first used."""

    def __init__(self, link: Link, store: ObjectStore, key: str, replicas: int) -> None:
        self._link = link
        self._bucket = f"{store.name}_{key}"
        self._stream = f"OBJ_{self._bucket}"
        self._bytes = f"$O.{self._bucket}.C."
        self._records = f"$O.{self._bucket}.M."
        self._config = api.StreamConfig(
            name=self._stream,
            description=store.summary,
            subjects=[self._bytes + ">", self._records + ">"],
            storage=api.StorageType.FILE,
            discard=api.DiscardPolicy.NEW,
            num_replicas=replicas,
            max_consumers=0,
            allow_rollup_hdrs=True,
            allow_direct=True,
        )

    async def put(self, name: str, data: bytes) -> None:
        """Store, or renew: what is there has this content already."""
        for _ in range(_ATTEMPTS):
            try:
                await self._link.call(lambda session: self._put_once(session, name, data))
            except Conflict:
                continue
            return
        raise BusUnavailable(f"{name} is written by too many at once")

    async def _put_once(self, session: Session, name: str, data: bytes) -> None:
        await self._ensure(session)
        subject = self._subject(name)
        record, revision = await self._last(session, subject)
        fresh = ""
        if record is None:
            fresh = secrets.token_hex(12)
            record = self._describe(name, fresh, data)
            if data:
                await session.jetstream.publish(self._bytes + fresh, data)
        headers = {_ROLLUP: "sub", _EXPECTED: str(revision)}
        try:
            await session.jetstream.publish(subject, json.dumps(record).encode(), headers=headers)
        except APIError:
            await self._take_back(session, subject, fresh)
            raise

    async def _take_back(self, session: Session, subject: str, fresh: str) -> None:
        """Remove bytes that did not get a record: unless the refusal was of a repetition."""
        record, _ = await self._last(session, subject)
        if fresh and (record is None or record["nuid"] != fresh):
            await session.jetstream.purge_stream(self._stream, subject=self._bytes + fresh)

    def _describe(self, name: str, place: str, data: bytes) -> Record:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
        return {
            "name": name,
            "bucket": self._bucket,
            "nuid": place,
            "size": len(data),
            "chunks": 1 if data else 0,
            "digest": _DIGEST + digest,
            # A blob travels as one message: the largest is below the server's limit of 1 MiB.
            "options": {"max_chunk_size": len(data) or 1},
        }

    async def get(self, name: str) -> bytes | None:
        """Return the content; None when it is not there, or not what its record says."""

        async def read(session: Session) -> bytes | None:
            await self._ensure(session)
            record, _ = await self._last(session, self._subject(name))
            if record is None or not record["size"]:
                return None if record is None else b""
            data, _ = await self._message(session, self._bytes + str(record["nuid"]))
            digest = base64.urlsafe_b64encode(hashlib.sha256(data or b"").digest()).decode()
            return data if record["digest"] == _DIGEST + digest else None

        return await self._link.call(read)

    async def list(self) -> list[Held]:
        """Return what is there; BusUnavailable when the connection ends meanwhile."""
        session = self._session()
        try:
            now = await session.run(self._now)
            records = [(message, json.loads(message.data)) async for message in self._read(session)]
        except (FeedBroken, NatsError, OSError, TimeoutError) as error:
            raise BusUnavailable(str(error) or type(error).__name__) from error
        return [
            Held(
                record["name"],
                int(record["size"]),
                _age(message, now),
                message.metadata.sequence.stream,
            )
            for message, record in records
            if not record.get("deleted")
        ]

    async def drop(self, held: Held) -> bool:
        """Erase its record, then its bytes."""

        async def erase(session: Session) -> bool:
            await self._ensure(session)
            subject = self._subject(held.name)
            record, revision = await self._last(session, subject)
            if record is None or revision != held.revision:
                return False
            # An older record that a crash left would come to light: it goes first.
            stream = session.jetstream
            await stream.purge_stream(self._stream, seq=revision, subject=subject)
            try:
                await stream.delete_msg(self._stream, revision)
            except APIError as error:
                if error.err_code in _NOT_DELETED:
                    return False
                raise
            await stream.purge_stream(self._stream, subject=self._bytes + str(record["nuid"]))
            return True

        return await self._link.call(erase)

    async def tidy(self, age: float) -> int:
        """Remove bytes that have no record: a put or a drop did not come to its end."""
        session = self._session()
        try:
            now = await session.run(self._now)
            old = {
                message.subject
                async for message in self._read(session, is_of_bytes=True)
                if _age(message, now) > age
            }  # before the records: a record that comes later is seen below
            async for message in self._read(session):
                old.discard(self._bytes + str(json.loads(message.data)["nuid"]))
            for subject in old:
                await session.jetstream.purge_stream(self._stream, subject=subject)
        except (FeedBroken, NatsError, OSError, TimeoutError) as error:
            raise BusUnavailable(str(error) or type(error).__name__) from error
        return len(old)

    def _session(self) -> Session:
        """Return the session; a list takes longer than ``Link.call`` lets one operation take."""
        if self._link.session is None:
            raise BusUnavailable("the bus is away")
        return self._link.session

    async def _read(self, session: Session, *, is_of_bytes: bool = False) -> AsyncIterator[Msg]:
        """Yield the last message of each subject: the records, or the heads of the bytes."""
        await session.run(self._ensure)
        subjects = (self._bytes if is_of_bytes else self._records) + ">"
        async with aclosing(Feed(session, self._stream)) as feed:
            await feed.open(headers_only=is_of_bytes, subjects=subjects)
            left = feed.pending
            while left > 0 and (message := await feed.next()) is not None:
                left = message.metadata.num_pending
                yield message

    async def _now(self, session: Session) -> datetime:
        await self._ensure(session)
        answer = await session.client.request(f"$JS.API.STREAM.INFO.{self._stream}")
        return datetime.fromisoformat(json.loads(answer.data)["ts"][:26].rstrip("Z")).replace(
            tzinfo=UTC
        )

    async def _last(self, session: Session, subject: str) -> tuple[Record | None, int]:
        """Return a name's record, None when it was deleted, and its sequence."""
        data, sequence = await self._message(session, subject)
        record: Record | None = None if data is None else json.loads(data)
        return (None if record is None or record.get("deleted") else record), sequence

    async def _message(self, session: Session, subject: str) -> tuple[bytes | None, int]:
        """Return the last message of a subject: of the stream's leader, who knows it."""
        try:
            message = await session.jetstream.get_msg(self._stream, subject=subject)
        except NotFoundError as error:
            if error.err_code == NO_MESSAGE:
                return None, 0
            raise
        return message.data or b"", message.seq or 0

    def _subject(self, name: str) -> str:
        return self._records + base64.urlsafe_b64encode(name.encode()).decode()

    async def _ensure(self, session: Session) -> None:
        if self._stream not in session.ensured:
            await ensure_stream(session, self._config)


def _age(message: Msg, now: datetime) -> float:
    """Return for how many seconds the server has had a message."""
    return max(0.0, (now - message.metadata.timestamp).total_seconds())
