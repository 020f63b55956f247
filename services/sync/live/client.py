"""One connection of ``/ws``, from its first message to its close frame.

A client costs a reader, a queue that is empty while it keeps up, and the task that its connection has
anyway: a message that can be sent at once is sent without another task.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from quantum.bus.subjects import ShareOperation
from quantum.errors import BodyAborted
from quantum.http.message import ByteStream, PromptStream
from quantum.tasks import drive
from quantum.wire.websocket import (
    CloseCode,
    FrameReader,
    Message,
    Opcode,
    ProtocolFailure,
    encode_close,
    encode_frame,
)
from services.sync import protocol
from services.sync.access.limits import TooFast
from services.sync.access.patterns import Matches, compile_patterns
from services.sync.access.tokens import Principal, TokenRefused
from services.sync.live.hub import Hub, operation_message, text_frame
from services.sync.live.subscription import Subscription
from services.sync.rules.operations import paths_of

LARGEST_QUEUE = 1024 * 1024
"""Bytes that wait for a client that reads too slowly; then it is cut, and resumes or lists again."""

RESUMED_AT_ONCE = 256
"""Operations read from the index at a time for a client that was away."""

RESUME_QUEUE = 128 * 1024
"""Bytes that wait for a client that reads the past before more of it is read."""

LARGEST_MESSAGE = 64 * 1024
"""Bytes of a client's message: the longest paths escaped, with room to spare."""

NAMED_SECONDS = 5.0
"""How long a subscriber waits for a share that is just being opened: a cursor can only be judged by the
log that it is one of."""

CLOSING_SECONDS = 5.0
"""How long a client may take to answer our close frame."""


class Room(Protocol):
    """What a connection asks of the handler that accepted it."""

    async def operate(
        self, message: protocol.FileOperation, principal: Principal, client: str
    ) -> dict[str, Any]:
        """Carry out what a client announced; return the message that answers it."""

    def admit(self, token: str) -> Principal:
        """Return what a token allows; TokenRefused."""

    def take(self, client: str) -> None:
        """Count one message of a client; TooFast."""


class Client:
    """One WebSocket connection."""

    __slots__ = (
        "_drained",
        "_hub",
        "_is_closing",
        "_is_over",
        "_is_writing",
        "_queue",
        "_reader",
        "_room",
        "_stream",
        "_write_now",
        "_writer",
        "address",
        "client_id",
        "deflates",
        "last_heard",
        "principal",
        "queued",
        "subscription",
    )  # fmt: skip

    def __init__(
        self, hub: Hub, room: Room, principal: Principal, address: str, *, deflates: bool = False
    ) -> None:
        """``address`` is the client's: what is limited for each client is counted for it."""
        self._hub = hub
        self._room = room
        self._stream: ByteStream | None = None
        self._reader = FrameReader(LARGEST_MESSAGE, inflates=deflates)
        self.deflates = deflates
        self._queue: deque[tuple[bytes, int]] | None = None
        self._write_now: Callable[[bytes], bool] = _never
        self._writer: asyncio.Task[None] | None = None
        self._drained: asyncio.Event | None = None
        self._is_writing = False
        self._is_closing = False
        self._is_over = False
        self.queued = 0
        self.principal = principal
        self.address = address
        self.client_id: str | None = None
        self.subscription: Subscription | None = None
        self.last_heard = hub.clock.monotonic()

    async def run(self, stream: ByteStream) -> None:
        """Serve the connection to its end."""
        self._stream = stream
        if isinstance(stream, PromptStream):
            self._write_now = stream.write_now
        self._hub.clients.add(self)
        self._hub.metrics.clients.inc()
        try:
            while data := await stream.read():
                self.last_heard = self._hub.clock.monotonic()
                for message in self._reader.feed(data):
                    await self._receive(message)
                if self._is_over:  # both sides said close: the server ends the connection (§7.1.1)
                    break
        except ProtocolFailure as failure:
            self.close(failure.code, failure.reason)
        except BodyAborted:
            self._is_closing = True  # the client is gone
        finally:
            self._hub.clients.discard(self)
            self._hub.metrics.clients.dec()
            await self._end(stream)

    def send(self, frame: bytes, seq: int = 0) -> None:
        """Send, at once if the client keeps up; cut it when too much waits. ``seq``: an operation's."""
        self._hub.metrics.delivered.inc()
        self.deliver(frame, seq)

    def deliver(self, frame: bytes, seq: int = 0) -> None:
        """Do the same for one of many clients: whoever tells them all counts them."""
        if self._queue is None and not self._is_closing and self._write_now(frame):
            if seq and self.subscription is not None:
                self.subscription.handed = seq
            return
        if self._is_closing:
            return
        if self.queued + len(frame) > LARGEST_QUEUE:
            self._turn_away()
            return
        self._put(frame, seq)

    def hears(self, entry: ShareOperation) -> bool:
        """Whether a subscriber of protocol 1 may see an operation."""
        if self.principal.sees_all:
            return True
        return any(self.principal.sees(path) for path in paths_of(entry.operation))

    def _turn_away(self) -> None:
        """Cut a client that reads too slowly; if it can resume, what waited goes, and it is told where."""
        if self.subscription is None or self._queue is None:
            self.cut("slow")
            return
        self.queued -= sum(len(frame) for frame, _ in self._queue)
        self._queue.clear()
        self._hub.metrics.cut.labels("slow").inc()
        handed = self.subscription.handed
        told = protocol.error("you read too slowly: connect again", "slow", resume_from=handed)
        self._put(text_frame(told), 0)
        self.close(CloseCode.TRY_AGAIN, "too slow")

    def close(self, code: CloseCode | int, reason: str = "") -> None:
        """Send a close frame behind what is queued; the client has a few seconds to answer it."""
        if self._is_closing:
            return
        self._is_closing = True
        self._put(encode_close(code, reason), 0)
        if self._stream is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(CLOSING_SECONDS, self._stream.abort)

    def cut(self, reason: str) -> None:
        """End the connection now."""
        self._is_closing = True
        self._hub.metrics.cut.labels(reason).inc()
        _log.info("sync_client_cut", client=self.client_id, reason=reason, queued=self.queued)
        if self._stream is not None:
            self._stream.abort()

    async def _receive(self, message: Message) -> None:
        if message.opcode is Opcode.PING:
            self.send(encode_frame(Opcode.PONG, message.data))
        elif message.opcode is Opcode.CLOSE:
            code = CloseCode.NO_STATUS if message.code == CloseCode.NO_STATUS else message.code
            self.close(code)
            self._is_over = True
        elif message.opcode is Opcode.BINARY:
            self.close(CloseCode.UNSUPPORTED, "messages are text")
        elif message.opcode is Opcode.TEXT:
            self._hub.metrics.received.inc()
            await self._answer(message.data)

    async def _answer(self, data: bytes) -> None:
        try:
            self._room.take(self.address)
            message = protocol.parse_message(data)
        except protocol.InvalidMessage as error:
            self._complain(str(error), "invalid")
            return
        except TooFast as error:
            self._complain(str(error), "rate", retry_after=round(error.retry_after, 3))
            return
        if isinstance(message, protocol.Ping):
            self.send(_PONG)
        elif isinstance(message, protocol.Subscribe):
            await self._subscribe(message)
        elif isinstance(message, protocol.Applied):
            self._note_applied(message.seq)
        elif isinstance(message, protocol.FileOperation):
            source = self.principal.client or message.source_client
            answer = await self._room.operate(message, self.principal, source)
            if self.subscription is None:
                answer = {name: answer[name] for name in _PLAIN_FIELDS if name in answer}
            self.send(text_frame(answer))

    def _complain(self, message: str, code: str, **more: Any) -> None:
        """Send an Error; who did not ask for protocol 2 gets the specified fields alone."""
        told = (
            protocol.error(message, code, **more) if self.subscription else protocol.error(message)
        )
        self.send(text_frame(told))

    async def _subscribe(self, message: protocol.Subscribe) -> None:
        try:
            if message.token is not None:
                self.principal = self._room.admit(message.token)
            matches = compile_patterns(message.paths) if message.paths else None
        except TokenRefused as error:
            self.send(text_frame(protocol.error(str(error), "unauthorized")))
            return
        except ValueError as error:
            self.send(text_frame(protocol.error(str(error), "invalid")))
            return
        if not self.principal.may_read:
            self.send(text_frame(protocol.error("a token is needed", "unauthorized")))
            return
        client_id = self.principal.client or message.client_id
        if message.protocol < 2:
            self.client_id = client_id
            self.send(_SUBSCRIBED)
            return
        share = self._hub.share
        if not await share.wait_named(NAMED_SECONDS):
            self.close(CloseCode.TRY_AGAIN, "the share is being opened")
            return
        if message.resume_from is not None and message.log in {None, share.log_id}:
            await share.reach(message.resume_from)  # another replica may have told it
        self.client_id = client_id
        self._resume(message, matches)

    def _resume(self, message: protocol.Subscribe, matches: Matches | None) -> None:
        """Begin a subscription of protocol 2, with the past if it is asked for and can be had."""
        share = self._hub.share
        head, log = share.tree.head, share.log_id
        wanted = message.resume_from
        is_lost = wanted is not None and (
            wanted > head or message.log not in {None, log} or wanted < share.index.first() - 1
        )
        start = head if wanted is None or is_lost else wanted
        subscription = Subscription(secrets.token_hex(8), self.principal, matches, start)
        self.subscription = subscription
        session = subscription.session
        self.send(
            text_frame(protocol.ack("subscribe", protocol=2, session=session, log=log, head=head))
        )
        if is_lost:
            said = "the log does not reach back to your cursor: list again"
            self.send(text_frame(protocol.error(said, "rescan", resume_from=head, log=log)))
        if start < head:
            self._hub.tasks.start(self._read_past(subscription), "resume")
        else:
            subscription.is_live = True

    async def _read_past(self, subscription: Subscription) -> None:
        """Send what came after the client's cursor, as fast as it reads, until it is at the head."""
        share = self._hub.share
        while not self._is_closing and self.subscription is subscription:
            logged = await asyncio.to_thread(share.index.after, subscription.sent, RESUMED_AT_ONCE)
            for seq, entry in logged:
                if subscription.wants(entry):
                    subscription.skipped, subscription.sent = 0, seq
                    self.send(text_frame(operation_message(seq, entry)), seq)
                else:
                    subscription.skipped = subscription.sent = seq
            if (
                subscription.sent >= share.tree.head
            ):  # nothing can come between this line and the next
                subscription.is_live = True
                if subscription.skipped:
                    self.send(text_frame(protocol.ack("head", head=subscription.skipped)))
                return
            await self._wait_drained()

    async def _wait_drained(self) -> None:
        """Wait until the client has read most of what waits for it."""
        while self.queued > RESUME_QUEUE and not self._is_closing:
            self._drained = asyncio.Event()
            await self._drained.wait()

    def _note_applied(self, seq: int) -> None:
        if self.subscription is None:
            self._complain("an Ack needs a subscription of protocol 2", "invalid")
        elif seq > self.subscription.applied:
            self.subscription.applied = seq
            self._hub.note_applied(seq)

    def _put(self, frame: bytes, seq: int = 0) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append((frame, seq))
        self.queued += len(frame)
        if not self._is_writing:
            self._writer = drive(self._flush(), asyncio.get_running_loop())

    async def _flush(self) -> None:
        """Write what is queued; most often one frame, without waiting."""
        assert self._stream is not None
        assert self._queue is not None
        self._is_writing = True
        try:
            while self._queue:
                frame, seq = self._queue.popleft()
                await self._stream.write(frame)
                self.queued -= len(frame)
                if seq and self.subscription is not None:
                    self.subscription.handed = seq
                if self._drained is not None and self.queued <= RESUME_QUEUE:
                    self._drained.set()
                    self._drained = None
            self._queue = None
        except BodyAborted:
            self._is_closing = True
        except Exception as error:  # noqa: BLE001 - a broadcast must reach the others
            _log.error("sync_client_write_failed", exc_info=error)
            self._stream.abort()
        finally:
            self._is_writing = False
            if self._drained is not None:
                self._drained.set()

    async def _end(self, stream: ByteStream) -> None:
        if self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer], timeout=CLOSING_SECONDS)
        try:
            await stream.write_end()
        except BodyAborted:
            stream.abort()


def _never(frame: bytes) -> bool:
    """Send nothing at once: the connection has not begun, or cannot."""
    return False


_log = structlog.get_logger("quantum.sync")
_PONG = text_frame(protocol.PONG)
_PLAIN_FIELDS = ("type", "operation_id", "message")
_SUBSCRIBED = text_frame(protocol.ack("subscribe"))
