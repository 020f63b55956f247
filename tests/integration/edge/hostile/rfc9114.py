"""The tables of ``test_rfc9114``: bytes on streams, and all that may come of them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.integration.edge.hostile.h3 import (
    CANCEL_PUSH,
    CLOSED_CRITICAL_STREAM,
    CONTROL_STREAM,
    DATA,
    DECODER_STREAM,
    DECODER_STREAM_ERROR,
    DECOMPRESSION_FAILED,
    ENCODER_STREAM,
    ENCODER_STREAM_ERROR,
    FRAME_ERROR,
    FRAME_UNEXPECTED,
    GET,
    GOAWAY,
    HEADERS,
    ID_ERROR,
    MAX_PUSH_ID,
    MESSAGE_ERROR,
    MISSING_SETTINGS,
    POST,
    PUSH_PROMISE,
    PUSH_STREAM,
    REQUEST_CANCELLED,
    REQUEST_INCOMPLETE,
    SETTINGS,
    SETTINGS_ERROR,
    STREAM_CREATION_ERROR,
    frame,
    headers,
    number,
    section,
)

Outcome = frozenset[tuple[str, int]]

REQUEST, CONTROL, OTHER, ANOTHER = 0, 2, 6, 10
"""Streams of the client: its first request, and three that go one way."""
END = True


def connection(*codes: int) -> Outcome:
    return frozenset(("connection", code) for code in codes)


def stream(*codes: int) -> Outcome:
    return frozenset(("stream", code) for code in codes)


def answer(status: int) -> Outcome:
    return frozenset({("answer", status)})


NOTHING = frozenset({("nothing", 0)})
MALFORMED = stream(MESSAGE_ERROR) | answer(400)


@dataclass(frozen=True)
class Case:
    section: str
    what: str
    parts: tuple[tuple[int, bytes, bool], ...]
    outcome: Outcome
    reset: int | None = None
    """The stream that the client resets in the end."""

    @property
    def id(self) -> str:
        return f"{self.section} {self.what}"


def on_control(data: bytes, *, end: bool = False, first: bool = True):
    start = number(CONTROL_STREAM) + (frame(SETTINGS) if first else b"")
    return ((CONTROL, start + data, end),)


def on_request(data: bytes, *, end: bool = True):
    return ((REQUEST, data, end),)


def other(kind: int, data: bytes = b"", stream: int = OTHER, *, end: bool = False):
    return ((stream, number(kind) + data, end),)


def setting(*values: int) -> bytes:
    return b"".join(map(number, values))


def without(name: bytes, fields=GET):
    return [field for field in fields if field[0] != name]


def path(target: bytes, fields=GET):
    return [*without(b":path", fields), (b":path", target)]


READ = headers(path(b"/read", POST))
BODY = frame(DATA, b"abc")
RESERVED = 0x1F * 7 + 0x21

STREAMS = [
    Case("6.2", "a stream of a reserved type is ignored", (*other(RESERVED, b"x" * 99), *on_request(headers())), answer(200)),
    Case("6.2", "a stream of a reserved type that ends is ignored", (*other(RESERVED, b"x", end=END), *on_request(headers())), answer(200)),
    Case("6.2", "a stream that ends before its type is ignored", ((OTHER, b"", True), *on_request(headers())), answer(200)),
    Case("6.2.1", "a second control stream", (*on_control(b""), *other(CONTROL_STREAM, frame(SETTINGS))), connection(STREAM_CREATION_ERROR)),
    Case("6.2.1", "the control stream ends", on_control(b"", end=END), connection(CLOSED_CRITICAL_STREAM)),
    Case("6.2.1", "the control stream ends at once", on_control(b"", end=END, first=False), connection(CLOSED_CRITICAL_STREAM)),
    Case("6.2.1", "the control stream is reset", on_control(b""), connection(CLOSED_CRITICAL_STREAM), reset=CONTROL),
    Case("6.2.1", "control begins with GOAWAY", on_control(frame(GOAWAY, b"\0"), first=False), connection(MISSING_SETTINGS)),
    Case("6.2.1", "control begins with a reserved frame", on_control(frame(RESERVED, b""), first=False), connection(MISSING_SETTINGS)),
    Case("6.2.1", "control begins with DATA", on_control(frame(DATA, b"x"), first=False), connection(MISSING_SETTINGS, FRAME_UNEXPECTED)),
    Case("6.2.2", "a push stream of a client", other(PUSH_STREAM, b"\0"), connection(STREAM_CREATION_ERROR)),
    Case("9204 4.2", "a second encoder stream", (*other(ENCODER_STREAM), *other(ENCODER_STREAM, stream=ANOTHER)), connection(STREAM_CREATION_ERROR)),
    Case("9204 4.2", "a second decoder stream", (*other(DECODER_STREAM), *other(DECODER_STREAM, stream=ANOTHER)), connection(STREAM_CREATION_ERROR)),
    Case("9204 4.2", "the encoder stream ends", other(ENCODER_STREAM, end=END), connection(CLOSED_CRITICAL_STREAM)),
    Case("9204 4.2", "the decoder stream ends", other(DECODER_STREAM, end=END), connection(CLOSED_CRITICAL_STREAM)),
    Case("9204 4.2", "the encoder stream is reset", other(ENCODER_STREAM), connection(CLOSED_CRITICAL_STREAM), reset=OTHER),
    Case("4.1.1", "a request that is reset is given up", on_request(headers(path(b"/wait")), end=False), stream(REQUEST_CANCELLED), reset=REQUEST),
]  # fmt: skip

FRAMES = [
    Case("4.1", "DATA before HEADERS", on_request(BODY), connection(FRAME_UNEXPECTED)),
    Case("4.1", "DATA behind trailers", on_request(READ + BODY + headers([(b"a", b"b")]) + BODY), connection(FRAME_UNEXPECTED)),
    Case("4.1", "HEADERS behind trailers", on_request(READ + BODY + headers([(b"a", b"b")]) * 2), connection(FRAME_UNEXPECTED)),
    Case("4.1", "trailers", on_request(READ + BODY + headers([(b"a", b"b")])), answer(200)),
    Case("4.1", "a reserved frame behind trailers", on_request(READ + BODY + headers([(b"a", b"b")]) + frame(RESERVED, b"x")), answer(200)),
    Case("4.1", "a reserved frame before HEADERS", on_request(frame(RESERVED, b"x" * 9) + headers()), answer(200)),
    Case("4.1", "reserved frames within a body", on_request(READ + BODY + frame(RESERVED) + BODY), answer(200)),
    Case("4.1", "a stream without a request", on_request(b""), stream(REQUEST_INCOMPLETE)),
    Case("4.1", "a stream of reserved frames alone", on_request(frame(RESERVED, b"x")), stream(REQUEST_INCOMPLETE)),
    Case("7.1", "a stream that ends within DATA", on_request(READ + BODY[:-1]), connection(FRAME_ERROR)),
    Case("7.1", "a stream that ends within a frame's head", on_request(READ + b"\0"), connection(FRAME_ERROR)),
    Case("7.1", "a stream that ends within HEADERS", on_request(headers()[:-1]), connection(FRAME_ERROR)),
    Case("7.1", "a stream that ends within a reserved frame", on_request(headers() + number(RESERVED) + b"\5x"), connection(FRAME_ERROR)),
    Case("7.1", "GOAWAY with bytes behind its id", on_control(frame(GOAWAY, b"\0\0")), connection(FRAME_ERROR)),
    Case("7.1", "GOAWAY with half an id", on_control(frame(GOAWAY, b"\x40")), connection(FRAME_ERROR)),
    Case("7.1", "GOAWAY without an id", on_control(frame(GOAWAY)), connection(FRAME_ERROR)),
    Case("7.1", "MAX_PUSH_ID with bytes behind its id", on_control(frame(MAX_PUSH_ID, b"\0\0")), connection(FRAME_ERROR)),
    Case("7.1", "CANCEL_PUSH without an id", on_control(frame(CANCEL_PUSH)), connection(FRAME_ERROR)),
    Case("7.1", "SETTINGS with half a value", on_control(frame(SETTINGS, b"\6\x40"), first=False), connection(FRAME_ERROR)),
    Case("7.1", "SETTINGS with an id and no value", on_control(frame(SETTINGS, b"\6"), first=False), connection(FRAME_ERROR)),
    Case("7.2.1", "DATA on control", on_control(BODY), connection(FRAME_UNEXPECTED)),
    Case("7.2.2", "HEADERS on control", on_control(headers()), connection(FRAME_UNEXPECTED)),
    Case("7.2.3", "CANCEL_PUSH on a request", on_request(headers() + frame(CANCEL_PUSH, b"\0")), connection(FRAME_UNEXPECTED)),
    Case("7.2.3", "CANCEL_PUSH of what was never promised", on_control(frame(CANCEL_PUSH, b"\0")), connection(ID_ERROR)),
    Case("7.2.4", "SETTINGS on a request", on_request(frame(SETTINGS)), connection(FRAME_UNEXPECTED)),
    Case("7.2.4", "SETTINGS twice", on_control(frame(SETTINGS)), connection(FRAME_UNEXPECTED)),
    Case("7.2.4", "a setting twice", on_control(frame(SETTINGS, setting(6, 99, 6, 99)), first=False), connection(SETTINGS_ERROR)),
    *[Case("7.2.4.1", f"the setting {n} of HTTP/2", on_control(frame(SETTINGS, setting(n, 1)), first=False), connection(SETTINGS_ERROR)) for n in (2, 3, 4, 5)],
    Case("7.2.4.1", "a reserved setting is ignored", (*on_control(frame(SETTINGS, setting(RESERVED, 9)), first=False), *on_request(headers())), answer(200)),
    Case("9220 3", "ENABLE_CONNECT_PROTOCOL of 2", on_control(frame(SETTINGS, setting(8, 2)), first=False), connection(SETTINGS_ERROR)),
    Case("9297 2.1.1", "H3_DATAGRAM of 2", on_control(frame(SETTINGS, setting(0x33, 2)), first=False), connection(SETTINGS_ERROR)),
    Case("7.2.5", "PUSH_PROMISE on a request", on_request(headers() + frame(PUSH_PROMISE, b"\0" + section(GET))), connection(FRAME_UNEXPECTED)),
    Case("7.2.5", "PUSH_PROMISE on control", on_control(frame(PUSH_PROMISE, b"\0" + section(GET))), connection(FRAME_UNEXPECTED)),
    Case("7.2.6", "GOAWAY on a request", on_request(headers() + frame(GOAWAY, b"\0")), connection(FRAME_UNEXPECTED)),
    Case("7.2.6", "GOAWAY that raises its id", on_control(frame(GOAWAY, b"\1") + frame(GOAWAY, b"\2")), connection(ID_ERROR)),
    Case("7.2.6", "GOAWAY that lowers its id", (*on_control(frame(GOAWAY, b"\2") + frame(GOAWAY, b"\1")), *on_request(headers())), answer(200)),
    Case("7.2.7", "MAX_PUSH_ID on a request", on_request(headers() + frame(MAX_PUSH_ID, b"\0")), connection(FRAME_UNEXPECTED)),
    Case("7.2.7", "MAX_PUSH_ID that goes down", on_control(frame(MAX_PUSH_ID, b"\2") + frame(MAX_PUSH_ID, b"\1")), connection(ID_ERROR)),
    Case("7.2.7", "MAX_PUSH_ID that goes up", (*on_control(frame(MAX_PUSH_ID, b"\1") + frame(MAX_PUSH_ID, b"\2")), *on_request(headers())), answer(200)),
    *[Case("7.2.8", f"the frame {n} of HTTP/2 on control", on_control(frame(n, b"\0")), connection(FRAME_UNEXPECTED)) for n in (2, 6, 8, 9)],
    *[Case("7.2.8", f"the frame {n} of HTTP/2 on a request", on_request(headers() + frame(n, b"\0")), connection(FRAME_UNEXPECTED)) for n in (2, 6, 8, 9)],
    Case("7.2.8", "a reserved frame on control", (*on_control(frame(RESERVED, b"x")), *on_request(headers())), answer(200)),
]  # fmt: skip


def line(data: bytes) -> tuple[tuple[int, bytes, bool], ...]:
    """A section with bytes of QPACK behind good fields."""
    return on_request(frame(HEADERS, section(GET) + data))


COMPRESSION = [
    Case("9204 2.2", "a section that needs insertions", on_request(frame(HEADERS, b"\2\0" + section(GET)[2:])), connection(DECOMPRESSION_FAILED)),
    Case("9204 2.2.3", "an index into the dynamic table", line(b"\x80"), connection(DECOMPRESSION_FAILED)),
    Case("9204 3.1", "an index beyond the static table", line(b"\xff\x40"), connection(DECOMPRESSION_FAILED)),
    Case("9204 4.5", "an index past the base", line(b"\x10"), connection(DECOMPRESSION_FAILED)),
    Case("9204 4.1.2", "a string cut short", line(b"\x23abc\x05xx"), connection(DECOMPRESSION_FAILED)),
    Case("9204 4.1.1", "an integer without end", line(b"\xff" + b"\xff" * 12), connection(DECOMPRESSION_FAILED)),
    Case("9204 4.5.1", "no prefix", on_request(frame(HEADERS, b"")), connection(DECOMPRESSION_FAILED)),
    Case("9204 4.5.1", "half a prefix", on_request(frame(HEADERS, b"\0")), connection(DECOMPRESSION_FAILED)),
    Case("9204 3.2.3", "a table larger than allowed", other(ENCODER_STREAM, b"\x3f\xe1\x1f"), connection(ENCODER_STREAM_ERROR)),
    Case("9204 3.2.2", "an insertion where there is no room", other(ENCODER_STREAM, b"\xc0\x01x"), connection(ENCODER_STREAM_ERROR)),
    Case("9204 3.2.2", "an insertion with its own name", other(ENCODER_STREAM, b"\x41a\x01b"), connection(ENCODER_STREAM_ERROR)),
    Case("9204 4.3.4", "a duplicate of nothing", other(ENCODER_STREAM, b"\x00"), connection(ENCODER_STREAM_ERROR)),
    Case("9204 4.3.1", "a table of nothing is taken", (*other(ENCODER_STREAM, b"\x20"), *on_request(headers())), answer(200)),
    Case("9204 4.4.1", "an acknowledgement of no section", other(DECODER_STREAM, b"\x80"), connection(DECODER_STREAM_ERROR)),
    Case("9204 4.4.3", "an increment of 0", other(DECODER_STREAM, b"\x00"), connection(DECODER_STREAM_ERROR)),
    Case("9204 4.4.3", "an increment beyond what was sent", other(DECODER_STREAM, b"\x01"), connection(DECODER_STREAM_ERROR)),
    Case("9204 4.4.2", "a cancellation is taken", (*other(DECODER_STREAM, b"\x40"), *on_request(headers())), answer(200)),
]  # fmt: skip


def malformed(section: str, what: str, *fields) -> Case:
    return Case(section, what, on_request(headers(list(fields))), MALFORMED)


def with_field(section: str, name: bytes, value: bytes = b"b") -> Case:
    return malformed(section, f"{name!r}: {value!r}", *GET, (name, value))


def with_length(value: bytes, body: bytes = b"") -> tuple[tuple[int, bytes, bool], ...]:
    return on_request(headers([*path(b"/read", POST), (b"content-length", value)]) + body)


TUNNEL = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]
MESSAGES = [
    *[with_field("4.2", name) for name in (b"A", b"x-Upper", b"a b", b"a\0", b"a\r\nb", b"a:b", b"\x7f", b"\xe9", b"a(b")],
    *[with_field("10.3", b"a", value) for value in (b"b\r\nc: d", b"b\nc", b"b\rc", b"b\0c", b" b", b"b ", b"\tb", b"b\t")],
    *[with_field("4.2", name, value) for name, value in (
        (b"connection", b"keep-alive"), (b"keep-alive", b"5"), (b"proxy-connection", b"close"),
        (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c"), (b"te", b"gzip"), (b"te", b"trailers, deflate"),
    )],
    Case("4.2", "an empty name", on_request(headers([*GET, (b"", b"b")])), MALFORMED | connection(DECOMPRESSION_FAILED)),
    Case("4.2", "te: trailers", on_request(headers([*GET, (b"te", b"trailers")])), answer(200)),
    malformed("4.3", "an unknown pseudo field", *GET, (b":unknown", b"x")),
    malformed("4.3", "a pseudo field of responses", *GET, (b":status", b"200")),
    malformed("4.3", "a pseudo field behind a field", *GET[:3], (b"a", b"b"), GET[3]),
    *[malformed("4.3.1", f"{name!r} twice", *GET[:n + 1], (name, value), *GET[n + 1:]) for n, (name, value) in enumerate(GET)],
    *[malformed("4.3.1", f"no {name!r}", *without(name)) for name in (b":method", b":scheme", b":path")],
    malformed("4.3.1", "no authority at all", *without(b":authority")),
    malformed("4.3.1", "an empty authority", *without(b":authority")[:2], (b":authority", b""), GET[3]),
    malformed("4.3.1", "an empty path", *path(b"")),
    malformed("4.3.1", "a path without its slash", *path(b"a")),
    malformed("4.3.1", "an asterisk that is not for OPTIONS", *path(b"*")),
    malformed("4.3.1", "an authority with userinfo", *without(b":authority"), (b":authority", b"u@localhost")),
    malformed("4.3.1", "Host and :authority differ", *GET, (b"host", b"b")),
    malformed("4.3.1", "two Hosts", *GET, (b"host", b"localhost"), (b"host", b"b")),
    malformed("4.3.1", "a method that is no token", (b":method", b"G T"), *GET[1:]),
    malformed("4.3.1", "a path with a space", *path(b"/a b")),
    malformed("4.3.1", "a path with a line break", *path(b"/\r\nx")),
    Case("4.1", "a pseudo field in trailers", on_request(READ + BODY + headers([(b":path", b"/")])), MALFORMED),
    Case("4.1", "a connection field in trailers", on_request(READ + BODY + headers([(b"connection", b"x")])), MALFORMED),
    Case("4.1.2", "a bare end behind content-length", with_length(b"5"), stream(MESSAGE_ERROR)),
    Case("4.1.2", "less DATA than content-length", with_length(b"5", BODY), stream(MESSAGE_ERROR)),
    Case("4.1.2", "more DATA than content-length", with_length(b"2", BODY), stream(MESSAGE_ERROR)),
    Case("4.1.2", "less DATA than content-length, then trailers", with_length(b"5", BODY + headers([(b"a", b"b")])), stream(MESSAGE_ERROR)),
    Case("4.1.2", "content-length and its DATA", with_length(b"6", BODY * 2), answer(200)),
    *[Case("4.1.2", f"content-length {value!r}", with_length(value, BODY), MALFORMED) for value in (b"3, 3", b"+3", b"-3", b"0x3", b"3a", b"", b"\xb3", b"9" * 20)],
    malformed("4.1.2", "content-length twice", *GET, (b"content-length", b"0"), (b"content-length", b"0")),
    malformed("4.4", "CONNECT with a path", (b":method", b"CONNECT"), (b":authority", b"a:1"), (b":path", b"/")),
    malformed("4.4", "CONNECT with a scheme", (b":method", b"CONNECT"), (b":authority", b"a:1"), (b":scheme", b"https")),
    malformed("4.4", "CONNECT without an authority", (b":method", b"CONNECT")),
    Case("4.4", "CONNECT is not served", on_request(headers([(b":method", b"CONNECT"), (b":authority", b"a:1")]), end=False), answer(405)),
    malformed("9220 3", "a protocol without CONNECT", *GET, (b":protocol", b"websocket")),
    malformed("9220 3", "extended CONNECT without a path", *without(b":path", TUNNEL)),
    malformed("9220 3", "extended CONNECT without a scheme", *without(b":scheme", TUNNEL)),
    malformed("9220 3", "extended CONNECT without an authority", *without(b":authority", TUNNEL)),
]  # fmt: skip

GROUPS = {"streams": STREAMS, "frames": FRAMES, "compression": COMPRESSION, "messages": MESSAGES}
