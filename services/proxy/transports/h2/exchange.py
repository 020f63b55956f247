"""One attempt over HTTP/2 or HTTP/3: a stream for the request, the answer as it comes, trailers both ways.

A request that the peer surely did not touch (REFUSED_STREAM, GOAWAY, a connection that closed before
it left) goes to another connection at once, if it is still whole; so does an idempotent one whose kept
connection broke under it (RFC 9113 §8.7).
"""

from __future__ import annotations

import asyncio
from functools import partial

from quantum.connection.h2_client import RequestFailed
from quantum.connection.h2_tunnel import H2Tunnel
from quantum.errors import BodyAborted, HttpError
from quantum.http.body import AnyBody, Body, StreamBody
from quantum.http.headers import Field, Headers
from quantum.http.message import Response, SendInformational
from quantum.tasks import TaskSet
from quantum.wire.h2 import CANCEL, Fields
from services.proxy.exchange import Outgoing
from services.proxy.exchange import attempt as attempt_plain
from services.proxy.leases import Lease
from services.proxy.retry import IDEMPOTENT
from services.proxy.transports.failure import Stage, UpstreamFailed
from services.proxy.transports.h2.channels import Answer, SharedClient
from services.proxy.transports.upgrade import Wish
from services.proxy.upstreams import Member

MAX_TRIES = 3
"""Connections tried in one attempt: a peer that restarts says goodbye on several at once."""
_FRAMING = frozenset({
    b"connection", b"content-length", b"expect", b"host", b"keep-alive", b"proxy-connection",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip
"""What HTTP/2 says otherwise or refuses (RFC 9113 §8.2.2); Expect was answered already."""


class Multiplexing:
    """The attempts of one handler, over the channels of the pools it is given with its members."""

    def __init__(
        self,
        *,
        header_timeout: float,
        read_timeout: float,
        tunnels_by_h2: bool,
    ) -> None:
        """``tunnels_by_h2``: whether there is no HTTP/1.1 that an upgrade could go by."""
        self._header_timeout = header_timeout
        self._read_timeout = read_timeout
        self._tunnels_by_h2 = tunnels_by_h2

    async def attempt(self, member: Member, outgoing: Outgoing, senders: TaskSet) -> Response:
        """Send ``outgoing`` to ``member`` and return the answer, whose body may still be streaming.

        Raises UpstreamFailed, or what broke the request's own body.
        """
        channels = member.pool.channels
        if channels is None or (outgoing.wish is not None and not self._tunnels_by_h2):
            return await attempt_plain(member, outgoing, senders)
        lease = Lease(member)
        try:
            for left in range(MAX_TRIES - 1, -1, -1):
                client = await channels.acquire()
                if client is None:
                    break
                try:
                    return await self._send(client, channels.scheme, lease, outgoing)
                except RequestFailed as failure:
                    if not left or not _may_repeat(failure, outgoing):
                        raise UpstreamFailed(Stage.SENT, str(failure)) from failure
                except TimeoutError as error:
                    raise UpstreamFailed(
                        Stage.SENT, "timeout awaiting response headers", 504
                    ) from error
        finally:
            if not lease.is_lent:
                lease.release()
        return await attempt_plain(member, outgoing, senders)

    async def _send(
        self, client: SharedClient, scheme: bytes, lease: Lease, outgoing: Outgoing
    ) -> Response:
        outgoing.version = client.version
        deadline = self._deadline(outgoing)
        if outgoing.wish is not None:
            fields = self._fields(outgoing, b"", scheme)
            return await self._tunnel(client, fields, lease, outgoing.wish, deadline)
        body, inform = outgoing.body, outgoing.early
        fields = self._fields(outgoing, body, scheme)
        if not isinstance(body, bytes):
            outgoing.is_begun = True
        answer = await client.request(
            fields,
            body,
            on_informational=None if inform is None else partial(_pass_on, inform),
            deadline=deadline,
        )
        return self._response(answer, lease)

    def _response(self, answer: Answer, lease: Lease) -> Response:
        status, fields = int(answer.fields[0][1]), list(answer.fields[1:])
        body = answer.body
        if not isinstance(body, bytes):
            lease.is_lent = True
            body = LeasedBody(body, answer, lease, self._read_timeout)
        return Response(status, Headers(fields), body)

    async def _tunnel(
        self,
        client: SharedClient,
        fields: list[Field],
        lease: Lease,
        wish: Wish,
        deadline: float | None,
    ) -> Response:
        fields[0] = (b":method", b"CONNECT")
        fields.insert(1, (b":protocol", wish.protocol.encode("latin-1")))
        answer, tunnel = await client.connect(fields, deadline=deadline)
        if tunnel is None:
            return self._response(answer, lease)
        lease.is_lent = True
        response = Response(101, Headers(list(answer.fields[1:])))
        response.upgrade = wish.tunnels.open(TunnelEnd(tunnel, lease), wish.protocol).run
        return response

    def _deadline(self, outgoing: Outgoing) -> float | None:
        if not self._header_timeout:
            return outgoing.deadline
        limit = asyncio.get_running_loop().time() + self._header_timeout
        return limit if outgoing.deadline is None else min(limit, outgoing.deadline)

    def _fields(self, outgoing: Outgoing, body: AnyBody, scheme: bytes) -> list[Field]:
        request = outgoing.request
        target = request.target if outgoing.target is None else outgoing.target
        host = outgoing.host
        if host is None:
            host = request.authority.encode("latin-1", "replace")
        try:
            fields: list[Field] = [
                (b":method", outgoing.method.encode("ascii")),
                (b":scheme", scheme),
                (b":authority", host),
                (b":path", target.encode("latin-1")),
            ]
        except UnicodeEncodeError as error:
            raise HttpError(400, "request cannot be forwarded: malformed line") from error
        fields += [(n, v.strip(b" \t")) for n, v in outgoing.headers.fields if n not in _FRAMING]
        length = len(body) if isinstance(body, bytes) else body.length
        if length is not None and (length or outgoing.method in {"POST", "PUT", "PATCH"}):
            fields.append((b"content-length", b"%d" % length))
        return fields


def _may_repeat(failure: RequestFailed, outgoing: Outgoing) -> bool:
    if not outgoing.is_replayable:
        return False
    is_broken = failure.error_code is None
    return not failure.was_processed or (is_broken and outgoing.method in IDEMPOTENT)


def _pass_on(inform: SendInformational, fields: Fields) -> None:
    inform(int(fields[0][1]), Headers(list(fields[1:])))


class LeasedBody:
    """An answer's body; its end, however it comes, releases the lease."""

    __slots__ = ("_body", "_lease", "_stream", "_timeout", "length", "trailers")

    def __init__(self, body: Body, answer: Answer, lease: Lease, timeout: float) -> None:
        """``timeout``: seconds that the upstream may be silent, 0 for ever."""
        self._body = body
        self._lease = lease
        self._stream = answer.stream
        self._timeout = timeout
        self.length = body.length
        self.trailers: Headers | None = None

    def __aiter__(self) -> LeasedBody:
        return self

    async def __anext__(self) -> bytes:
        timer = None
        if self._timeout:
            timer = asyncio.get_running_loop().call_later(self._timeout, self._late)
        try:
            return await self._body.__anext__()
        except StopAsyncIteration:
            self.trailers = self._body.trailers
            self._lease.release()
            raise
        except BodyAborted as error:
            self._lease.release()
            raise BodyAborted(f"upstream: {error}") from error
        finally:
            if timer is not None:
                timer.cancel()

    async def aclose(self) -> None:
        """Give up: resets the stream unless it has ended."""
        self._lease.release()
        await self._body.aclose()

    def _late(self) -> None:
        if isinstance(self._body, StreamBody):
            self._body.fail(BodyAborted("timeout reading the response body"))
        self._stream.reset(CANCEL)


class TunnelEnd:
    """The upstream's end of a tunnel over a stream, as ``Tunnels`` carries them."""

    __slots__ = ("_lease", "_tunnel", "stream")

    def __init__(self, tunnel: H2Tunnel, lease: Lease) -> None:
        self._tunnel = tunnel
        self._lease = lease
        self.stream: StreamBody | None = tunnel.body

    async def write(self, data: bytes) -> None:
        """Send; waits while the upstream is slow."""
        await self._tunnel.write(data)

    def end_writing(self) -> bool:
        """Half-close."""
        self._tunnel.end()
        return True

    def abort(self) -> None:
        """Cut it."""
        self._tunnel.abort()
        self._lease.release()

    def close(self) -> None:
        """End it after both directions have."""
        self._lease.release()
