"""The near end of the hop: a handler that runs in another process, as if it were here."""

from __future__ import annotations

import asyncio
from functools import partial

from prometheus_client import CollectorRegistry, Counter

from quantum.connection.h2_client import H2Client, RequestFailed
from quantum.connection.h2_tunnel import H2Tunnel, relay
from quantum.errors import HttpError
from quantum.hop.directory import Directory
from quantum.hop.envelope import (
    PREFIX,
    PROBE,
    Address,
    RevisionLackingError,
    open_response,
    request_fields,
)
from quantum.hop.handed_back import HandedBack
from quantum.hop.peer import Peer, UnreachableError
from quantum.http.body import AnyBody, discard
from quantum.http.headers import Headers
from quantum.http.message import ByteStream, Request, Response, SendInformational
from quantum.wire.h2 import CANCEL, Fields

MAX_TRIES = 3
"""Processes that one request is sent to, at most: a request that kills its handler kills no room."""
ABSENCE_SECONDS = 3.0
"""How long a request waits for a room that has no process: a restart takes a second or two."""
REVISION_SECONDS = 10.0
"""How long a request waits for a room that lacks its revision: preparing one takes less."""
FIRST_PAUSE = 0.02
LAST_PAUSE = 0.25
"""Between two questions whether the revision has come: at first, and at most (it doubles)."""
IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))
"""Methods that may be sent again though the first one may have been processed (RFC 9110 §9.2.2)."""


class HopMetrics:
    """What the near end counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.retries = Counter(
            "quantum_hop_retries_total",
            "Requests sent again to a room",
            ["room"],
            registry=registry,
        )
        self.failures = Counter(
            "quantum_hop_failures_total", "Requests that no process of a room answered", ["room"],
            registry=registry,
        )  # fmt: skip


class _Patience:
    """How long one request may go on waiting, and the pauses it makes meanwhile."""

    def __init__(self, deadline: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._begin = self._loop.time()
        self._deadline = deadline
        self._pause = FIRST_PAUSE / 2

    def left(self, limit: float) -> float:
        """Seconds left of ``limit`` since the beginning, and of the deadline."""
        end = self._begin + limit
        if self._deadline is not None:
            end = min(end, self._deadline)
        return end - self._loop.time()

    def next_pause(self) -> float:
        """Return the next pause."""
        self._pause = min(LAST_PAUSE, 2 * self._pause)
        return self._pause


class RemoteHandler:
    """The handler at ``address``, wherever it runs. Holds no state of its own: made per revision."""

    def __init__(
        self, directory: Directory, address: Address, token: str, metrics: HopMetrics
    ) -> None:
        self._directory = directory
        self._address = address
        self._metrics = metrics
        self._lead = address.lead(token)

    async def handle(self, request: Request) -> Response:
        """Send the request to a process of the room and return its response.

        A process that cannot be reached is passed over; a request that was surely not processed, or
        is idempotent with its body still at hand, goes to the next one. HttpError as the far handler
        raised it; 502 when the far process failed or speaks another version of the hop, 503 when the room is away or lacks the revision,
        504 when the deadline came.
        """
        tried: set[Peer] = set()
        patience: _Patience | None = None
        retries = 0
        while True:
            peer = self._directory.pick(self._address.room, tried)
            if peer is None:
                patience = patience or _Patience(request.deadline)
                await self._wait_for_process(request, patience)
                tried.clear()
                continue
            try:
                connection = peer.ready()
                if (
                    connection is not None
                    and request.body.__class__ is bytes
                    and request.upgrade is None is request.deadline
                ):
                    return await self._ask(peer, connection, request)
                return await self._ask_at_length(peer, connection, request)
            except RevisionLackingError:
                peer.known.discard(self._lead)
                patience = patience or _Patience(request.deadline)
                await self._wait_for_revision(request, patience)
            except UnreachableError:
                tried.add(peer)
            except TimeoutError as error:
                raise HttpError(504, f"room {self._address.room}: {error}") from error
            except RequestFailed as failure:
                if failure.error_code == CANCEL:
                    return Response(502, abort=True)  # the far handler's own wish
                retries += 1
                self._judge(request, failure, retries)
                tried.add(peer)

    # Whether to go on.

    def _judge(self, request: Request, failure: RequestFailed, retries: int) -> None:
        """Return if the request may be sent again; HttpError 502 otherwise."""
        is_broken = failure.error_code is None  # the process died; a reset is a handler's failure
        is_safe = not failure.was_processed or (is_broken and request.method in IDEMPOTENT)
        if is_safe and isinstance(request.body, bytes) and retries < MAX_TRIES:
            self._metrics.retries.labels(self._address.room).inc()
            return
        self._metrics.failures.labels(self._address.room).inc()
        raise HttpError(502, f"room {self._address.room}: {failure}") from failure

    async def _wait_for_process(self, request: Request, patience: _Patience) -> None:
        mismatch = self._directory.mismatch(self._address.room)
        if mismatch:  # nothing to wait for: somebody has to replace a process
            self._metrics.failures.labels(self._address.room).inc()
            await discard(request.body)
            raise HttpError(502, f"room {self._address.room}: {mismatch}")
        left = patience.left(ABSENCE_SECONDS)
        if left <= 0:
            self._metrics.failures.labels(self._address.room).inc()
            await discard(request.body)
            raise HttpError(503, f"room {self._address.room} has no process", _RETRY_AFTER)
        await self._directory.changed(min(left, patience.next_pause()))

    async def _wait_for_revision(self, request: Request, patience: _Patience) -> None:
        left = patience.left(REVISION_SECONDS)
        if left <= 0:
            self._metrics.failures.labels(self._address.room).inc()
            await discard(request.body)
            reason = f"room {self._address.room} lacks revision {self._address.revision}"
            raise HttpError(503, reason, _RETRY_AFTER)
        await asyncio.sleep(min(left, patience.next_pause()))

    # One attempt.

    async def _ask_at_length(
        self, peer: Peer, connection: H2Client | None, request: Request
    ) -> Response:
        """Send a request whose connection, body, tunnel or deadline asks for more than one wait."""
        if connection is None:
            connection = await peer.connect()
        key = self._lead
        if isinstance(request.body, bytes):
            response = await self._exchange(connection, request)
        else:
            if key not in peer.known:
                await self._probe(connection, request)  # a body on its way comes only once
            try:
                response = await self._exchange(connection, request)
            except RevisionLackingError as error:
                raise HttpError(503, "the room dropped the revision", _RETRY_AFTER) from error
        peer.known.add(key)
        return response

    async def _ask(self, peer: Peer, connection: H2Client, request: Request) -> Response:
        """Send a request that is all here on a connection that is ready: the usual case."""
        inform = request.informational
        stream = connection.begin(
            request_fields(request, self._lead, 0.0),
            request.body,
            None if inform is None else partial(_pass_on, inform),
        )
        try:
            fields = await stream.head
        except BaseException:
            stream.reset(CANCEL)
            raise
        body = stream.take_body()
        if len(fields) > 1 and not fields[1][0].startswith(PREFIX):
            response = Response(int(fields[0][1]), Headers(list(fields[1:])), body)
        else:
            response = await _response(fields, body)
        peer.known.add(self._lead)
        return response

    async def _probe(self, connection: H2Client, request: Request) -> None:
        """Ask whether the handler is there; RevisionLackingError when it is not yet."""
        fields = request_fields(request, self._lead, connection.loop.time(), PROBE)
        answer = await connection.request(fields, deadline=request.deadline)
        await discard(answer.body)
        open_response(answer.fields)

    async def _exchange(self, connection: H2Client, request: Request) -> Response:
        fields = request_fields(request, self._lead, connection.loop.time())
        if request.upgrade is not None:
            return await self._tunnel(connection, request, fields)
        inform = request.informational
        answer = await connection.request(
            fields,
            request.body,
            on_informational=None if inform is None else partial(_pass_on, inform),
            deadline=request.deadline,
        )
        return await _response(answer.fields, answer.body)

    async def _tunnel(self, connection: H2Client, request: Request, fields: Fields) -> Response:
        answer, tunnel = await connection.connect(fields, deadline=request.deadline)
        response = await _response(answer.fields, answer.body)
        if tunnel is None:
            return response
        if response.status == 101:
            response.upgrade = partial(_run_tunnel, tunnel)
        else:  # a 2xx of a handler that did not switch: what comes is its body
            await tunnel.write_end()
            response.body = tunnel.body
        return response


_RETRY_AFTER = ((b"retry-after", b"1"),)


async def _response(fields: Fields, body: AnyBody) -> Response:
    try:
        head = open_response(fields)
    except HttpError:
        await discard(body)
        raise
    if head.note is not None:
        return HandedBack(head.status, head.headers, body, head.note)
    return Response(head.status, head.headers, body, close=head.is_closing)


def _pass_on(inform: SendInformational, fields: Fields) -> None:
    inform(int(fields[0][1]), Headers(list(fields[1:])))


async def _run_tunnel(tunnel: H2Tunnel, stream: ByteStream) -> None:
    await relay(stream, tunnel)
