"""HTTP/3 framing of a server connection (RFC 9114): bytes of streams in, messages out, and back.

It knows no sockets and no time. What a client may open, and what each of its streams may carry, is
checked here; an error of the connection is raised as H3Failure, an error of one message is told to
the sink, which goes on with the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import pylsqpack
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import (
    ErrorCode,
    FrameType,
    ProtocolError,
    Setting,
    StreamType,
    encode_frame,
    encode_settings,
    parse_settings,
)

from quantum.http.headers import Field
from services.edge.protocols.h3.fields import (
    Encoder,
    MalformedMessage,
    check_trailers,
    read_head,
)

MAX_SETTINGS = 4096
"""Bytes of the client's SETTINGS: those that exist need a few dozen."""

_DATA, _HEADERS = FrameType.DATA.value, FrameType.HEADERS.value
_NOT_ON_REQUESTS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 13})
"""Frames of control streams, PUSH_PROMISE and what HTTP/2 had (RFC 9114 §7.2)."""
_NOT_ON_CONTROL = frozenset({0, 1, 2, 5, 6, 8, 9})
_WITH_ID = frozenset({FrameType.CANCEL_PUSH, FrameType.GOAWAY, FrameType.MAX_PUSH_ID})
_ID_BYTES = 8
"""The longest integer of QUIC: all that a frame with an id may hold."""

_encoder = Encoder()


class H3Failure(Exception):
    """An error of the connection: it is closed with ``code``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Sender(Protocol):
    """The QUIC connection, as the codec writes to it."""

    def send_stream_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> None:
        """Queue bytes of a stream."""

    def get_next_available_stream_id(self, is_unidirectional: bool = False) -> int:
        """Return the id of the next stream that we open."""


class H3Sink(Protocol):
    """Hears of messages."""

    def head_received(self, stream_id: int, fields: list[Field], *, ended: bool) -> None:
        """Take a request's head; ``ended``: nothing follows."""

    def data_received(self, stream_id: int, data: bytes) -> None:
        """Take a piece of its body."""

    def message_ended(self, stream_id: int, trailers: list[Field] | None) -> None:
        """Hear that the body is complete."""

    def message_broken(self, stream_id: int, code: int, reason: str) -> None:
        """Hear that a message breaks its rules, or stops too early; nothing more comes of it."""

    def head_too_large(self, stream_id: int) -> None:
        """Hear that a head is over the bound; nothing more comes of its stream."""

    def frame_wasted(self) -> None:
        """Hear of a frame, or a stream, that asks for nothing: allowed, and not for ever."""


class _Incoming:
    """What is known of a stream that the client sends on."""

    __slots__ = (
        "buffer", "expected", "frame", "has_head", "has_trailers", "is_over", "kind", "left", "received",
    )  # fmt: skip

    def __init__(self) -> None:
        self.buffer = b""
        self.kind: int | None = None
        self.frame = -1
        """The type of the frame that is being read, -1 between frames; ``left``: its bytes to come."""
        self.left = 0
        self.has_head = False
        self.has_trailers = False
        self.is_over = False
        self.expected: int | None = None
        self.received = 0


class H3Codec:
    """One server connection. ``field_bytes`` bounds an encoded head."""

    __slots__ = (
        "_control", "_decoder", "_field_bytes", "_goaway_id", "_has_settings", "_max_push_id",
        "_peer_decoder", "_quic", "_sink", "_streams", "_unique",
    )  # fmt: skip

    def __init__(self, quic: Sender, sink: H3Sink, field_bytes: int) -> None:
        """Open the control stream and say what we take."""
        self._quic = quic
        self._sink = sink
        self._field_bytes = field_bytes
        self._decoder = pylsqpack.Decoder(0, 0)
        self._peer_decoder = pylsqpack.Encoder()
        self._streams: dict[int, _Incoming] = {}
        self._unique: dict[int, int] = {}
        self._has_settings = False
        self._goaway_id: int | None = None
        self._max_push_id = -1
        settings: dict[int, int] = {
            Setting.MAX_FIELD_SECTION_SIZE: field_bytes,
            Setting.ENABLE_CONNECT_PROTOCOL: 1,
        }
        self._control = quic.get_next_available_stream_id(is_unidirectional=True)
        kind = encode_uint_var(StreamType.CONTROL)
        frame = encode_frame(FrameType.SETTINGS, encode_settings(settings))
        quic.send_stream_data(self._control, kind + frame)

    # Sending.

    def send(
        self, stream_id: int, fields: Iterable[Field] | None, data: bytes, *, ended: bool
    ) -> None:
        """Send a head (or trailers), then data, as one piece."""
        parts: list[bytes] = []
        if fields is not None:
            section = _encoder.encode(fields)
            parts += (b"\x01", encode_length(len(section)), section)
        if data:
            parts += (b"\x00", encode_length(len(data)), data)
        self._quic.send_stream_data(stream_id, b"".join(parts), ended)

    def goaway(self, stream_id: int) -> None:
        """Say that requests from ``stream_id`` on are not taken."""
        frame = encode_frame(FrameType.GOAWAY, encode_uint_var(stream_id))
        self._quic.send_stream_data(self._control, frame)

    # Receiving.

    def receive(self, stream_id: int, data: bytes, *, ended: bool) -> int:
        """Take in bytes of a stream; return how many of them were body that the sink has now."""
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._streams[stream_id] = _Incoming()
        if stream_id & 2:
            self._receive_other(stream_id, stream, data, ended=ended)
            return 0
        before = stream.received
        if not stream.is_over:
            self._receive_request(stream_id, stream, data, ended=ended)
        if ended:
            del self._streams[stream_id]
        return stream.received - before

    def reset(self, stream_id: int) -> None:
        """Hear that the client cut a stream, or was told to stop."""
        if stream_id in self._unique.values():
            raise H3Failure(ErrorCode.H3_CLOSED_CRITICAL_STREAM, "a critical stream was reset")
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.is_over = True

    # Requests.

    def _receive_request(
        self, stream_id: int, stream: _Incoming, data: bytes, *, ended: bool
    ) -> None:
        if stream.buffer:
            data, stream.buffer = stream.buffer + data, b""
        position, size = 0, len(data)
        try:
            while position < size and not stream.is_over:
                if stream.frame < 0:
                    start = self._begin_frame(stream, data, position)
                    if start < 0:
                        break
                    position = start
                step = self._read_frame(stream_id, stream, data, position, ended=ended)
                if step < 0:
                    break
                position = step
            if ended and not stream.is_over:
                self._end_request(stream_id, stream, position == size)
        except MalformedMessage as problem:
            self._break(stream_id, stream, ErrorCode.H3_MESSAGE_ERROR, str(problem))
        if position < size and not stream.is_over:
            stream.buffer = data[position:]

    def _begin_frame(self, stream: _Incoming, data: bytes, position: int) -> int:
        """Read a frame's type and length; return where its payload begins, -1: not all is here."""
        kind, position = decode_integer(data, position)
        if position < 0:
            return -1
        length, position = decode_integer(data, position)
        if position < 0:
            return -1
        if kind in _NOT_ON_REQUESTS:
            raise H3Failure(ErrorCode.H3_FRAME_UNEXPECTED, f"frame {kind:#x} on a request stream")
        if kind == _DATA and not stream.has_head:
            raise H3Failure(ErrorCode.H3_FRAME_UNEXPECTED, "DATA before HEADERS")
        if kind <= _HEADERS and stream.has_trailers:
            raise H3Failure(ErrorCode.H3_FRAME_UNEXPECTED, "a frame behind the trailers")
        if kind > _HEADERS or not length:
            self._sink.frame_wasted()
        stream.frame, stream.left = kind, length
        return position

    def _read_frame(
        self, stream_id: int, stream: _Incoming, data: bytes, position: int, *, ended: bool
    ) -> int:
        """Take what is here of a frame; return where it ends, -1: a head is not all here."""
        stop = min(position + stream.left, len(data))
        if stream.frame == _HEADERS:
            if stream.left > self._field_bytes:
                stream.is_over = True
                self._sink.head_too_large(stream_id)
                return stop
            if stop - position < stream.left:
                return -1
            self._read_section(stream_id, stream, data[position:stop], ended and stop == len(data))
        elif stream.frame == _DATA and stop > position:
            self._read_data(stream_id, stream, data[position:stop])
        stream.left -= stop - position
        if not stream.left:
            stream.frame = -1
        return stop

    def _read_data(self, stream_id: int, stream: _Incoming, data: bytes) -> None:
        stream.received += len(data)
        if stream.expected is not None and stream.received > stream.expected:
            stream.received -= len(data)
            raise MalformedMessage("more data than content-length")
        self._sink.data_received(stream_id, data)

    def _read_section(
        self, stream_id: int, stream: _Incoming, section: bytes, is_last: bool
    ) -> None:
        try:
            if stream.has_head:
                trailers: list[Field] = self._decoder.feed_header(stream_id, section)[1]
            else:
                fields, stream.expected = read_head(self._decoder, stream_id, section)
        except (pylsqpack.DecompressionFailed, pylsqpack.StreamBlocked) as error:
            raise H3Failure(ErrorCode.QPACK_DECOMPRESSION_FAILED, "QPACK") from error
        if stream.has_head:
            check_trailers(trailers)
            self._check_length(stream)
            stream.has_trailers = True
            self._sink.message_ended(stream_id, trailers)
            return
        stream.has_head = True
        if is_last:
            self._check_length(stream)
            stream.is_over = True
        self._sink.head_received(stream_id, fields, ended=is_last)

    def _end_request(self, stream_id: int, stream: _Incoming, is_whole: bool) -> None:
        if not is_whole or stream.frame >= 0:
            raise H3Failure(ErrorCode.H3_FRAME_ERROR, "a stream ended within a frame")
        if not stream.has_head:
            self._break(stream_id, stream, ErrorCode.H3_REQUEST_INCOMPLETE, "no request")
            return
        if stream.has_trailers:
            return
        self._check_length(stream)
        stream.is_over = True
        self._sink.message_ended(stream_id, None)

    def _check_length(self, stream: _Incoming) -> None:
        if stream.expected is not None and stream.received != stream.expected:
            raise MalformedMessage("less data than content-length")

    def _break(self, stream_id: int, stream: _Incoming, code: int, reason: str) -> None:
        stream.is_over = True
        self._sink.message_broken(stream_id, code, reason)

    # The other streams.

    def _receive_other(
        self, stream_id: int, stream: _Incoming, data: bytes, *, ended: bool
    ) -> None:
        if ended:
            del self._streams[stream_id]
        data, stream.buffer = stream.buffer + data, b""
        if stream.kind is None:
            kind, position = decode_integer(data, 0)
            if position < 0:
                stream.buffer = data
                return
            self._open_other(stream_id, kind)
            stream.kind, data = kind, data[position:]
        if ended and stream.kind in self._unique:
            raise H3Failure(ErrorCode.H3_CLOSED_CRITICAL_STREAM, "a critical stream ended")
        if stream.kind == StreamType.CONTROL:
            self._receive_control(stream, data)
        elif stream.kind in {StreamType.QPACK_ENCODER, StreamType.QPACK_DECODER}:
            self._receive_qpack(stream.kind, data)

    def _open_other(self, stream_id: int, kind: int) -> None:
        if kind == StreamType.PUSH or kind in self._unique:
            raise H3Failure(ErrorCode.H3_STREAM_CREATION_ERROR, f"another stream of type {kind}")
        if kind in {StreamType.CONTROL, StreamType.QPACK_ENCODER, StreamType.QPACK_DECODER}:
            self._unique[kind] = stream_id
        else:
            self._sink.frame_wasted()

    def _receive_qpack(self, kind: int, data: bytes) -> None:
        try:
            if kind == StreamType.QPACK_ENCODER:
                self._decoder.feed_encoder(data)
            else:
                self._peer_decoder.feed_decoder(data)
        except pylsqpack.EncoderStreamError as error:
            raise H3Failure(ErrorCode.QPACK_ENCODER_STREAM_ERROR, "QPACK") from error
        except pylsqpack.DecoderStreamError as error:
            raise H3Failure(ErrorCode.QPACK_DECODER_STREAM_ERROR, "QPACK") from error

    def _receive_control(self, stream: _Incoming, data: bytes) -> None:
        position = 0
        while position < len(data):
            if stream.frame < 0:
                kind, at = decode_integer(data, position)
                length, at = decode_integer(data, at) if at >= 0 else (0, -1)
                if at < 0:
                    break
                self._check_control_frame(kind, length)
                stream.frame, stream.left, position = kind, length, at
            stop = min(position + stream.left, len(data))
            if stream.frame == FrameType.SETTINGS or stream.frame in _WITH_ID:
                if stop - position < stream.left:
                    break
                self._read_control(stream.frame, data[position:stop])
            stream.left -= stop - position
            position = stop
            if not stream.left:
                stream.frame = -1
        stream.buffer = data[position:]

    def _check_control_frame(self, kind: int, length: int) -> None:
        if kind != FrameType.SETTINGS:
            if not self._has_settings:
                raise H3Failure(ErrorCode.H3_MISSING_SETTINGS, "the first frame is not SETTINGS")
            if kind in _NOT_ON_CONTROL:
                raise H3Failure(ErrorCode.H3_FRAME_UNEXPECTED, f"frame {kind:#x} on control")
            if kind in _WITH_ID and not 0 < length <= _ID_BYTES:
                raise H3Failure(ErrorCode.H3_FRAME_ERROR, "a frame that is no id")
            self._sink.frame_wasted()
            return
        if self._has_settings:
            raise H3Failure(ErrorCode.H3_FRAME_UNEXPECTED, "SETTINGS again")
        if length > MAX_SETTINGS:
            raise H3Failure(ErrorCode.H3_EXCESSIVE_LOAD, "SETTINGS too large")
        self._has_settings = True
        if not length:
            self._read_settings(b"")

    def _read_control(self, kind: int, payload: bytes) -> None:
        if kind == FrameType.SETTINGS:
            self._read_settings(payload)
            return
        value, end = decode_integer(payload, 0)
        if end != len(payload):
            raise H3Failure(ErrorCode.H3_FRAME_ERROR, "a frame that is no id")
        if kind == FrameType.CANCEL_PUSH:
            raise H3Failure(ErrorCode.H3_ID_ERROR, "nothing was promised")
        if kind == FrameType.GOAWAY:
            if self._goaway_id is not None and value > self._goaway_id:
                raise H3Failure(ErrorCode.H3_ID_ERROR, "GOAWAY raised its id")
            self._goaway_id = value
        elif value < self._max_push_id:
            raise H3Failure(ErrorCode.H3_ID_ERROR, "MAX_PUSH_ID went down")
        else:
            self._max_push_id = value

    def _read_settings(self, data: bytes) -> None:
        try:
            settings = parse_settings(data)
        except ProtocolError as error:
            raise H3Failure(error.error_code, "SETTINGS") from error
        for flag in (Setting.ENABLE_CONNECT_PROTOCOL, Setting.H3_DATAGRAM):
            if settings.get(flag, 0) not in {0, 1}:
                raise H3Failure(ErrorCode.H3_SETTINGS_ERROR, flag.name)


def decode_integer(data: bytes, position: int) -> tuple[int, int]:
    """Return a variable-length integer and where it ends, -1 when it is not all here (RFC 9000 §16)."""
    if position >= len(data):
        return 0, -1
    first = data[position]
    if first < 64:
        return first, position + 1
    end = position + (1 << (first >> 6))
    if end > len(data):
        return 0, -1
    value = int.from_bytes(data[position:end], "big")
    return value & ((1 << (8 * (end - position) - 2)) - 1), end


def encode_length(value: int) -> bytes:
    """Return a variable-length integer."""
    if value < 64:
        return bytes((value,))
    if value < 16384:
        return (value | 0x4000).to_bytes(2, "big")
    return (value | 0x80000000).to_bytes(4, "big")
