"""A raw HTTP/2 client: any frame, any field, in any order; it reads what comes back and judges nothing."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9
PRIORITY_UPDATE = 0x10

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20
WHOLE = END_HEADERS | END_STREAM

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(5, 10)
ENHANCE_YOUR_CALM = 11

ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME_SIZE = 2, 3, 4, 5
ENABLE_CONNECT, NO_PRIORITIES = 8, 9

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
POST = [(b":method", b"POST"), *GET[1:]]
SECONDS = 15.0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame; nothing is checked."""
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def block(fields, encoder: hpack.Encoder | None = None) -> bytes:
    """Return a field block that leaves no trace in the table, names and values as they are."""
    never = [hpack.NeverIndexedHeaderTuple(name, value) for name, value in fields]
    return (encoder or hpack.Encoder()).encode(never, huffman=False)


def headers(stream: int, fields=GET, flags: int = WHOLE) -> bytes:
    return frame(HEADERS, flags, stream, block(fields))


def data(stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return frame(DATA, flags, stream, payload)


def settings(*pairs: tuple[int, int], flags: int = 0, stream: int = 0) -> bytes:
    return frame(SETTINGS, flags, stream, b"".join(struct.pack("!HI", *pair) for pair in pairs))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack("!I", increment))


def reset(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack("!I", code))


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of RST_STREAM or GOAWAY."""
        at = 4 if self.kind == GOAWAY else 0
        return int(struct.unpack_from("!I", self.payload, at)[0])


class Peer:
    """One connection; ``frames`` holds all that came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.frames: list[Frame] = []
        self.is_closed = False
        self.heads: dict[int, dict[bytes, bytes]] = {}
        self._decoder = hpack.Decoder()
        self._pings = 0

    async def greet(self, *first: tuple[int, int]) -> None:
        """Exchange SETTINGS."""
        self.send(PREFACE, settings(*first))
        await self.until(lambda f: f.kind == SETTINGS and f.flags & ACK)
        self.send(settings(flags=ACK))

    def send(self, *frames: bytes) -> None:
        if not self.writer.transport.is_closing():
            self.writer.write(b"".join(frames))

    async def read(self, seconds: float = SECONDS) -> Frame | None:
        """Return the next frame, None at the end of the connection."""
        try:
            head = await self._exactly(9, seconds)
            payload = await self._exactly(int.from_bytes(head[:3], "big"), seconds)
        except asyncio.IncompleteReadError:
            self.is_closed = True
            return None
        read = Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)
        if read.kind == HEADERS:
            fields = self._decoder.decode(payload, raw=True)
            self.heads.setdefault(read.stream, {}).update((n, v) for n, v in fields)
        self.frames.append(read)
        return read

    async def _exactly(self, count: int, seconds: float) -> bytes:
        try:
            return await asyncio.wait_for(self.reader.readexactly(count), seconds)
        except ConnectionError:  # asyncio's reader raises it ahead of what arrived before
            came, self.reader = bytes(self.reader._buffer), asyncio.StreamReader()
            self.reader.feed_data(came)
            self.reader.feed_eof()
            return await self.reader.readexactly(count)

    async def until(self, wanted, seconds: float = SECONDS) -> Frame | None:
        """Read up to the frame that is wanted; None when the connection ends before."""
        async with asyncio.timeout(seconds):
            while (read := await self.read(seconds)) is not None:
                if wanted(read):
                    return read
        return None

    async def rest(self, seconds: float = SECONDS) -> list[Frame]:
        """Read until the server closes; return everything that ever came."""
        await self.until(lambda _: False, seconds)
        return self.frames

    async def settle(self) -> None:
        """Wait until all that was sent has had its effect, or the connection is over.

        Twice: the answer to a ping overtakes what was queued before it.
        """
        for _ in range(2):
            self._pings += 1
            token = b"settle%02d" % self._pings
            self.send(frame(PING, 0, 0, token))
            await self.until(lambda f, t=token: f.kind == PING and f.flags & ACK and f.payload == t)
            if self.is_closed:
                return

    # What came of it.

    def of(self, kind: int, stream: int | None = None) -> list[Frame]:
        return [f for f in self.frames if f.kind == kind and stream in {None, f.stream}]

    @property
    def goaway(self) -> int | None:
        """The code of the last GOAWAY."""
        last = self.of(GOAWAY)
        return last[-1].code if last else None

    def status(self, stream: int) -> int | None:
        head = self.heads.get(stream)
        return int(head[b":status"]) if head else None

    def body(self, stream: int) -> bytes:
        return b"".join(f.payload for f in self.of(DATA, stream))

    def close(self) -> None:
        self.writer.transport.abort()
