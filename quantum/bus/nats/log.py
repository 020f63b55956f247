"""Logs: one JetStream stream per key, kept for ever, acknowledged when stored on disk.

That an acknowledged entry survives a power cut is the server's ``sync_interval: always``; the
embedded server and the deployment files set it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar, cast

import structlog
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import APIError, NotFoundError
from pydantic import BaseModel, ValidationError

from quantum.bus.api import Conflict, Entry, Replaced, Stream
from quantum.bus.nats.feed import Feed, FeedBroken
from quantum.bus.nats.keyvalue import NO_MESSAGE, ensure_stream
from quantum.bus.nats.link import OPERATION_SECONDS, Link, Session
from quantum.bus.nats.loop import AGAIN_SECONDS

P = TypeVar("P", bound=BaseModel)
_log = structlog.get_logger("quantum.bus")
PIPELINED = 128
"""Appends under way at once: the server's fsyncs and the round trips overlap, buffers stay small."""
ATOMIC_FROM, MOST_ATOMIC = 12, 1000
"""Entries that are worth an atomic batch: it costs 3 ms and then 20 µs each, alone each costs 0.2 ms.
More than 1,000 the server takes in several."""
ATOMIC_SINCE = (2, 12, 1)
"""The first nats-server whose batches look at message ids."""
_REPEATED = frozenset({10071, 10164, 10201})
"""The expectation of the last sequence does not hold, or a message id was stored before."""
LOOKS_FOR_END = 10
"""Before a stream that ends too early is believed: some seconds, longer than a leader needs to catch up."""
DEDUPE_SECONDS = 120.0
"""How long the server remembers message ids: longer than any append is tried."""


class NatsLog(Generic[P]):
    """The log of one key on one link; made on the server when first used."""

    def __init__(self, link: Link, stream: Stream[P], key: str, replicas: int) -> None:
        self._link = link
        self._payload = stream.payload
        self._key = key
        self._name = f"{stream.name}_{key}"
        self._subject = f"{stream.name}.{key}"
        self._config = api.StreamConfig(
            name=self._name,
            description=stream.summary,
            subjects=[self._subject],
            storage=api.StorageType.FILE,
            duplicate_window=DEDUPE_SECONDS,
            num_replicas=replicas,
            allow_direct=True,
            allow_atomic=True,
        )
        self._created = ""
        self._seen_on: Session | None = None
        """The connection on which it was last looked at whether this is still the same stream."""
        # A stream of several copies that refuses an entry for the message before it answers none after
        # it (nats-server 2.15): there a chain is a batch from two on, or goes one by one.
        self._atomic_from, self._pipelined = (ATOMIC_FROM, PIPELINED) if replicas == 1 else (2, 1)

    async def append(self, value: P, *, expected_last: int | None = None) -> int:
        """Store; see the interface."""
        return await self._append_marked(value, _new_mark(), expected_last)

    async def _append_marked(
        self, value: P, mark: str, expected_last: int | None, behind: str = ""
    ) -> int:
        """Store with a mark; ``behind`` is that of the entry which must be the last one by then."""
        headers = {"Nats-Msg-Id": mark}
        if expected_last is not None:
            headers["Nats-Expected-Last-Sequence"] = str(expected_last)
        if behind:
            headers["Nats-Expected-Last-Msg-Id"] = behind
        data = value.model_dump_json().encode()

        async def publish(session: Session) -> int:
            await self._ensure(session)
            ack = await session.jetstream.publish(
                self._subject, data, stream=self._name, headers=dict(headers)
            )
            return ack.seq

        try:
            return await self._link.call(publish)
        except Conflict:
            # The server compares sequences before it looks for a repeated id: an entry that was
            # stored, and whose acknowledgement was lost, sits right behind the expected one.
            if expected_last is not None and await self._is_at(expected_last + 1, mark):
                return expected_last + 1
            raise

    async def append_all(self, values: Sequence[P], *, expected_last: int) -> int:
        """Store; each expects the one before it, so that nobody else's entry can come between."""
        if not values:
            return expected_last
        if len(values) >= self._atomic_from and await self._link.call(self._is_atomic):
            for start in range(0, len(values), MOST_ATOMIC):
                part = values[start : start + MOST_ATOMIC]
                expected_last = await self._append_batch(part, expected_last)
            return expected_last
        return await self._append_each(values, expected_last)

    async def _append_batch(self, values: Sequence[P], expected_last: int) -> int:
        """Store all or none, with one fsync (NATS ADR-50); Conflict."""
        encoded = [value.model_dump_json().encode() for value in values]
        marks = [_new_mark() for _ in values]
        last = expected_last + len(values)

        async def publish(session: Session) -> int:
            answer = await self._publish_batch(session, encoded, expected_last, marks)
            if (error := answer.get("error")) is None:
                return int(answer["seq"])
            if error.get("err_code") not in _REPEATED:
                APIError.from_error(error)
            raise Conflict(str(error.get("description")))

        try:
            return await self._link.call(publish)
        except Conflict:
            # As in ``append``: stored, and the acknowledgement was lost. A batch is there as a whole.
            if await self._is_at(last, marks[-1]):
                return last
            raise

    async def _publish_batch(
        self, session: Session, encoded: list[bytes], expected_last: int, marks: list[str]
    ) -> dict[str, Any]:
        """Send the entries; only the last one is answered."""
        client, batch = session.client, secrets.token_hex(12)
        for number, (data, mark) in enumerate(zip(encoded, marks, strict=True), 1):
            headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            headers["Nats-Msg-Id"] = mark
            if number == 1:
                headers["Nats-Expected-Last-Sequence"] = str(expected_last)
            if number < len(encoded):
                await client.publish(self._subject, data, headers=headers)
        headers["Nats-Batch-Commit"] = "1"
        answer = await client.request(
            self._subject, encoded[-1], timeout=OPERATION_SECONDS, headers=headers
        )
        return cast("dict[str, Any]", json.loads(answer.data))

    async def _is_atomic(self, session: Session) -> bool:
        """Whether the server stores batches as a whole: from version 2.12.1 on."""
        await self._ensure(session)
        version = session.client.connected_server_version
        return (version.major, version.minor, version.patch) >= ATOMIC_SINCE

    async def _append_each(self, values: Sequence[P], expected_last: int) -> int:
        """Store one after the other, each behind the very one before it.

        Sequences alone do not tell: where somebody else's entry took the place of one of these, that one
        is refused, and the next would find as many entries before it as it expects (decision 0277).
        """
        marks = [_new_mark() for _ in values]
        # The first one alone: it makes what is missing, and tells whether the others have a chance.
        last = await self._append_marked(values[0], marks[0], expected_last)
        for start in range(1, len(values), self._pipelined):
            sent = [
                self._append_marked(
                    values[n], marks[n], last + n - start, behind=marks[n - 1] if n > start else ""
                )
                for n in range(start, min(start + self._pipelined, len(values)))
            ]
            for outcome in await asyncio.gather(*sent, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
                last = outcome
        return last

    async def purge(self, through: int) -> None:
        """Drop entries."""

        async def purge(session: Session) -> None:
            await self._ensure(session)
            await session.jetstream.purge_stream(self._name, seq=through + 1)

        await self._link.call(purge)

    async def identity(self) -> str:
        """Return when the stream was made."""

        async def ask(session: Session) -> str:
            await self._ensure(session)
            await self._recognise(session)
            return self._created

        return await self._link.call(ask)

    async def _is_at(self, sequence: int, mark: str) -> bool:
        """Whether the entry there is the one that was sent with ``mark``."""

        async def look(session: Session) -> bool:
            try:
                message = await session.jetstream.get_msg(self._name, seq=sequence)
            except NotFoundError as error:
                if error.err_code == NO_MESSAGE:
                    return False
                raise
            return (message.headers or {}).get("Nats-Msg-Id") == mark

        return await self._link.call(look)

    async def bounds(self) -> tuple[int, int]:
        """Return the first and the last sequence held."""

        async def ask(session: Session) -> tuple[int, int]:
            await self._ensure(session)
            state = (await session.jetstream.stream_info(self._name)).state
            return max(state.first_seq, 1), state.last_seq

        return await self._link.call(ask)

    async def read(
        self, after: int, known: Callable[[], int] = lambda: 0
    ) -> AsyncIterator[Entry[P]]:
        """Yield what comes after that sequence, across outages."""
        position = after
        while True:
            session = await self._link.wait_session()
            try:
                await session.run(self._ensure)
                await self._find_end(session, position)
                async with aclosing(Feed(session, self._name)) as feed:
                    await feed.open(after=position)
                    while True:
                        message = await feed.next()
                        if message is None:
                            continue
                        position = feed.position
                        if position <= known():
                            continue
                        value = self._parse(message.data, position)
                        if value is not None:
                            yield Entry(self._key, value, position)
            except (FeedBroken, NatsError, OSError, TimeoutError) as error:
                if not session.ended.is_set():
                    _log.warning("bus_subscription_restarted", name=self._name, error=str(error))
                session.ensured.discard(self._name)  # it may be gone: a look tells
            await asyncio.sleep(AGAIN_SECONDS)

    async def _find_end(self, session: Session, position: int) -> None:
        """Replaced when the stream ends before what was read of it: its end was lost.

        A server that has just become the leader of a cluster's stream may know its end a little later.
        """
        for _ in range(LOOKS_FOR_END):
            if await session.run(self._recognise) >= position:
                return
            await asyncio.sleep(AGAIN_SECONDS)
        raise Replaced(f"{self._name} ends before {position}, which was read")

    async def _ensure(self, session: Session) -> None:
        if self._name not in session.ensured:
            await ensure_stream(session, self._config)
            self._seen_on = None
        if self._seen_on is not session:
            await self._recognise(session)

    async def _recognise(self, session: Session) -> int:
        """Compare when the stream was made, Replaced; return its last sequence."""
        # nats-py leaves the time of creation out of its StreamInfo.
        answer = await session.client.request(f"$JS.API.STREAM.INFO.{self._name}")
        said = json.loads(answer.data)
        if "error" in said:
            APIError.from_error(said["error"])
        created = str(said["created"])
        if self._created not in ("", created):
            raise Replaced(f"{self._name} was made anew at {created}")
        self._created = created
        self._seen_on = session
        return int(said["state"]["last_seq"])

    def _parse(self, data: bytes, sequence: int) -> P | None:
        try:
            return self._payload.model_validate_json(data)
        except ValidationError as error:
            _log.error("bus_payload_refused", name=self._name, key=sequence, error=str(error))
            return None


def _new_mark() -> str:
    """Return the message id of one entry of one append: none but a repetition of that send has it.

    It must not be the name that a client gave its operation: the client may have asked another replica
    for the same, and what that one stored would be taken for what this one sent (decision 0275).
    """
    return secrets.token_hex(12)
