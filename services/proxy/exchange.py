"""One attempt: a request goes to one upstream, its answer (or an UpstreamFailed) comes back."""

from __future__ import annotations

import asyncio

from quantum.errors import BodyAborted, ClientGone, HttpError
from quantum.http.body import AnyBody, Body, StreamBody
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.tasks import TaskSet
from quantum.wire.h1.head import (
    UnsafeField,
    encode_chunk,
    encode_last_chunk,
    encode_request_head,
)
from services.proxy.leases import Lease
from services.proxy.retry import may_use_fresh_connection
from services.proxy.transports.connection import Connection
from services.proxy.transports.failure import UpstreamFailed
from services.proxy.transports.upgrade import Wish
from services.proxy.upstreams import Member

_OURS = frozenset({b"content-length", b"expect", b"host", b"transfer-encoding"})
"""Fields that this file writes itself, or (Expect) has answered already."""
_ALWAYS_SIZED = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose missing body is announced with a length of 0 (RFC 9110 §8.6)."""


class Outgoing:
    """A request ready to be sent, as often as it takes: fields without framing.

    ``host`` replaces the client's Host; ``wish`` asks for another protocol on the connection.
    """

    __slots__ = (
        "_authority", "body", "deadline", "early", "headers", "host", "is_begun", "method",
        "target", "unchanged", "wish",
    )  # fmt: skip

    def __init__(self, request: Request, headers: Headers) -> None:
        self.method = request.method
        self.target = request.target.encode("latin-1", "replace")
        self.headers = self.unchanged = headers
        self.host: bytes | None = None
        self.wish: Wish | None = None
        self._authority = request.authority
        self.early = request.informational
        self.deadline = request.deadline
        self.body: AnyBody = _in_memory(request.body)
        self.is_begun = False

    @property
    def is_replayable(self) -> bool:
        """Whether the whole request can be sent again."""
        return not self.is_begun

    def encode(self) -> bytes:
        """Return the head, with a body in memory behind it. HttpError 400: it cannot be a request."""
        body = self.body
        host = self._authority.encode("latin-1", "replace") if self.host is None else self.host
        fields = [(b"host", host)]
        if self.wish is not None:
            fields += self.wish.fields
        fields += [field for field in self.headers.fields if field[0] not in _OURS]
        if isinstance(body, bytes):
            if body or self.method in _ALWAYS_SIZED:
                fields.append((b"content-length", b"%d" % len(body)))
        elif body.length is not None:
            fields.append((b"content-length", b"%d" % body.length))
        else:
            fields.append((b"transfer-encoding", b"chunked"))
        try:
            head = encode_request_head(self.method.encode("latin-1"), self.target, fields)
        except UnsafeField as error:
            raise HttpError(400, f"request cannot be forwarded: {error}") from None
        return head + body if isinstance(body, bytes) and body else head


def _in_memory(body: AnyBody) -> AnyBody:
    """Return a body that has arrived already as bytes: cheaper to send, and replayable."""
    if isinstance(body, StreamBody) and body.is_ended:
        complete = body.take_all()
        if complete is not None:
            return complete
    return body


async def attempt(member: Member, outgoing: Outgoing, senders: TaskSet) -> Response:
    """Send ``outgoing`` to ``member`` and return the answer, whose body may still be streaming.

    Raises UpstreamFailed, or what broke the request's own body (ClientGone, BodyAborted).
    """
    lease = Lease(member)
    try:
        connection = member.pool.take()
        if connection is None:
            connection = await member.pool.acquire()
        lease.connection = connection
        try:
            response = await _answer(lease, connection, outgoing, senders)
        except UpstreamFailed as failure:
            if not may_use_fresh_connection(
                failure.stage, outgoing.method, is_replayable=outgoing.is_replayable
            ):
                raise
            connection = await member.pool.acquire(fresh=True)
            lease.replace_connection(connection)
            response = await _answer(lease, connection, outgoing, senders)
        if outgoing.wish is not None and response.status == 101:
            outgoing.wish.grant(response, connection)
            lease.lend_to_answer()
        elif not isinstance(response.body, bytes):
            lease.lend_to_answer()
        return response
    finally:
        if not lease.is_lent:
            lease.release()


async def _answer(
    lease: Lease, connection: Connection, outgoing: Outgoing, senders: TaskSet
) -> Response:
    timeout = 0.0
    if outgoing.deadline is not None:
        timeout = max(outgoing.deadline - asyncio.get_running_loop().time(), 0.001)
    head = outgoing.encode()
    answer = connection.begin(
        outgoing.method,
        head,
        upgrade=outgoing.wish is not None,
        early=outgoing.early,
        timeout=timeout,
    )
    body = outgoing.body
    if not isinstance(body, bytes):
        outgoing.is_begun = True
        connection.sending(True)
        lease.sender = senders.start(_send_body(connection, body), "request_body")
    return await answer


async def _send_body(connection: Connection, body: Body) -> None:
    """Send a streamed body as the upstream takes it; its failure is the exchange's."""
    length, sent = body.length, 0
    try:
        async for chunk in body:
            sent += len(chunk)
            if length is None:
                await connection.write(encode_chunk(chunk))
            elif sent <= length:
                await connection.write(chunk)
            else:
                break
        if length is not None and sent != length:
            raise BodyAborted(f"request body of {length} bytes had {sent}")
        if length is None:
            await connection.write(encode_last_chunk(body.trailers or ()))
        connection.sending(False)
    except (BodyAborted, ClientGone) as error:
        connection.fail(error)
    except UpstreamFailed:
        return  # the upstream took no more; whether it answered is the connection's to tell
    finally:
        await body.aclose()
