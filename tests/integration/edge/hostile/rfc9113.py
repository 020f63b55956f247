"""The tables of ``test_rfc9113``: frames, and all that may come of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.integration.edge.hostile.h2 import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    ENABLE_CONNECT,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GET,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW,
    MAX_FRAME_SIZE,
    NO_PRIORITIES,
    PADDED,
    PING,
    POST,
    PRIORITIZED,
    PRIORITY,
    PRIORITY_UPDATE,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WHOLE,
    WINDOW_UPDATE,
    block,
    data,
    frame,
    headers,
    reset,
    settings,
    window_update,
)


def connection(*codes: int) -> frozenset[tuple[str, int]]:
    return frozenset(("connection", code) for code in codes)


def stream(*codes: int) -> frozenset[tuple[str, int]]:
    return frozenset(("stream", code) for code in codes)


def answer(status: int) -> frozenset[tuple[str, int]]:
    return frozenset({("answer", status)})


NOTHING = frozenset({("nothing", 0)})
"""The frame has no effect: no error, no answer, and the connection goes on."""
MALFORMED = stream(PROTOCOL_ERROR) | answer(400)


@dataclass(frozen=True)
class Case:
    section: str
    what: str
    frames: tuple[bytes, ...]
    outcome: frozenset[tuple[str, int]]
    stream: int = 1
    first: tuple[tuple[int, int], ...] = ()
    """Settings that the client begins with."""
    is_last: bool = False
    """Whether no stream can follow."""

    @property
    def id(self) -> str:
        return f"{self.section} {self.what}"


def without(name: bytes, fields=GET):
    return [field for field in fields if field[0] != name]


def path(target: bytes, fields=GET):
    return [*without(b":path", fields), (b":path", target)]


OPEN = headers(1, path(b"/wait", POST), END_HEADERS)
"""A request whose body may follow; it is never answered."""
WAITING = headers(1, path(b"/wait"))
"""A request that is whole (half-closed) and never answered."""
ANSWERED = headers(1)
BLOCK = block(GET)
TUNNEL = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]


SETTLED = b""
"""Between frames: wait until all before has had its effect."""


def prioritized(dependency: int, number: int = 1) -> bytes:
    return frame(HEADERS, WHOLE | PRIORITIZED, number, struct.pack("!IB", dependency, 15) + BLOCK)


FRAMES = [
    Case("4.1", "a frame of an unknown type is ignored", (frame(0xFA, 0, 0, b"x" * 8), ANSWERED), answer(200)),
    Case("4.1", "flags without meaning are ignored", (frame(PING, 0xFE & ~ACK, 0, b"12345678"), ANSWERED), answer(200)),
    Case("4.1", "the reserved bit of a stream id is ignored", (frame(HEADERS, WHOLE, 1 | 1 << 31, BLOCK),), answer(200)),
    Case("4.2", "DATA of the largest size is taken", (OPEN, data(1, b"x" * 16384)), NOTHING),
    Case("4.2", "DATA over the largest size", (OPEN, data(1, b"x" * 16385)), stream(FRAME_SIZE_ERROR) | connection(FRAME_SIZE_ERROR)),
    Case("4.2", "HEADERS over the largest size", (frame(HEADERS, WHOLE, 1, BLOCK + b"\0" * 16384),), connection(FRAME_SIZE_ERROR)),
    Case("4.2", "SETTINGS over the largest size", (settings(*[(0xF0F0, 0)] * 2731),), connection(FRAME_SIZE_ERROR)),
    Case("4.3", "a block that does not decode", (frame(HEADERS, WHOLE, 1, b"\xff\xff\xff\xff\xff\xff"),), connection(COMPRESSION_ERROR)),
    Case("4.3", "an index beyond the tables", (frame(HEADERS, WHOLE, 1, BLOCK + b"\xfe"),), connection(COMPRESSION_ERROR)),
    Case("4.3", "a table size above what was allowed", (frame(HEADERS, WHOLE, 1, b"\x3f\xe2\x1f" + BLOCK),), connection(COMPRESSION_ERROR)),
    Case("4.3", "a table size behind a field", (frame(HEADERS, WHOLE, 1, BLOCK + b"\x20"),), connection(COMPRESSION_ERROR)),
    Case("4.3", "a block that is cut within a field", (frame(HEADERS, WHOLE, 1, block([*GET, (b"a", b"b" * 9)])[:-1]),), connection(COMPRESSION_ERROR)),
    Case("4.3", "Huffman padding of more than seven bits", (frame(HEADERS, WHOLE, 1, BLOCK + b"\x00\x01a\x82\x1f\xff"),), connection(COMPRESSION_ERROR)),
    Case("4.3", "Huffman padding that is not ones", (frame(HEADERS, WHOLE, 1, BLOCK + b"\x00\x01a\x81\x18"),), connection(COMPRESSION_ERROR)),
    Case("4.3", "Huffman with EOS in it", (frame(HEADERS, WHOLE, 1, BLOCK + b"\x00\x01a\x84\xff\xff\xff\xff"),), connection(COMPRESSION_ERROR)),
    Case("4.3", "a name's index beyond the tables", (frame(HEADERS, WHOLE, 1, BLOCK + b"\x7f\x80\x01\x01a"),), connection(COMPRESSION_ERROR)),
    Case("4.3", "an integer without end", (frame(HEADERS, WHOLE, 1, BLOCK + b"\xff" + b"\xff" * 12),), connection(COMPRESSION_ERROR)),
    Case("4.3", "Huffman that ends within a symbol", (frame(HEADERS, WHOLE, 1, BLOCK + b"\x00\x01a\x81\xfe"),), connection(COMPRESSION_ERROR)),
    Case("4.3", "a field that is indexed right after it was added", (frame(HEADERS, WHOLE, 1, BLOCK + b"\x40\x01a\x01b\xbe"),), answer(200)),
    Case("4.3", "a table of nothing at the beginning is taken", (frame(HEADERS, WHOLE, 1, b"\x20" + BLOCK),), answer(200)),
    Case("4.3", "two table sizes at the beginning are taken", (frame(HEADERS, WHOLE, 1, b"\x20\x3f\xe1\x1f" + BLOCK),), answer(200)),
    Case("4.3", "an entry that the table was emptied of", (frame(HEADERS, WHOLE, 1, BLOCK + b"\x40\x01a\x01b"), frame(HEADERS, WHOLE, 3, b"\x20" + BLOCK + b"\xbe")), connection(COMPRESSION_ERROR)),
    Case("4.3", "a block that is cut within its CONTINUATION", (frame(HEADERS, END_STREAM, 1, BLOCK), frame(CONTINUATION, END_HEADERS, 1, b"\x00\x01a\x05b")), connection(COMPRESSION_ERROR)),
    Case("4.3", "index zero", (frame(HEADERS, WHOLE, 1, BLOCK + b"\x80"),), connection(COMPRESSION_ERROR)),
    Case("4.3", "another stream's HEADERS within a block", (frame(HEADERS, END_STREAM, 1, BLOCK), headers(3)), connection(PROTOCOL_ERROR)),
    Case("4.3", "PRIORITY within a block", (frame(HEADERS, END_STREAM, 1, BLOCK), frame(PRIORITY, 0, 1, b"\0\0\0\0\1")), connection(PROTOCOL_ERROR)),
    *[Case("4.3", f"{name} within a block", (frame(HEADERS, END_STREAM, 1, BLOCK), part), connection(PROTOCOL_ERROR)) for name, part in (
        ("RST_STREAM", reset(1)), ("SETTINGS", settings()), ("PING", frame(PING, 0, 0, b"12345678")), ("GOAWAY", frame(GOAWAY, 0, 0, b"\0" * 8)),
        ("WINDOW_UPDATE", window_update(1, 1)), ("WINDOW_UPDATE of the connection", window_update(0, 1)), ("DATA of another stream", data(3)),
        ("HEADERS of its own stream", headers(1)), ("a frame of an unknown type on the connection", frame(0xFA, 0, 0)),
    )],
    Case("4.3", "PING within the block of trailers", (OPEN, frame(HEADERS, END_STREAM, 1, b"\x00\x01a\x01b"), frame(PING, 0, 0, b"12345678")), connection(PROTOCOL_ERROR)),
    Case("4.3", "DATA within a block", (frame(HEADERS, 0, 1, BLOCK), data(1)), connection(PROTOCOL_ERROR)),
    Case("5.5", "an unknown frame within a block", (frame(HEADERS, END_STREAM, 1, BLOCK), frame(0xFA, 0, 1)), connection(PROTOCOL_ERROR)),
    Case("5.5", "an unknown setting is ignored", (settings((0xF0F0, 1)), ANSWERED), answer(200)),
]  # fmt: skip

STREAMS = [
    Case("5.1", "DATA on an idle stream", (data(1),), connection(PROTOCOL_ERROR)),
    Case("5.1", "RST_STREAM on an idle stream", (reset(1),), connection(PROTOCOL_ERROR)),
    Case("5.1", "WINDOW_UPDATE on an idle stream", (window_update(1, 1),), connection(PROTOCOL_ERROR)),
    Case("5.1", "CONTINUATION on an idle stream", (frame(CONTINUATION, END_HEADERS, 1, BLOCK),), connection(PROTOCOL_ERROR)),
    Case("5.1", "PRIORITY on an idle stream is taken", (frame(PRIORITY, 0, 1, b"\0\0\0\0\1"), ANSWERED), answer(200)),
    Case("5.1", "DATA on a half-closed stream", (WAITING, data(1, b"x")), stream(STREAM_CLOSED) | connection(STREAM_CLOSED)),
    Case("5.1", "HEADERS on a half-closed stream", (WAITING, headers(1)), stream(STREAM_CLOSED) | connection(STREAM_CLOSED)),
    Case("5.1", "CONTINUATION on a half-closed stream", (WAITING, frame(CONTINUATION, END_HEADERS, 1, BLOCK)), connection(PROTOCOL_ERROR, STREAM_CLOSED)),
    Case("5.1", "WINDOW_UPDATE on a half-closed stream is taken", (WAITING, window_update(1, 1)), NOTHING),
    Case("5.1", "DATA after our RST_STREAM", (OPEN, reset(1), data(1, b"x")), stream(STREAM_CLOSED) | connection(STREAM_CLOSED)),
    Case("5.1", "HEADERS after our RST_STREAM", (OPEN, reset(1), headers(1)), stream(STREAM_CLOSED) | connection(STREAM_CLOSED, PROTOCOL_ERROR)),
    Case("5.1", "CONTINUATION after our RST_STREAM", (OPEN, reset(1), frame(CONTINUATION, END_HEADERS, 1, BLOCK)), connection(PROTOCOL_ERROR, STREAM_CLOSED)),
    Case("5.1", "DATA on a stream that ended", (headers(1), SETTLED, data(1, b"x")), connection(STREAM_CLOSED)),
    Case("5.1", "HEADERS on a stream that ended", (headers(1), SETTLED, headers(1)), connection(STREAM_CLOSED)),
    Case("5.1", "CONTINUATION on a stream that ended", (headers(1), SETTLED, frame(CONTINUATION, END_HEADERS, 1, BLOCK)), connection(PROTOCOL_ERROR, STREAM_CLOSED)),
    Case("5.1", "WINDOW_UPDATE on a stream that ended is taken", (headers(3), SETTLED, window_update(3, 1)), NOTHING),
    Case("5.1", "DATA on a stream that we reset is taken", (headers(1, [*POST, (b"A", b"b")], END_HEADERS), SETTLED, data(1, b"x")), stream(PROTOCOL_ERROR)),
    Case("5.1", "DATA on a stream id that was left out", (headers(5, path(b"/wait")), data(3, b"x")), connection(PROTOCOL_ERROR, STREAM_CLOSED)),
    Case("5.1", "HEADERS without an end on a half-closed stream", (WAITING, headers(1, GET, END_HEADERS)), stream(STREAM_CLOSED) | connection(STREAM_CLOSED)),
    Case("5.1", "empty DATA on a half-closed stream", (WAITING, data(1)), stream(STREAM_CLOSED) | connection(STREAM_CLOSED)),
    Case("5.1", "DATA that is padding alone on a half-closed stream", (WAITING, data(1, b"\1\0", PADDED)), stream(STREAM_CLOSED) | connection(STREAM_CLOSED)),
    Case("5.1", "RST_STREAM on a half-closed stream is taken", (WAITING, reset(1)), NOTHING),
    Case("5.1", "PRIORITY on a half-closed stream is taken", (WAITING, frame(PRIORITY, 0, 1, b"\0\0\0\0\1")), NOTHING),
    Case("5.1", "trailers after trailers", (OPEN, headers(1, [(b"a", b"b")]), headers(1, [(b"a", b"b")])), stream(STREAM_CLOSED) | connection(STREAM_CLOSED)),
    Case("5.1", "RST_STREAM on a stream that ended is taken", (headers(1), SETTLED, reset(1)), answer(200)),
    Case("5.1", "PRIORITY on a stream that ended is taken", (headers(3), SETTLED, frame(PRIORITY, 0, 3, b"\0\0\0\0\1")), NOTHING),
    Case("5.1", "RST_STREAM on a stream id that was left out", (headers(5, path(b"/wait")), reset(3)), connection(PROTOCOL_ERROR) | NOTHING),
    *[Case("5.1", f"{name} on a stream of the server", (part,), connection(PROTOCOL_ERROR)) for name, part in (
        ("DATA", data(2, b"x")), ("RST_STREAM", reset(2)), ("WINDOW_UPDATE", window_update(2, 1)), ("CONTINUATION", frame(CONTINUATION, END_HEADERS, 2, BLOCK)),
    )],
    Case("5.1", "RST_STREAM twice is taken", (OPEN, reset(1), reset(1)), NOTHING),
    Case("5.1", "WINDOW_UPDATE after our RST_STREAM is taken", (OPEN, reset(1), window_update(1, 1)), NOTHING),
    Case("5.1", "PRIORITY on a closed stream is taken", (OPEN, reset(1), frame(PRIORITY, 0, 1, b"\0\0\0\0\1")), NOTHING),
    Case("5.1.1", "a stream id of the server", (headers(2),), connection(PROTOCOL_ERROR)),
    Case("5.1.1", "a stream id below the last one", (headers(5, path(b"/wait")), headers(3)), connection(PROTOCOL_ERROR)),
    Case("5.1.1", "the highest stream id", (headers(2**31 - 1),), answer(200), stream=2**31 - 1, is_last=True),
    Case("5.1.1", "a gap in the stream ids", (headers(5),), answer(200), stream=5),
    Case("5.1.2", "a stream above MAX_CONCURRENT_STREAMS", tuple(headers(n, path(b"/wait")) for n in range(1, 203, 2)), stream(REFUSED_STREAM) | connection(PROTOCOL_ERROR), stream=201),
    Case("5.3.1", "HEADERS that depend on themselves", (prioritized(1),), stream(PROTOCOL_ERROR) | connection(PROTOCOL_ERROR)),
    Case("5.3.1", "PRIORITY that depends on itself", (WAITING, frame(PRIORITY, 0, 1, b"\0\0\0\1\1")), stream(PROTOCOL_ERROR) | connection(PROTOCOL_ERROR)),
    Case("5.3.1", "HEADERS with a priority", (prioritized(0),), answer(200)),
]  # fmt: skip

KINDS = [
    Case("6.1", "DATA on stream 0", (data(0, b"x"),), connection(PROTOCOL_ERROR)),
    Case("6.1", "DATA with padding", (headers(1, path(b"/read", POST), END_HEADERS), data(1, b"\3abc\0\0\0", PADDED | END_STREAM)), answer(200)),
    Case("6.1", "DATA with padding as long as its payload", (OPEN, data(1, b"\3abc"[:3], PADDED)), connection(PROTOCOL_ERROR)),
    Case("6.1", "DATA that is padding alone is taken", (OPEN, data(1, b"\3\0\0\0", PADDED)), NOTHING),
    Case("6.1", "DATA with the padding flag and no length", (OPEN, data(1, b"", PADDED)), connection(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    Case("6.2", "HEADERS on stream 0", (headers(0),), connection(PROTOCOL_ERROR)),
    Case("6.2", "HEADERS with padding", (frame(HEADERS, WHOLE | PADDED, 1, b"\2" + BLOCK + b"\0\0"),), answer(200)),
    Case("6.2", "HEADERS with padding longer than the frame", (frame(HEADERS, WHOLE | PADDED, 1, bytes((len(BLOCK) + 1,)) + BLOCK),), connection(PROTOCOL_ERROR)),
    Case("6.2", "HEADERS with padding and priority", (frame(HEADERS, WHOLE | PADDED | PRIORITIZED, 1, b"\2\0\0\0\0\1" + BLOCK + b"\0\0"),), answer(200)),
    Case("6.2", "HEADERS with padding that leaves no room for its priority", (frame(HEADERS, WHOLE | PADDED | PRIORITIZED, 1, b"\4\0\0\0\0\1\0\0"),), connection(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    Case("6.2", "HEADERS with the padding flag and no length", (frame(HEADERS, WHOLE | PADDED, 1),), connection(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    Case("6.2", "HEADERS without fields", (frame(HEADERS, WHOLE, 1),), MALFORMED),
    Case("6.2", "HEADERS too short for its priority", (frame(HEADERS, WHOLE | PRIORITIZED, 1, b"\0\0\0"),), connection(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    Case("6.3", "PRIORITY on stream 0", (frame(PRIORITY, 0, 0, b"\0\0\0\0\1"),), connection(PROTOCOL_ERROR)),
    Case("6.3", "PRIORITY of four bytes", (WAITING, frame(PRIORITY, 0, 1, b"\0\0\0\0")), stream(FRAME_SIZE_ERROR) | connection(FRAME_SIZE_ERROR)),
    Case("6.4", "RST_STREAM on stream 0", (reset(0),), connection(PROTOCOL_ERROR)),
    Case("6.4", "RST_STREAM of three bytes", (OPEN, frame(RST_STREAM, 0, 1, b"\0\0\0")), connection(FRAME_SIZE_ERROR)),
    Case("6.4", "RST_STREAM with an unknown code is taken", (OPEN, reset(1, 0xFFFF)), NOTHING),
    Case("6.5", "SETTINGS with ACK and a payload", (settings((1, 1), flags=ACK),), connection(FRAME_SIZE_ERROR)),
    Case("6.5", "SETTINGS on a stream", (settings(stream=1),), connection(PROTOCOL_ERROR)),
    Case("6.4", "RST_STREAM of five bytes", (OPEN, frame(RST_STREAM, 0, 1, b"\0" * 5)), connection(FRAME_SIZE_ERROR)),
    Case("6.5", "SETTINGS without a setting is taken", (settings(), ANSWERED), answer(200)),
    Case("6.5", "an ACK of SETTINGS that were acknowledged", (settings(flags=ACK), ANSWERED), answer(200) | connection(PROTOCOL_ERROR)),
    Case("6.5", "SETTINGS of five bytes", (frame(SETTINGS, 0, 0, b"\0" * 5),), connection(FRAME_SIZE_ERROR)),
    Case("6.5.2", "ENABLE_PUSH of 2", (settings((ENABLE_PUSH, 2)),), connection(PROTOCOL_ERROR)),
    Case("6.5.2", "INITIAL_WINDOW_SIZE above the maximum", (settings((INITIAL_WINDOW, 1 << 31)),), connection(FLOW_CONTROL_ERROR)),
    Case("6.5.2", "MAX_FRAME_SIZE below the minimum", (settings((MAX_FRAME_SIZE, 16383)),), connection(PROTOCOL_ERROR)),
    Case("6.5.2", "MAX_FRAME_SIZE above the maximum", (settings((MAX_FRAME_SIZE, 1 << 24)),), connection(PROTOCOL_ERROR)),
    Case("8441 3", "ENABLE_CONNECT_PROTOCOL of 2", (settings((ENABLE_CONNECT, 2)),), connection(PROTOCOL_ERROR)),
    Case("9218 2.1", "NO_RFC7540_PRIORITIES of 2", (settings((NO_PRIORITIES, 2)),), connection(PROTOCOL_ERROR)),
    *[Case("6.5.2", f"the setting {n} of {value} is taken", (settings((n, value)), ANSWERED), answer(200)) for n, value in (
        (1, 0), (ENABLE_PUSH, 0), (ENABLE_PUSH, 1), (3, 0), (INITIAL_WINDOW, 2**31 - 1), (MAX_FRAME_SIZE, 2**24 - 1), (6, 0),
    )],
    Case("6.6", "PUSH_PROMISE by a client", (WAITING, frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + BLOCK)), connection(PROTOCOL_ERROR)),
    Case("6.7", "PING on a stream", (frame(PING, 0, 1, b"12345678"),), connection(PROTOCOL_ERROR)),
    Case("6.7", "PING of six bytes", (frame(PING, 0, 0, b"123456"),), connection(FRAME_SIZE_ERROR)),
    Case("6.7", "an ACK that nobody asked for is taken", (frame(PING, ACK, 0, b"12345678"), ANSWERED), answer(200)),
    Case("6.7", "PING of ten bytes", (frame(PING, 0, 0, b"1234567890"),), connection(FRAME_SIZE_ERROR)),
    Case("6.8", "GOAWAY on a stream", (frame(GOAWAY, 0, 1, b"\0" * 8),), connection(PROTOCOL_ERROR)),
    Case("6.8", "GOAWAY of seven bytes", (frame(GOAWAY, 0, 0, b"\0" * 7),), connection(FRAME_SIZE_ERROR)),
    Case("9218 7.1", "PRIORITY_UPDATE on a stream", (WAITING, frame(PRIORITY_UPDATE, 0, 1, b"\0\0\0\1u=1")), connection(PROTOCOL_ERROR)),
    Case("9218 7.1", "PRIORITY_UPDATE for stream 0", (frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\0u=1"),), connection(PROTOCOL_ERROR)),
    Case("9218 7.1", "PRIORITY_UPDATE of three bytes", (frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0"),), connection(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    Case("9218 7.1", "PRIORITY_UPDATE of a stream to come is taken", (frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"), ANSWERED), answer(200)),
    Case("6.9", "WINDOW_UPDATE of 0 on the connection", (window_update(0, 0),), connection(PROTOCOL_ERROR)),
    Case("6.9", "WINDOW_UPDATE of 0 on a stream", (WAITING, window_update(1, 0)), stream(PROTOCOL_ERROR) | connection(PROTOCOL_ERROR)),
    Case("6.9", "WINDOW_UPDATE of three bytes", (frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"),), connection(FRAME_SIZE_ERROR)),
    Case("6.9.1", "a connection's window above the maximum", (window_update(0, 2**31 - 1), window_update(0, 2**31 - 1)), connection(FLOW_CONTROL_ERROR)),
    Case("6.9.1", "a stream's window above the maximum", (WAITING, window_update(1, 2**31 - 1), window_update(1, 2**31 - 1)), stream(FLOW_CONTROL_ERROR) | connection(FLOW_CONTROL_ERROR)),
    Case("6.9", "WINDOW_UPDATE of five bytes", (WAITING, frame(WINDOW_UPDATE, 0, 1, b"\0" * 5)), connection(FRAME_SIZE_ERROR)),
    Case("6.9", "the reserved bit of WINDOW_UPDATE is ignored", (frame(WINDOW_UPDATE, 0, 0, b"\x80\0\0\1"), ANSWERED), answer(200)),
    Case("6.9.1", "padding counts against the stream's window", (OPEN, *[data(1, b"\xff" + bytes(16383), PADDED)] * 5), stream(FLOW_CONTROL_ERROR) | connection(FLOW_CONTROL_ERROR)),
    Case("6.9.1", "more DATA than the stream's window", (OPEN, *[data(1, b"x" * 16384)] * 5), stream(FLOW_CONTROL_ERROR) | connection(FLOW_CONTROL_ERROR)),
    Case("6.9.2", "INITIAL_WINDOW_SIZE that lifts a window above the maximum", (WAITING, window_update(1, 2**31 - 65536), settings((INITIAL_WINDOW, 2**31 - 1))), connection(FLOW_CONTROL_ERROR)),
    Case("6.10", "CONTINUATION on stream 0", (frame(HEADERS, END_STREAM, 1, BLOCK), frame(CONTINUATION, END_HEADERS, 0)), connection(PROTOCOL_ERROR)),
    Case("6.10", "CONTINUATION of another stream", (frame(HEADERS, END_STREAM, 1, BLOCK), frame(CONTINUATION, END_HEADERS, 3)), connection(PROTOCOL_ERROR)),
    Case("6.10", "CONTINUATION behind END_HEADERS", (WAITING, frame(CONTINUATION, END_HEADERS, 1)), connection(PROTOCOL_ERROR)),
    Case("6.10", "CONTINUATION behind DATA", (OPEN, data(1), frame(CONTINUATION, END_HEADERS, 1)), connection(PROTOCOL_ERROR)),
    Case("6.10", "a block in three frames", (frame(HEADERS, END_STREAM, 1, BLOCK[:3]), frame(CONTINUATION, 0, 1, BLOCK[3:9]), frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:])), answer(200)),
]  # fmt: skip


def malformed(section: str, what: str, *fields) -> Case:
    return Case(section, what, (headers(1, list(fields)),), MALFORMED)


def with_field(section: str, name: bytes, value: bytes = b"b") -> Case:
    return malformed(section, f"{name!r}: {value!r}", *GET, (name, value))


READING = headers(1, path(b"/read", POST), END_HEADERS)


def with_length(value: bytes, *bodies: bytes) -> tuple[bytes, ...]:
    head = headers(
        1, [*path(b"/read", POST), (b"content-length", value)], END_HEADERS if bodies else WHOLE
    )
    last = len(bodies) - 1
    frames = [data(1, b, END_STREAM if n == last else 0) for n, b in enumerate(bodies)]
    return (head, *frames)


MESSAGES = [
    Case("8.1", "a second head that does not end the stream", (OPEN, headers(1, [(b"a", b"b")], END_HEADERS)), stream(PROTOCOL_ERROR)),
    Case("8.1", "trailers", (READING, data(1, b"abc"), headers(1, [(b"a", b"b")])), answer(200)),
    Case("8.1", "a pseudo field in trailers", (OPEN, data(1, b"abc"), headers(1, [(b":path", b"/")])), stream(PROTOCOL_ERROR)),
    Case("8.1", "an upper-case name in trailers", (OPEN, data(1, b"abc"), headers(1, [(b"A", b"b")])), stream(PROTOCOL_ERROR)),
    Case("8.1", "a connection field in trailers", (OPEN, data(1, b"abc"), headers(1, [(b"connection", b"x")])), stream(PROTOCOL_ERROR)),
    *[with_field("8.2.1", name) for name in (b"A", b"x-Upper", b"a b", b"a\0", b"a\r\nb", b"a:b", b"", b"\x7f", b"\xe9", b"a(b")],
    *[with_field("8.2.1", b"a", value) for value in (b"b\r\nc: d", b"b\nc", b"b\rc", b"b\0c", b" b", b"b ", b"\tb", b"b\t")],
    *[with_field("8.2.2", name, value) for name, value in (
        (b"connection", b"keep-alive"), (b"keep-alive", b"5"), (b"proxy-connection", b"close"),
        (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c"), (b"te", b"gzip"), (b"te", b"trailers, deflate"),
    )],
    Case("8.2.2", "te: trailers", (headers(1, [*GET, (b"te", b"trailers")]),), answer(200)),
    malformed("8.3", "an unknown pseudo field", *GET, (b":unknown", b"x")),
    malformed("8.3", "a pseudo field of responses", *GET, (b":status", b"200")),
    malformed("8.3", "a pseudo field behind a field", *GET[:3], (b"a", b"b"), GET[3]),
    *[malformed("8.3", f"{name!r} twice", *GET, (name, value)) for name, value in GET],
    *[malformed("8.3.1", f"no {name!r}", *without(name)) for name in (b":method", b":scheme", b":path")],
    malformed("8.3.1", "no authority at all", *without(b":authority")),
    malformed("8.3.1", "an empty path", *path(b"")),
    malformed("8.3.1", "a path that does not begin with a slash", *path(b"a")),
    malformed("8.3.1", "an asterisk that is not for OPTIONS", *path(b"*")),
    malformed("8.3.1", "an authority with userinfo", *without(b":authority"), (b":authority", b"u@a")),
    malformed("8.3.1", "Host and :authority differ", *GET, (b"host", b"b")),
    malformed("8.3.1", "two Hosts", *GET, (b"host", b"a"), (b"host", b"b")),
    malformed("8.3.1", "a method that is no token", *without(b":method"), (b":method", b"G T")),
    malformed("8.3.1", "an empty method", *without(b":method"), (b":method", b"")),
    malformed("8.3.1", "a path with a line break", *path(b"/\r\nx")),
    malformed("8.3.1", "a path with a space", *path(b"/a b")),
    malformed("8.3.1", "a path with a fragment", *path(b"/#a")),
    Case("8.3.1", "an asterisk for OPTIONS", (headers(1, [(b":method", b"OPTIONS"), *path(b"*")[1:]]),), answer(200)),
    Case("8.3.1", "Host without :authority", (headers(1, [*without(b":authority"), (b"host", b"a")]),), answer(200)),
    Case("8.1", "trailers before a body are its end", (READING, headers(1, [(b"a", b"b")])), answer(200)),
    Case("8.1", "trailers whose block is in three frames", (READING, frame(HEADERS, END_STREAM, 1, b"\x00\x01"), frame(CONTINUATION, 0, 1, b"a\x01"), frame(CONTINUATION, END_HEADERS, 1, b"b")), answer(200)),
    Case("8.1", "content-length, less DATA, then trailers", (*with_length(b"5", b"")[:1], data(1, b"abc"), headers(1, [(b"a", b"b")])), stream(PROTOCOL_ERROR)),
    *[Case("8.3.1", f"{method.decode()} is served", (headers(1, [(b":method", method), *GET[1:]]),), answer(200)) for method in (b"HEAD", b"POST", b"DELETE", b"PROPFIND", b"M-SEARCH")],
    malformed("8.3.1", "an empty scheme", *without(b":scheme"), (b":scheme", b"")),
    malformed("8.3.1", "an empty authority", *without(b":authority"), (b":authority", b"")),
    malformed("8.3", "an empty pseudo name", *GET, (b":", b"x")),
    malformed("8.3", "a pseudo field in upper case", *without(b":path"), (b":Path", b"/")),
    Case("8.2.3", "cookies in crumbs", (headers(1, [*GET, (b"cookie", b"a=1"), (b"cookie", b"b=2")]),), answer(200)),
    Case("8.1.1", "less DATA than content-length", with_length(b"5", b"abc"), stream(PROTOCOL_ERROR)),
    Case("8.1.1", "more DATA than content-length", with_length(b"2", b"abc"), stream(PROTOCOL_ERROR)),
    Case("8.1.1", "more DATA than content-length in two frames", with_length(b"4", b"abc", b"de"), stream(PROTOCOL_ERROR)),
    Case("8.1.1", "content-length and no DATA", with_length(b"5"), stream(PROTOCOL_ERROR)),
    Case("8.1.1", "content-length and an empty DATA", with_length(b"5", b""), stream(PROTOCOL_ERROR)),
    Case("8.1.1", "content-length and its DATA", with_length(b"5", b"abc", b"de"), answer(200)),
    *[Case("8.1.1", f"content-length {value!r}", with_length(value, b"abc"), MALFORMED) for value in (b"3, 3", b"+3", b"-3", b"0x3", b"3a", b"", b"3 ", b"99999999999999999999")],
    malformed("8.1.1", "content-length twice, equal", *GET, (b"content-length", b"0"), (b"content-length", b"0")),
    malformed("8.1.1", "content-length twice, different", *GET, (b"content-length", b"0"), (b"content-length", b"1")),
    Case("8.5", "CONNECT without a protocol is not served", (headers(1, [(b":method", b"CONNECT"), (b":authority", b"a:1")], END_HEADERS),), answer(405)),
    malformed("8.5", "CONNECT with a path", (b":method", b"CONNECT"), (b":authority", b"a:1"), (b":path", b"/")),
    malformed("8.5", "CONNECT with a scheme", (b":method", b"CONNECT"), (b":authority", b"a:1"), (b":scheme", b"http")),
    malformed("8.5", "CONNECT without an authority", (b":method", b"CONNECT")),
    malformed("8441 4", "a protocol without CONNECT", *GET, (b":protocol", b"websocket")),
    malformed("8441 4", "extended CONNECT without a path", *without(b":path", TUNNEL)),
    malformed("8441 4", "extended CONNECT without a scheme", *without(b":scheme", TUNNEL)),
    malformed("8441 4", "extended CONNECT without an authority", *without(b":authority", TUNNEL)),
]  # fmt: skip

GROUPS = {"frames": FRAMES, "streams": STREAMS, "kinds": KINDS, "messages": MESSAGES}
