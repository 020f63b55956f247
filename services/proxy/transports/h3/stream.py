"""One request over HTTP/3: the wait for its head, the body that comes in, the writer that goes out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from quantum.connection.h2_client import OnInformational, RequestFailed
from quantum.errors import BodyAborted
from quantum.http.body import HIGH_WATER, AnyBody, StreamBody, discard
from quantum.http.headers import Field, Headers
from quantum.wire.h2 import Fields

if TYPE_CHECKING:
    from services.proxy.transports.h3.client import H3Client

MAX_INFORMATIONAL = 16
"""1xx responses before one final answer, as over HTTP/1.1."""
_NO_BODY = frozenset({b"204", b"304"})


class ClientStream:
    """One stream. ``head`` is done with the answer's head, or fails with what became of the request."""

    def __init__(
        self, client: H3Client, stream_id: int, method: bytes, inform: OnInformational | None
    ) -> None:
        self._client = client
        self.id = stream_id
        self._method = method
        self._inform = inform
        self._informed = 0
        self._left: int | None = None
        self._drained: asyncio.Future[None] | None = None
        self.head: asyncio.Future[Fields] = client.loop.create_future()
        self.body: StreamBody | None = None
        self.sender: asyncio.Task[None] | None = None
        self.is_closed = False
        self.is_ended = False

    # Receiving.

    def head_received(self, fields: list[Field], *, ended: bool) -> None:
        """Take an interim head, the head, or trailers."""
        if self.body is not None:
            self._finish(Headers(fields))
            return
        status = fields[0][1]
        if status.startswith(b"1"):
            self._informed += 1
            if self._informed > MAX_INFORMATIONAL:
                self.fail(RequestFailed("too many informational responses", was_processed=True))
                self.reset()
            elif self._inform is not None and status != b"100":
                self._inform(fields)
            return
        length = next((v for n, v in fields if n == b"content-length"), None)
        has_body = self._method != b"HEAD" and status not in _NO_BODY
        if has_body and length is not None:
            self._left = int(length)
        self.body = StreamBody(
            self._left if has_body else 0, consumed=self._consumed, abandoned=self.reset
        )
        if not self.head.done():
            self.head.set_result(tuple(fields))
        if ended:
            self._finish(None)

    def data_received(self, data: bytes, *, ended: bool) -> None:
        """Pass body bytes on; bytes that nobody waits for give their window back at once."""
        if data:
            if self.body is None:
                self._consumed(len(data))
            else:
                self._feed(self.body, data)
        if ended:
            self._finish(None)

    def _feed(self, body: StreamBody, data: bytes) -> None:
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self._consumed(len(data))
                self.fail(BodyAborted("more body than content-length says"))
                self.reset()
                return
        body.feed(data)

    def _finish(self, trailers: Headers | None) -> None:
        if self.body is None:
            self.fail(RequestFailed("the stream ended without an answer", was_processed=True))
            self.reset()
        elif self._left:
            self.fail(BodyAborted(f"{self._left} bytes are missing at the end of the body"))
            self.reset()
        else:
            self.body.finish(trailers)
            self._client.progressed(self)

    def _consumed(self, count: int) -> None:
        self._client.consumed(self.id, count)

    def take_body(self) -> AnyBody:
        """Return the body as far as it has come: bytes if that is all of it."""
        assert self.body is not None
        if self.body.is_ended:
            whole = self.body.take_all()
            if whole is not None:
                return whole
        return self.body

    # Sending.

    async def send(self, body: AnyBody) -> None:
        """Send the request's body; its failure becomes the request's."""
        try:
            if isinstance(body, bytes):
                await self.write(body)
            else:
                async for chunk in body:
                    await self.write(chunk)
            self.sender = None  # the end of the stream must not cancel what called for it
            self.end(None if isinstance(body, bytes) else body.trailers)
        except Exception as error:  # noqa: BLE001 - whatever the body's source raised
            self.sender = None
            if not self.is_closed and not self.is_ended:
                self.fail(error)
                self.reset()
        finally:
            await discard(body)

    async def write(self, data: bytes) -> None:
        """Queue ``data``, then wait while the peer is slow; BodyAborted when the stream is cut."""
        if self.is_closed or self.is_ended:
            raise BodyAborted("the stream was reset")
        if data:
            self._client.send_data(self.id, data, ended=False)
        while self._client.unsent(self.id) >= HIGH_WATER:
            self._drained = self._client.loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None
            if self.is_closed or self.is_ended:
                raise BodyAborted("the stream was reset")

    def output_moved(self) -> None:
        """Hear that the peer took something, or that the stream is over."""
        waiter = self._drained
        if waiter is None or waiter.done():
            return
        if self.is_closed or self.is_ended or self._client.unsent(self.id) <= HIGH_WATER // 2:
            waiter.set_result(None)

    def end(self, trailers: Headers | None = None) -> None:
        """End our direction, after what is queued."""
        if self.is_closed or self.is_ended:
            return
        self.is_ended = True
        if trailers is not None and len(trailers):
            self._client.send_head(self.id, list(trailers.fields), ended=True)
        else:
            self._client.send_data(self.id, b"", ended=True)
        self._client.progressed(self)

    def stop_sending(self) -> None:
        """Obey a peer that wants no more of the request; its answer may still come."""
        self.is_ended = True
        self.output_moved()
        self._client.progressed(self)

    # Ends.

    @property
    def is_answered(self) -> bool:
        """Whether nothing more is to come from the peer."""
        return self.body is not None and self.body.is_ended

    def fail(self, failure: Exception) -> None:
        """End the wait for the head, or the body."""
        if not self.head.done():
            self.head.set_exception(failure)
            self.head.exception()  # nobody may wait for it any more
        if self.body is not None:
            is_of_body = isinstance(failure, BodyAborted)
            self.body.fail(failure if is_of_body else BodyAborted(str(failure)))

    def reset(self, error_code: int = 0) -> None:
        """Cut both directions. Idempotent; the code is HTTP/2's, and told as H3_REQUEST_CANCELLED."""
        if not self.is_closed:
            self._client.cut(self)

    def closed(self, failure: Exception) -> None:
        """Hear that the stream is over."""
        self.is_closed = True
        self.fail(failure)
        if self.sender is not None:
            self.sender.cancel()
        self.output_moved()

    def expire(self) -> None:
        """Give up: the deadline has come."""
        self.fail(TimeoutError("no response before the deadline"))
        self.reset()
