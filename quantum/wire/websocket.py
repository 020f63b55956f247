"""WebSocket frames, server side (RFC 6455 §5-7), without I/O: bytes in, messages out.

The opening handshake is HTTP's business (``Request.upgrade``); what flows afterwards is read here.
``FrameReader`` checks all that the RFC demands of a client and raises ``ProtocolFailure`` with the
close code to send. One extension is known: permessage-deflate (RFC 7692), without context from one
message to the next in either direction, so that an idle connection costs no window and a broadcast is
compressed once. Other reserved bits are errors.
"""

from __future__ import annotations

import codecs
import zlib
from enum import IntEnum
from typing import NamedTuple

LARGEST_MESSAGE = 1024 * 1024
"""Bytes of one message, however fragmented, unless the reader is told otherwise: the messages of this
program are below 1 KiB, and a client must not be able to make us hold much."""

WHOLE_XOR = 4096
"""Payloads up to this size are unmasked as one large integer (0.3-8 µs); above it, translating each
of the four byte lanes is faster (1 GB/s against 0.4 GB/s)."""


class Opcode(IntEnum):
    """What a frame carries (§5.2)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class CloseCode(IntEnum):
    """Why a connection ends (§7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED = 1003
    NO_STATUS = 1005
    BAD_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    TRY_AGAIN = 1013


class Message(NamedTuple):
    """A complete message or control frame. TEXT is valid UTF-8; CLOSE has ``code`` and a reason."""

    opcode: Opcode
    data: bytes
    code: int = 0


class ProtocolFailure(Exception):
    """The peer broke the protocol; the connection fails with ``code``."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


_DEFLATED = 0x40
"""The first reserved bit: the message is compressed (RFC 7692 §6)."""
_SYNC_TAIL = b"\0\0\xff\xff"
_OPCODES = {int(opcode): opcode for opcode in Opcode}
_SENDABLE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
_LANES = [bytes(value ^ key for value in range(256)) for key in range(256)]


class FrameReader:
    """Turns a client's bytes into messages. One per connection; holds nothing while idle."""

    __slots__ = (
        "_buffer",
        "_decoder",
        "_fragments",
        "_inflates",
        "_is_closed",
        "_is_deflated",
        "_kind",
        "_needed",
        "_size",
        "limit",
    )

    def __init__(self, limit: int = LARGEST_MESSAGE, *, inflates: bool = False) -> None:
        """``limit`` bounds the bytes of one message, inflated; ``inflates``: RFC 7692 was agreed on."""
        self.limit = limit
        self._inflates = inflates
        self._is_deflated = False
        self._buffer: bytearray | None = None
        self._needed = 0
        self._kind: Opcode | None = None
        self._fragments: list[bytes] = []
        self._size = 0
        self._decoder: codecs.IncrementalDecoder | None = None
        self._is_closed = False

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that ``data`` completes; nothing after a CLOSE. Raises ProtocolFailure.

        On a failure the messages before it in ``data`` are lost: the connection is over.
        """
        messages: list[Message] = []
        if self._is_closed:
            return messages
        source: bytes | bytearray = data
        if self._buffer is not None:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return messages
            source, self._buffer = self._buffer, None
        position = 0
        while not self._is_closed:
            end = self._frame(source, position, messages)
            if end < 0:
                self._needed = -end - position
                if position < len(source):
                    self._buffer = bytearray(source[position:])
                break
            position = end
        return messages

    def _frame(self, source: bytes | bytearray, start: int, messages: list[Message]) -> int:
        """Read the frame at ``start``; return its end, or minus the end it needs to go on."""
        if len(source) - start < 2:
            return -(start + 2)
        first, second = source[start], source[start + 1]
        opcode = _OPCODES.get(first & 0x0F)
        if opcode is None or (first & 0x70 and not self._may_have(first, opcode)):
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "reserved bits or opcode")
        if not second & 0x80:
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "frame without mask")
        length, position = second & 0x7F, start + 2
        if length > 125:
            if opcode >= Opcode.CLOSE:
                raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "control frame too long")
            width = 2 if length == 126 else 8
            if len(source) < position + width:
                return -(position + width)
            length = int.from_bytes(source[position : position + width], "big")
            if length < (126 if width == 2 else 1 << 16):
                raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "length not in its shortest form")
            position += width
        self._check_size(opcode, length)
        body = position + 4
        end = body + length
        if len(source) < end:
            return -end
        payload = unmask(bytes(source[body:end]), bytes(source[position:body]))
        if first & _DEFLATED:
            self._is_deflated = True
        message = self._accept(opcode, payload, is_final=bool(first & 0x80))
        if message is not None:
            messages.append(message)
        return end

    def _may_have(self, first: int, opcode: Opcode) -> bool:
        """Whether the reserved bits mean a compressed message, and it begins here (RFC 7692 §6)."""
        is_data = opcode in {Opcode.TEXT, Opcode.BINARY}
        return self._inflates and first & 0x70 == _DEFLATED and is_data

    def _check_size(self, opcode: Opcode, length: int) -> None:
        if opcode < Opcode.CLOSE and self._size + length > self.limit:
            raise ProtocolFailure(CloseCode.TOO_BIG, f"message exceeds {self.limit} bytes")

    def _accept(self, opcode: Opcode, payload: bytes, *, is_final: bool) -> Message | None:
        if opcode >= Opcode.CLOSE:
            if not is_final:
                raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "fragmented control frame")
            return self._close(payload) if opcode is Opcode.CLOSE else Message(opcode, payload)
        if (opcode is Opcode.CONTINUATION) == (self._kind is None):
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "fragment out of order")
        if self._kind is None and is_final:
            payload = self._plain(payload)
            if opcode is Opcode.TEXT and not _is_utf8(payload):
                raise ProtocolFailure(CloseCode.BAD_DATA, "text is not UTF-8")
            return Message(opcode, payload)
        return self._fragment(opcode, payload, is_final=is_final)

    def _fragment(self, opcode: Opcode, payload: bytes, *, is_final: bool) -> Message | None:
        if self._kind is None:
            self._kind = opcode
            if opcode is Opcode.TEXT and not self._is_deflated:
                self._decoder = codecs.getincrementaldecoder("utf-8")()
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, is_final)
            except UnicodeDecodeError:
                raise ProtocolFailure(CloseCode.BAD_DATA, "text is not UTF-8") from None
        if payload:
            self._fragments.append(payload)
            self._size += len(payload)
        if not is_final:
            return None
        is_deflated = self._is_deflated
        message = Message(self._kind, self._plain(b"".join(self._fragments)))
        self._kind, self._decoder, self._fragments, self._size = None, None, [], 0
        if is_deflated and message.opcode is Opcode.TEXT and not _is_utf8(message.data):
            raise ProtocolFailure(CloseCode.BAD_DATA, "text is not UTF-8")
        return message

    def _plain(self, payload: bytes) -> bytes:
        """Return a whole message inflated, never further than the limit."""
        if not self._is_deflated:
            return payload
        self._is_deflated = False
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflater.decompress(payload + _SYNC_TAIL, self.limit + 1)
        except zlib.error:
            raise ProtocolFailure(CloseCode.BAD_DATA, "the message does not inflate") from None
        if len(data) > self.limit:
            raise ProtocolFailure(CloseCode.TOO_BIG, f"message exceeds {self.limit} bytes inflated")
        return data

    def _close(self, payload: bytes) -> Message:
        self._is_closed = True
        if not payload:
            return Message(Opcode.CLOSE, b"", CloseCode.NO_STATUS)
        code = int.from_bytes(payload[:2], "big")
        if len(payload) < 2 or code not in _SENDABLE_CODES:
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "close code that may not be sent")
        if not _is_utf8(payload[2:]):
            raise ProtocolFailure(CloseCode.BAD_DATA, "close reason is not UTF-8")
        return Message(Opcode.CLOSE, payload[2:], code)


def encode_frame(opcode: Opcode, payload: bytes, *, is_deflated: bool = False) -> bytes:
    """Return one unmasked, unfragmented frame: what a server sends."""
    first = 0x80 | opcode | (_DEFLATED if is_deflated else 0)
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


def deflate(payload: bytes) -> bytes:
    """Return a message compressed by itself, for a frame that ``is_deflated`` (RFC 7692 §7.2.1)."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[: -len(_SYNC_TAIL)]


def accept_deflate(offers: bytes | None) -> bytes | None:
    """Return the Sec-WebSocket-Extensions that accepts one of a client's offers, None when none fits.

    An offer fits unless it wants a smaller window of ours, or says something unknown (§7.1).
    """
    for offer in (offers or b"").split(b","):
        name, *parameters = (part.strip() for part in offer.split(b";"))
        if name == b"permessage-deflate" and all(map(_is_acceptable, parameters)):
            return b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    return None


def _is_acceptable(parameter: bytes) -> bool:
    name, _, value = parameter.partition(b"=")
    if name == b"server_max_window_bits":
        return value.strip(b'"') == b"15"
    return name in {
        b"server_no_context_takeover",
        b"client_no_context_takeover",
        b"client_max_window_bits",
    }


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a close frame; the reason is cut to what a control frame holds. 1005 sends no code."""
    if code == CloseCode.NO_STATUS:
        return encode_frame(Opcode.CLOSE, b"")
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return encode_frame(Opcode.CLOSE, code.to_bytes(2, "big") + text)


def unmask(payload: bytes, key: bytes) -> bytes:
    """Apply the masking key (§5.3); the same function masks."""
    size = len(payload)
    if not size:
        return payload
    if size <= WHOLE_XOR:
        pad = (key * ((size + 3) // 4))[:size]
        return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
    lanes = bytearray(size)
    for lane in range(4):
        lanes[lane::4] = payload[lane::4].translate(_LANES[key[lane]])
    return bytes(lanes)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
