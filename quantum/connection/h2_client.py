"""An HTTP/2 client connection: many requests at once over one socket.

Who calls decides about retries; this file tells what it needs to know: whether a request that
failed may have been processed (``RequestFailed.was_processed``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from quantum.connection.h2 import (
    Codec,
    H2Connection,
    H2Stream,
    field_value,
    length_of,
    trailers_of,
)
from quantum.connection.h2_tunnel import H2Tunnel
from quantum.errors import BodyAborted, QuantumError
from quantum.http.body import HIGH_WATER, AnyBody, discard
from quantum.replies import Reply
from quantum.tasks import drive
from quantum.wire.h2 import CANCEL, REFUSED_STREAM, Fields, H2Codec, H2Failure, H2Settings

PING_SECONDS = 10.0
"""A connection that was silent that long is asked for a sign of life, and given up after as long
again: a peer that vanished without a word (power, cable) is noticed within three such spans."""

OnInformational = Callable[[Fields], None]


class RequestFailed(QuantumError):
    """A request that got no response.

    ``was_processed`` is False when the peer surely did nothing with it: sending it again is safe
    whatever its method. ``error_code`` is the peer's reset code, None when the connection broke.
    """

    def __init__(self, reason: str, *, was_processed: bool, error_code: int | None = None) -> None:
        super().__init__(reason)
        self.was_processed = was_processed
        self.error_code = error_code


class H2Answer(NamedTuple):
    """A response: its head's fields, its body (bytes if it was all there with the head), its stream."""

    fields: Fields
    body: AnyBody
    stream: H2Stream


class ClientStream(H2Stream):
    """One request under way."""

    __slots__ = ("fields", "head", "is_tunnel", "on_informational", "sender", "whole")

    def __init__(
        self, client: H2Client, stream_id: int, on_informational: OnInformational | None
    ) -> None:
        super().__init__(client, stream_id)
        self.head: Reply[Fields] = Reply(client.loop)
        self.fields: Fields | None = None
        """The head, as soon as it is here; ``head`` is told once all that came with it is here too."""
        self.on_informational = on_informational
        self.whole: bytes | None = None
        self.is_tunnel = False
        self.sender: asyncio.Task[None] | None = None

    async def send(self, body: AnyBody) -> None:
        """Send the request's body; its failure becomes the request's."""
        try:
            await self.send_body(body)
        except Exception as error:  # noqa: BLE001 - whatever the body's source raised
            if not self.is_closed:
                self.fail(error)
                self.reset(CANCEL)

    def fail(self, failure: BaseException) -> None:
        """End the wait for the head."""
        if not self.head.done():
            self.head.set_exception(failure)

    def expire(self) -> None:
        """Give up: the deadline has come."""
        self.fail(TimeoutError("no response before the deadline"))
        self.reset(CANCEL)

    def receive(self, data: bytes, ended: bool) -> None:
        """Keep a body that comes in one piece as bytes; make a stream of any other."""
        if self.body is None:
            if ended:
                self.whole = data
                if data:
                    self.connection.codec.consumed(self.id, len(data))
                return
            self.open_body(length_of(self.fields or ()))
        super().receive(data, ended)

    def closed(self, error_code: int, failure: Exception | None = None) -> None:
        """Hear that the stream is over, maybe in one read with its head: the body that did not come fails."""
        if self.fields is not None and self.whole is None and self.body is None:
            self.open_body(length_of(self.fields))
        super().closed(error_code, failure)

    def take_body(self) -> AnyBody:
        """Return the body as far as it has come."""
        if self.whole is not None:
            return self.whole
        body = self.body or self.open_body(length_of(self.fields or ()))
        if body.is_ended:
            whole = body.take_all()
            if whole is not None:
                return whole
        return body


class H2Client(H2Connection):
    """The client's end of one connection."""

    version = "HTTP/2.0"
    """As responses say it."""

    def __init__(
        self,
        settings: H2Settings,
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[H2Client], None] | None = None,
        silence: float = PING_SECONDS,
        make_codec: type[Codec] = H2Codec,
    ) -> None:
        """``silence`` is how long (s) the peer may say nothing before it is asked for a sign of life."""
        super().__init__("client", settings, loop, make_codec)
        self._silence = silence
        self._on_lost = on_lost
        self._streams: dict[int, ClientStream] = {}
        self._answered: list[ClientStream] = []
        self._slots: deque[asyncio.Future[None]] = deque()
        self._max_streams = 0
        self._settings_known: asyncio.Future[None] = loop.create_future()
        self._is_leaving = False
        self._was_heard = True
        self._is_asked = False
        self._timer: asyncio.TimerHandle | None = None

    # What callers use.

    @property
    def is_usable(self) -> bool:
        """Whether new requests can be sent."""
        return not (self.is_lost or self._is_leaving)

    @property
    def is_leaving(self) -> bool:
        """Whether it ends on purpose: ours, or the peer said goodbye."""
        return self._is_leaving

    @property
    def open_streams(self) -> int:
        """Requests under way or waiting for a stream."""
        return len(self._streams) + len(self._slots)

    @property
    def has_room(self) -> bool:
        """Whether a request would not have to wait for a stream."""
        return len(self._streams) < self._max_streams and not self._slots

    @property
    def is_ready(self) -> bool:
        """Whether a request can be sent at once."""
        return (
            len(self._streams) < self._max_streams
            and not self._slots
            and not self.is_lost
            and not self._is_leaving
        )

    async def ready(self) -> None:
        """Wait for the peer's settings; RequestFailed when it leaves instead."""
        await asyncio.shield(self._settings_known)

    async def request(
        self,
        fields: Fields,
        body: AnyBody = b"",
        *,
        on_informational: OnInformational | None = None,
        deadline: float | None = None,
    ) -> H2Answer:
        """Send a request and return its response once the head is there.

        ``deadline`` is in the loop's time and ends the wait for the head with TimeoutError; a
        cancelled call, or closing the answer's body, resets the stream. A pulled ``body`` is sent
        beside the wait and closed in any case. Raises RequestFailed, or what ``body`` raised.
        """
        try:
            if not self.has_room:
                await self._wait_for_slot(deadline)
            stream = self.begin(fields, body, on_informational)
        except BaseException:
            await discard(body)
            raise
        answered = await self._wait_for_head(stream, deadline)
        return H2Answer(answered, stream.take_body(), stream)

    def begin(
        self, fields: Fields, body: AnyBody, on_informational: OnInformational | None = None
    ) -> ClientStream:
        """Send a request without waiting for its answer; MUST be called while ``is_ready`` only.

        The caller waits for ``head`` and resets the stream when it gives up.
        """
        if body.__class__ is bytes and len(body) <= HIGH_WATER:
            return self._open(fields, True, on_informational, body)
        stream = self._open(fields, False, on_informational)
        stream.sender = drive(stream.send(body), self.loop)
        return stream

    async def connect(
        self, fields: Fields, *, deadline: float | None = None
    ) -> tuple[H2Answer, H2Tunnel | None]:
        """Open a tunnel by extended CONNECT; None when the peer answered otherwise than 2xx."""
        if not self.codec.peer_takes_extended_connect:
            raise RequestFailed("the peer takes no extended CONNECT", was_processed=False)
        if not self.has_room:
            await self._wait_for_slot(deadline)
        stream = self._open(fields, False, None)
        stream.is_tunnel = True
        answered = await self._wait_for_head(stream, deadline)
        if not (field_value(answered, b":status") or b"").startswith(b"2"):
            stream.end()
            return H2Answer(answered, stream.take_body(), stream), None
        body = stream.body or stream.open_body(None)
        return H2Answer(answered, b"", stream), H2Tunnel(stream, body)

    def leave(self) -> None:
        """Take no more requests; close when those under way are done."""
        self._is_leaving = True
        self._fail_waiting("the connection is closing")
        self._close_if_done()

    # One request.

    def _open(
        self,
        fields: Fields,
        ended: bool,
        on_informational: OnInformational | None,
        body: bytes = b"",
    ) -> ClientStream:
        if self.is_lost or self._is_leaving:
            raise RequestFailed("the connection is closing", was_processed=False)
        try:
            stream_id = self.codec.request(fields, ended, body)
        except H2Failure as failure:
            if not self.codec.takes_requests:
                self.leave()  # the numbers of streams are used up: others open another connection
            raise RequestFailed(str(failure), was_processed=False) from failure
        stream = self._streams[stream_id] = ClientStream(self, stream_id, on_informational)
        stream.is_ended = ended
        if body:
            stream.sent = len(body)
            self.body_bytes += stream.sent
        self.wake()
        return stream

    async def _wait_for_head(self, stream: ClientStream, deadline: float | None) -> Fields:
        timer = None if deadline is None else self.loop.call_at(deadline, stream.expire)
        try:
            return await stream.head
        except BaseException:
            stream.reset(CANCEL)
            if stream.sender is not None:
                stream.sender.cancel()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    async def _wait_for_slot(self, deadline: float | None) -> None:
        """Wait in line until the peer's limit on streams allows one more."""
        slot: asyncio.Future[None] = self.loop.create_future()
        if not self.is_usable:
            raise RequestFailed("the connection is closing", was_processed=False)
        self._slots.append(slot)
        timer = None if deadline is None else self.loop.call_at(deadline, _expire_slot, slot)
        try:
            await slot
        finally:
            if timer is not None:
                timer.cancel()
            if slot in self._slots:
                self._slots.remove(slot)
            elif slot.cancelled() or slot.exception() is None:
                self.loop.call_soon(self._grant_slots)  # ours may be another's now

    def _grant_slots(self) -> None:
        free = self._max_streams - len(self._streams)
        while self._slots and free > 0:
            slot = self._slots.popleft()
            if not slot.done():
                slot.set_result(None)
                free -= 1

    # What the codec says.

    def response_received(self, stream_id: int, fields: Fields, ended: bool) -> None:
        """Keep a head until all that came with it is here as well."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.fields is not None:
            return
        if ended:
            stream.whole = b""
        elif stream.is_tunnel:
            stream.open_body(None)
        stream.fields = fields
        self._answered.append(stream)

    def answer_received(self, stream_id: int, fields: Fields, body: bytes) -> None:
        """Take an answer that is all here; its stream is over."""
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return
        stream.whole = body
        stream.fields = fields
        stream.is_closed = True
        self._answered.append(stream)
        if self._slots:
            self._grant_slots()
        if self._is_leaving:
            self._close_if_done()

    def batch_received(self) -> None:
        """Hand heads to those who wait for them."""
        if self._answered:
            answered, self._answered = self._answered, []
            for stream in answered:
                if not stream.head.done():
                    stream.head.set_result(stream.fields or ())

    def informational_received(self, stream_id: int, fields: Fields) -> None:
        """Pass a 1xx on."""
        stream = self._streams.get(stream_id)
        if stream is not None and stream.on_informational is not None:
            stream.on_informational(fields)

    def bytes_received(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Pass body bytes on."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.receive(data, ended)
        elif data:
            self.codec.consumed(stream_id, len(data))

    def trailers_received(self, stream_id: int, fields: Fields) -> None:
        """End a response's body."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            (stream.body or stream.open_body(None)).finish(trailers_of(fields))

    def stream_closed(self, stream_id: int, error_code: int) -> None:
        """Forget a stream; tell who still waits for it."""
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.closed(error_code)
            if stream.fields is None:
                reason = f"the stream was reset with code {error_code:#x}"
                was_processed = error_code != REFUSED_STREAM
                stream.fail(
                    RequestFailed(reason, was_processed=was_processed, error_code=error_code)
                )
        if self._slots:
            self._grant_slots()
        if self._is_leaving:
            self._close_if_done()

    def settings_received(self) -> None:
        """Learn how many streams the peer allows."""
        self._max_streams = self.codec.peer_max_streams
        if not self._settings_known.done():
            self._settings_known.set_result(None)
        self._grant_slots()

    def goaway_received(self, last_stream_id: int, error_code: int) -> None:
        """Send no more requests; the codec closes those the peer will not touch as refused."""
        self.leave()

    def ping_acknowledged(self) -> None:
        """Hear a sign of life."""
        self._is_asked = False

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._silence, self._check_life)

    def data_received(self, data: bytes) -> None:
        """Read."""
        self._was_heard = True
        super().data_received(data)

    def _check_life(self) -> None:
        if self.is_lost:
            return
        if not self._was_heard:
            if self._is_asked:
                self.fail(TimeoutError("the peer gives no sign of life"))
                if self._transport is not None:
                    self._transport.abort()
                return
            self._is_asked = True
            self.codec.ping()
            self.wake()
        self._was_heard = False
        self._timer = self.loop.call_later(self._silence, self._check_life)

    def lost(self, failure: Exception) -> None:
        """Fail everything."""
        if self._timer is not None:
            self._timer.cancel()
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            reason = f"the connection was lost: {failure}"
            stream.closed(CANCEL, BodyAborted(reason))
            if stream.fields is None:
                stream.fail(RequestFailed(reason, was_processed=True))
        self._fail_waiting("the connection was lost")
        if not self._settings_known.done():
            unmet = RequestFailed(f"the connection was lost: {failure}", was_processed=False)
            unmet.__cause__ = failure
            self._settings_known.set_exception(unmet)
            self._settings_known.exception()  # nobody may be waiting for it
        if self._on_lost is not None:
            self._on_lost(self)

    def _fail_waiting(self, reason: str) -> None:
        while self._slots:
            slot = self._slots.popleft()
            if not slot.done():
                slot.set_exception(RequestFailed(reason, was_processed=False))

    def _close_if_done(self) -> None:
        if not self._streams and not self.is_lost:
            self.loop.call_soon(self.close)


def _expire_slot(slot: asyncio.Future[None]) -> None:
    if not slot.done():
        slot.set_exception(TimeoutError("no stream was free before the deadline"))
