"""What is fuzzed: each target takes bytes, and raises only what its caller is told it may."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

from quantum.errors import HttpError
from quantum.net.client_hello import read_client_hello
from quantum.wire.h1.chunked import ChunkedReader
from quantum.wire.h1.request import parse_head
from quantum.wire.h1.response import BadResponse, ResponseReader
from quantum.wire.h2 import H2Codec, H2Failure, H2Settings, H2Sink
from quantum.wire.h2_guard import FrameGuard
from quantum.wire.mux import frames
from quantum.wire.mux.codec import MuxCodec
from quantum.wire.websocket import FrameReader, ProtocolFailure
from services.edge.listening.proxy_header import MalformedHeader, read_header
from services.edge.protocols.h3.codec import H3Codec, H3Failure
from tests.integration.edge.hostile import h2, h3

H2_START = h2.PREFACE + h2.settings() + h2.settings(flags=h2.ACK)


@dataclass(frozen=True)
class Target:
    """``run`` takes one input; ``seeds`` are good inputs to begin with."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def h1_head(data: bytes) -> None:
    with contextlib.suppress(HttpError):
        parse_head(data)


def h1_chunks(data: bytes) -> None:
    reader = ChunkedReader()
    with contextlib.suppress(HttpError):
        for start in range(0, len(data), 7):
            reader.feed(data[start : start + 7])
            if reader.is_done:
                return


def h1_response(data: bytes) -> None:
    reader = ResponseReader()
    reader.expect("GET")
    with contextlib.suppress(BadResponse):
        reader.feed(data)
        reader.feed_eof()


class _Answering(H2Sink):
    """Answers each request and takes each body, as an application would."""

    codec: H2Codec | MuxCodec

    def request_received(self, stream_id, fields, ended, body=b"") -> None:
        with contextlib.suppress(H2Failure):
            self.codec.respond(stream_id, [(b":status", b"200")], False)
            self.codec.send_data(stream_id, b"hello", True)

    def bytes_received(self, stream_id, data, ended) -> None:
        with contextlib.suppress(H2Failure):
            self.codec.consumed(stream_id, len(data))


def h2_frames(data: bytes) -> None:
    sink = _Answering()
    codec = sink.codec = H2Codec("server", H2Settings(), sink)
    guard = FrameGuard(H2Settings(), lambda: 0.0, lambda: 0)
    data = H2_START + data
    start = 0
    with contextlib.suppress(H2Failure):
        while start < len(data) and guard.offence is None:
            end = guard.examine(data, start)
            codec.receive(data[start:end])
            codec.take_output(1 << 20)
            start = end


def h2_answers(data: bytes) -> None:
    sink = H2Sink()
    codec = H2Codec("client", H2Settings(), sink)
    with contextlib.suppress(H2Failure):
        codec.request(h2.GET, True)
        codec.take_output(1 << 20)
        codec.receive(h2.settings() + data)
        codec.take_output(1 << 20)


def hop_frames(data: bytes) -> None:
    """What another process may say to ours, in pieces as a socket cuts them."""
    sink = _Answering()
    codec = sink.codec = MuxCodec("server", H2Settings(), sink)
    hello = MuxCodec("client", H2Settings(), H2Sink()).take_output(1 << 20)
    with contextlib.suppress(H2Failure):
        codec.receive(hello)
        for start in range(0, len(data), 11):
            codec.receive(data[start : start + 11])
            codec.take_output(1 << 20)


def _hop_frame(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return frames.FRAME.pack(len(payload), kind, flags, 1) + payload


class _Quic:
    def get_next_available_stream_id(self, is_unidirectional: bool = False) -> int:
        return 3

    def send_stream_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> None:
        pass


class _Deaf:
    """Hears everything and minds nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def h3_streams(data: bytes) -> None:
    """The first byte of each piece says which stream it is of, and whether that ends."""
    codec = H3Codec(_Quic(), _Deaf(), 16384)
    ended = set()
    with contextlib.suppress(H3Failure):
        for piece in data.split(b"\xfe\xfd"):
            stream = (piece[0] & 7) * 2 if piece else 0
            if stream & 3 in {0, 2} and stream not in ended:
                is_last = bool(piece and piece[0] & 0x80)
                codec.receive(stream, piece[1:], ended=is_last)
                ended |= {stream} if is_last else set()


def websocket(data: bytes) -> None:
    for inflates in (False, True):
        with contextlib.suppress(ProtocolFailure):
            FrameReader(4096, inflates=inflates).feed(data)


def proxy_header(data: bytes) -> None:
    with contextlib.suppress(MalformedHeader):
        read_header(data)


def _masked(first: int, payload: bytes) -> bytes:
    key = b"abcd"
    body = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
    return bytes((first, 0x80 | len(payload))) + key + body


_HELLO = b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03" + bytes(32) + b"\0\0\2\x13\1\1\0\0\0"
TARGETS = {
    "h1-head": Target(h1_head, (
        b"GET /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close",
        b"POST http://a/ HTTP/1.0\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )),
    "h1-chunks": Target(h1_chunks, (b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", b"a\r\n0123456789\r\n0\r\n\r\n")),
    "h1-response": Target(h1_response, (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    )),
    "h2-frames": Target(h2_frames, (
        h2.headers(1) + h2.headers(3, h2.POST, h2.END_HEADERS) + h2.data(3, b"hello", h2.END_STREAM) + h2.reset(1),
        h2.settings((4, 100)) + h2.window_update(0, 5) + h2.frame(h2.PING, 0, 0, bytes(8)) + h2.headers(1),
        h2.frame(h2.HEADERS, 1, 1, h2.block(h2.GET)[:5]) + h2.frame(h2.CONTINUATION, 4, 1, h2.block(h2.GET)[5:]),
    )),
    "h2-answers": Target(h2_answers, (
        h2.frame(h2.HEADERS, 4, 1, h2.block([(b":status", b"200")])) + h2.data(1, b"hello", 1),
        h2.frame(h2.HEADERS, 4, 1, h2.block([(b":status", b"103")])) + h2.frame(h2.GOAWAY, 0, 0, struct.pack("!II", 1, 0)),
    )),
    "hop-frames": Target(hop_frames, (
        _hop_frame(frames.REQUEST, b"\0\0\0\3a\nbbody", 1) + _hop_frame(frames.RESET, bytes(4)),
        _hop_frame(frames.REQUEST, b"\0\0\0\3a\nb") + _hop_frame(frames.DATA, b"hello") + _hop_frame(frames.TRAILERS, b"a\nb", 1),
        _hop_frame(frames.PING, b"") + _hop_frame(frames.WINDOW, b"\0\1\0\0") + _hop_frame(frames.GOAWAY, bytes(4)),
    )),
    "h3-streams": Target(h3_streams, (
        b"\x81\0" + h3.frame(h3.SETTINGS, b"\6\7") + b"\xfe\xfd\x80" + h3.headers(h3.POST) + h3.frame(h3.DATA, b"hello"),
        b"\0" + h3.headers() + b"\xfe\xfd\3\2\x20\xfe\xfd\5\3\x40", b"\x80" + h3.headers() + h3.frame(0x21, b"x"),
    )),
    "websocket": Target(websocket, (
        _masked(0x81, b"hello") + _masked(0x89, b""), _masked(0x01, b"a") + _masked(0x80, b"b"),
        _masked(0x88, b"\x03\xe8bye"), _masked(0xC1, b"\xf2H\xcd\xc9\xc9\7\0"),
    )),
    "proxy-header": Target(proxy_header, (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
    )),
    "client-hello": Target(read_client_hello, (_HELLO,)),
}  # fmt: skip
