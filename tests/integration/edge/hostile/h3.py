"""A raw HTTP/3 client: any bytes on any stream of a QUIC connection; it judges nothing."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import pylsqpack
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.buffer import Buffer, encode_uint_var
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import (
    ConnectionTerminated,
    PingAcknowledged,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0, 1, 3, 4, 5, 7, 13
CONTROL_STREAM, PUSH_STREAM, ENCODER_STREAM, DECODER_STREAM = range(4)

STREAM_CREATION_ERROR, CLOSED_CRITICAL_STREAM, FRAME_UNEXPECTED, FRAME_ERROR = range(0x103, 0x107)
EXCESSIVE_LOAD, ID_ERROR, SETTINGS_ERROR, MISSING_SETTINGS = range(0x107, 0x10B)
REQUEST_REJECTED, REQUEST_CANCELLED, REQUEST_INCOMPLETE, MESSAGE_ERROR = range(0x10B, 0x10F)
DECOMPRESSION_FAILED, ENCODER_STREAM_ERROR, DECODER_STREAM_ERROR = range(0x200, 0x203)

GET = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"localhost"),
    (b":path", b"/"),
]
POST = [(b":method", b"POST"), *GET[1:]]
SECONDS = 15.0


def number(value: int) -> bytes:
    return encode_uint_var(value)


def frame(kind: int, payload: bytes = b"") -> bytes:
    return number(kind) + number(len(payload)) + payload


def text(value: bytes, bits: int, flags: int) -> bytes:
    """A QPACK string without Huffman, whatever is in it: prefix of ``bits``, then the bytes."""
    most = (1 << bits) - 1
    if len(value) < most:
        return bytes((flags | len(value),)) + value
    rest, head = len(value) - most, bytes((flags | most,))
    while rest >= 128:
        head, rest = head + bytes((rest % 128 | 128,)), rest // 128
    return head + bytes((rest,)) + value


def section(fields) -> bytes:
    """A field section of literals: names and values as they are."""
    lines = (text(name, 3, 0x20) + text(value, 7, 0) for name, value in fields)
    return b"\0\0" + b"".join(lines)


def headers(fields=GET) -> bytes:
    return frame(HEADERS, section(fields))


class Peer(QuicConnectionProtocol):
    """One connection."""

    def __init__(self, *arguments, **named) -> None:
        super().__init__(*arguments, **named)
        self.received: dict[int, bytes] = {}
        self.resets: dict[int, int] = {}
        self.stops: dict[int, int] = {}
        self.ended: set[int] = set()
        self.terminated: ConnectionTerminated | None = None
        self._ping: asyncio.Event = asyncio.Event()

    def quic_event_received(self, event) -> None:
        if isinstance(event, StreamDataReceived):
            self.received[event.stream_id] = self.received.get(event.stream_id, b"") + event.data
            if event.end_stream:
                self.ended.add(event.stream_id)
        elif isinstance(event, StreamReset):
            self.resets[event.stream_id] = event.error_code
        elif isinstance(event, StopSendingReceived):
            self.stops[event.stream_id] = event.error_code
        elif isinstance(event, ConnectionTerminated):
            self.terminated = event
            self._ping.set()
        elif isinstance(event, PingAcknowledged):
            self._ping.set()

    def put(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send bytes of a stream."""
        self._quic.send_stream_data(stream, data, end)
        self.transmit()

    def reset(self, stream: int, code: int = REQUEST_CANCELLED) -> None:
        self._quic.reset_stream(stream, code)
        self.transmit()

    def stop(self, stream: int, code: int = REQUEST_CANCELLED) -> None:
        self._quic.stop_stream(stream, code)
        self.transmit()

    async def settle(self) -> None:
        """Wait until what was sent has had its effect, or the connection is over."""
        for _ in range(2):
            if self.terminated is not None:
                return
            self._ping.clear()
            self._quic.send_ping(id(self))
            self.transmit()
            await asyncio.wait_for(self._ping.wait(), SECONDS)
            await asyncio.sleep(0.03)  # an acknowledgement may overtake what was queued

    @property
    def most_streams(self) -> int:
        """How many requests the server has allowed so far."""
        return self._quic._remote_max_streams_bidi

    @property
    def code(self) -> int | None:
        """The error code of the connection's end, None while it lives."""
        return self.terminated.error_code if self.terminated is not None else None

    def status(self, stream: int) -> int | None:
        """The status of the answer on a stream."""
        data = self.received.get(stream)
        if not data:
            return None
        buffer = Buffer(data=data)
        assert buffer.pull_uint_var() == HEADERS
        block = buffer.pull_bytes(buffer.pull_uint_var())
        _, fields = pylsqpack.Decoder(0, 0).feed_header(stream, block)
        return int(dict(fields)[b":status"])


def configuration(**options) -> QuicConfiguration:
    return QuicConfiguration(
        alpn_protocols=["h3"], verify_mode=ssl.CERT_NONE, server_name="localhost", **options
    )


@asynccontextmanager
async def connected(port: int, **options):
    """A connection whose handshake is done; nothing of HTTP/3 was said."""
    async with connect(
        "127.0.0.1", port, configuration=configuration(**options), create_protocol=Peer
    ) as peer:
        yield peer
