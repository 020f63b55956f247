"""The clients of ``/ws``: each subscriber hears of every operation of the share, or is cut.

A client costs a reader, a queue that is empty while it keeps up, and the task that its connection has
anyway: a message that can be sent at once is sent without another task. The bytes of a message are
made once for all clients.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from quantum.clock import Clock
from quantum.errors import BodyAborted
from quantum.http.message import ByteStream
from quantum.tasks import TaskSet, drive
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

STALE_SECONDS = 300.0
"""A client of which nothing was heard for so long is gone: the specification's five minutes."""

PROBE_SECONDS = 120.0
"""A silent client is sent a WebSocket ping after this time; browsers answer it by themselves."""

SWEEP_SECONDS = 30.0
"""Between looks for silent clients: the precision of the two limits above."""

LARGEST_QUEUE = 1024 * 1024
"""Bytes that wait for a client that reads too slowly; then it is cut, and must list again."""

LARGEST_MESSAGE = 64 * 1024
"""Bytes of a client's message: the longest paths escaped, with room to spare."""

CLOSING_SECONDS = 5.0
"""How long a client may take to answer our close frame."""

Operate = Callable[[protocol.FileOperation], Awaitable[dict[str, Any]]]
"""Carries out what a client announced; returns the message that answers it."""


class LiveMetrics:
    """What is counted of all hubs of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.clients = Gauge("quantum_sync_clients", "WebSocket clients now", registry=registry)
        self.received = Counter(
            "quantum_sync_messages_received", "Messages from clients", registry=registry
        )
        self.delivered = Counter(
            "quantum_sync_messages_delivered", "Messages handed to clients", registry=registry
        )
        self.cut = Counter("quantum_sync_clients_cut", "Clients cut", ["reason"], registry=registry)


class Hub:
    """The clients of one share in this process."""

    def __init__(self, clock: Clock, metrics: LiveMetrics) -> None:
        self.clock = clock
        self.metrics = metrics
        self.clients: set[Client] = set()
        self._tasks = TaskSet("sync:hub")

    def start(self) -> None:
        """Begin to look for silent clients."""
        self._tasks.start(self._sweep(), "sweep")

    def broadcast(self, operation: dict[str, Any], source: str) -> None:
        """Tell every subscriber of an operation."""
        frame = text_frame(protocol.file_operation(operation, source))
        for client in list(self.clients):
            if client.client_id is not None:
                client.send(frame)

    async def aclose(self) -> None:
        """Say goodbye to every client; cut those that do not leave within a second."""
        for client in list(self.clients):
            client.close(CloseCode.GOING_AWAY, "the server stops")
        for _ in range(20):
            if not self.clients:
                break
            await asyncio.sleep(0.05)
        for client in list(self.clients):
            client.cut("stop")
        await self._tasks.aclose()

    async def _sweep(self) -> None:
        while True:
            await self.clock.sleep(SWEEP_SECONDS)
            now = self.clock.monotonic()
            for client in list(self.clients):
                silence = now - client.last_heard
                if silence > STALE_SECONDS:
                    client.close(CloseCode.GOING_AWAY, "nothing heard for five minutes")
                    client.cut("stale")
                elif silence > PROBE_SECONDS:
                    client.send(_PROBE)


class Client:
    """One WebSocket connection."""

    __slots__ = (
        "_hub", "_is_closing", "_is_over", "_is_writing", "_operate", "_queue", "_queued", "_reader", "_stream",
        "_writer", "client_id", "last_heard",
    )  # fmt: skip

    def __init__(self, hub: Hub, operate: Operate) -> None:
        self._hub = hub
        self._operate = operate
        self._stream: ByteStream | None = None
        self._reader = FrameReader(LARGEST_MESSAGE)
        self._queue: deque[bytes] | None = None
        self._queued = 0
        self._writer: asyncio.Task[None] | None = None
        self._is_writing = False
        self._is_closing = False
        self._is_over = False
        self.client_id: str | None = None
        self.last_heard = hub.clock.monotonic()

    async def run(self, stream: ByteStream) -> None:
        """Serve the connection to its end."""
        self._stream = stream
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

    def send(self, frame: bytes) -> None:
        """Send, at once if the client keeps up; cut it when too much waits."""
        if self._is_closing:
            return
        self._hub.metrics.delivered.inc()
        if self._queued + len(frame) > LARGEST_QUEUE:
            self.cut("slow")
            return
        self._put(frame)

    def close(self, code: CloseCode | int, reason: str = "") -> None:
        """Send a close frame behind what is queued; the client has a few seconds to answer it."""
        if self._is_closing:
            return
        self._is_closing = True
        self._put(encode_close(code, reason))
        if self._stream is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(CLOSING_SECONDS, self._stream.abort)

    def cut(self, reason: str) -> None:
        """End the connection now."""
        self._is_closing = True
        self._hub.metrics.cut.labels(reason).inc()
        _log.info("sync_client_cut", client=self.client_id, reason=reason, queued=self._queued)
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
            message = protocol.parse_message(data)
        except protocol.InvalidMessage as error:
            self.send(text_frame(protocol.error(str(error))))
            return
        if isinstance(message, protocol.Ping):
            self.send(_PONG)
        elif isinstance(message, protocol.Subscribe):
            self.client_id = message.client_id
            self.send(_SUBSCRIBED)
        elif isinstance(message, protocol.FileOperation):
            self.send(text_frame(await self._operate(message)))

    def _put(self, frame: bytes) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(frame)
        self._queued += len(frame)
        if not self._is_writing:
            self._writer = drive(self._flush(), asyncio.get_running_loop())

    async def _flush(self) -> None:
        """Write what is queued; most often one frame, without waiting."""
        assert self._stream is not None
        assert self._queue is not None
        self._is_writing = True
        try:
            while self._queue:
                frame = self._queue.popleft()
                await self._stream.write(frame)
                self._queued -= len(frame)
            self._queue = None
        except BodyAborted:
            self._is_closing = True
        except Exception as error:  # noqa: BLE001 - a broadcast must reach the others
            _log.error("sync_client_write_failed", exc_info=error)
            self._stream.abort()
        finally:
            self._is_writing = False

    async def _end(self, stream: ByteStream) -> None:
        if self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer], timeout=CLOSING_SECONDS)
        try:
            await stream.write_end()
        except BodyAborted:
            stream.abort()


def text_frame(message: dict[str, Any]) -> bytes:
    """Return the frame that sends ``message``."""
    return encode_frame(Opcode.TEXT, json.dumps(message, separators=(",", ":")).encode())


_log = structlog.get_logger("quantum.sync")
_PROBE = encode_frame(Opcode.PING, b"")
_PONG = text_frame(protocol.PONG)
_SUBSCRIBED = text_frame(protocol.ack("subscribe"))
