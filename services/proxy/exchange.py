"""One attempt: a request goes to one upstream, its answer (or an UpstreamFailed) comes back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable

from quantum.errors import BodyAborted, ClientGone, HttpError
from quantum.http.body import AnyBody, Body, StreamBody
from quantum.http.headers import Field, Headers
from quantum.http.message import Request, Response
from quantum.replies import Reply
from quantum.tasks import TaskSet
from quantum.wire.h1.head import FieldLines, UnsafeField, encode_chunk, encode_last_chunk
from services.proxy.leases import Lease
from services.proxy.retry import may_use_fresh_connection
from services.proxy.transports.connection import Connection
from services.proxy.transports.failure import UpstreamFailed
from services.proxy.transports.upgrade import Wish
from services.proxy.upstreams import Member

_ALWAYS_SIZED = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose missing body is announced with a length of 0 (RFC 9110 §8.6)."""
_REQUEST_LINE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e\x80-\xff]+ HTTP/1\.1\Z")


_spell = FieldLines(
    frozenset({b"content-length", b"expect", b"host", b"transfer-encoding"}), frozenset()
).spell
"""Fields as lines, those left out that this file writes itself, or (Expect) has answered."""
_spell_host = FieldLines(frozenset(), frozenset()).spell


class Outgoing:
    """A request ready to be sent, as often as it takes: fields without framing.

    ``host`` replaces the client's Host, ``target`` its target; ``wish`` asks for another protocol on the
    connection; ``version`` is the upstream's. ``may_retry`` is what ``retry_match`` says, None where there is none.
    """

    __slots__ = (
        "body", "deadline", "early", "headers", "host", "is_begun", "may_retry", "method", "request",
        "target", "unchanged", "version", "wish",
    )  # fmt: skip

    def __init__(self, request: Request, headers: Headers) -> None:
        self.request = request
        self.method = request.method
        self.headers = self.unchanged = headers
        self.host: bytes | None = None
        self.target: str | None = None
        self.may_retry: bool | None = None
        self.version = "HTTP/1.1"
        self.wish: Wish | None = None
        self.early = request.informational
        self.deadline = request.deadline
        self.body: AnyBody = request.body
        if self.body.__class__ is not bytes:
            self.body = _in_memory(self.body)
        self.is_begun = False

    @property
    def is_replayable(self) -> bool:
        """Whether the whole request can be sent again."""
        return not self.is_begun

    def encode(self, *, asks_first: bool = False) -> bytes:
        """Return the head, with a body in memory behind it. HttpError 400: it cannot be a request.

        ``asks_first``: the body is sent when the upstream asks for it.
        """
        request, body, fields = self.request, self.body, self.headers.fields
        host = request.authority.encode("latin-1", "replace") if self.host is None else self.host
        target = request.target if self.target is None else self.target
        try:
            if self.wish is not None:
                fields = [*fields, *self.wish.fields]
            parts = [
                _request_line(self.method, target),
                _spell_host((b"host", host)),
                *map(_spell, fields),
            ]
        except UnsafeField as error:
            raise HttpError(400, f"request cannot be forwarded: {error}") from None
        if body or self.method in _ALWAYS_SIZED:
            parts.append(_framing(body))
        if asks_first:
            parts.append(b"\r\nExpect: 100-continue")
        parts.append(b"\r\n\r\n")
        if body.__class__ is bytes:
            parts.append(body)
        return b"".join(parts)


def _request_line(method: str, target: str) -> bytes:
    line = f"{method} {target} HTTP/1.1"
    if _REQUEST_LINE.match(line) is None:
        raise HttpError(400, "request cannot be forwarded: malformed method or target")
    return line.encode("latin-1")


def _framing(body: AnyBody) -> bytes:
    """Return the field that says where ``body`` ends."""
    length = len(body) if isinstance(body, bytes) else body.length
    if length is None:
        return b"\r\nTransfer-Encoding: chunked"
    return b"\r\nContent-Length: %d" % length


def _in_memory(body: AnyBody) -> AnyBody:
    """Return a body that has arrived already as bytes: cheaper to send, and replayable."""
    if isinstance(body, StreamBody) and body.is_ended:
        complete = body.take_all()
        if complete is not None:
            return complete
    return body


def _send(
    lease: Lease, connection: Connection, outgoing: Outgoing, senders: TaskSet
) -> Reply[Response]:
    """Send the request, or begin to; return the answer to come."""
    body = outgoing.body
    if isinstance(body, bytes):
        return begin(lease, connection, outgoing, senders, outgoing.encode(), None)
    asks_first = connection.asks_first and b"expect" in outgoing.headers
    head = outgoing.encode(asks_first=asks_first)
    framing = _CHUNKED if body.length is None else None
    return begin(lease, connection, outgoing, senders, head, framing, asks_first=asks_first)


Framing = tuple[Callable[[bytes], bytes], Callable[[Iterable[Field]], bytes]]
"""What is made of a piece of a streamed body, and what ends it, given the trailers."""
_CHUNKED: Framing = encode_chunk, encode_last_chunk


async def attempt(
    member: Member,
    outgoing: Outgoing,
    senders: TaskSet,
    send: Callable[[Lease, Connection, Outgoing, TaskSet], Reply[Response]] = _send,
) -> Response:
    """Send ``outgoing`` to ``member`` and return the answer, whose body may still be streaming.

    Raises UpstreamFailed, or what broke the request's own body (ClientGone, BodyAborted, HttpError). ``send`` puts
    the request on a connection, by ``begin``.
    """
    lease = Lease(member)
    try:
        connection = member.pool.take()
        if connection is None:
            connection = await member.pool.acquire()
        lease.connection = connection
        try:
            response = await send(lease, connection, outgoing, senders)
        except UpstreamFailed as failure:
            if not may_use_fresh_connection(
                failure.stage, outgoing.method, is_replayable=outgoing.is_replayable
            ):
                raise
            connection = await member.pool.acquire(fresh=True)
            lease.replace_connection(connection)
            response = await send(lease, connection, outgoing, senders)
        if response.status == 101 and outgoing.wish is not None:
            outgoing.wish.grant(response, connection)
            lease.lend_to_answer()
        elif response.body.__class__ is not bytes:
            lease.lend_to_answer()
        return response
    finally:
        if not lease.is_lent:
            lease.release()


def begin(
    lease: Lease,
    connection: Connection,
    outgoing: Outgoing,
    senders: TaskSet,
    head: bytes,
    framing: Framing | None,
    *,
    asks_first: bool = False,
) -> Reply[Response]:
    """Send ``head``, which has a body in memory behind it; let a task send a streamed one."""
    timeout = 0.0
    if outgoing.deadline is not None:
        timeout = max(outgoing.deadline - asyncio.get_running_loop().time(), 0.001)
    answer = connection.begin(
        outgoing.method, head, outgoing.wish is not None, outgoing.early, timeout
    )
    body = outgoing.body
    if not isinstance(body, bytes):
        outgoing.is_begun = True
        connection.sending(True)
        sending = _send_body(connection, body, framing, asks_first=asks_first)
        lease.sender = senders.start(sending, "request_body")
    return answer


async def _send_body(
    connection: Connection, body: Body, framing: Framing | None, *, asks_first: bool
) -> None:
    """Send a streamed body as the upstream takes it; its failure is the exchange's."""
    length, sent = body.length, 0
    try:
        if asks_first and not await connection.go_ahead():
            return
        async for chunk in body:
            sent += len(chunk)
            if length is not None and sent > length:
                break
            await connection.write(chunk if framing is None else framing[0](chunk))
        if length is not None and sent != length:
            raise BodyAborted(f"request body of {length} bytes had {sent}")
        if framing is not None:
            await connection.write(framing[1](body.trailers or ()))
        connection.sending(False)
    except (BodyAborted, ClientGone, HttpError) as error:  # HttpError: too slow, or too large
        connection.fail(error)
    except UpstreamFailed:
        return  # the upstream took no more; whether it answered is the connection's to tell
    finally:
        await body.aclose()
