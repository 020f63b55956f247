"""What one end says: streams with windows, and the frames that are ready to be written."""

from __future__ import annotations

from collections import deque

from quantum.wire.h2 import NO_ERROR, Fields, H2StreamGone
from quantum.wire.mux.frames import (
    DATA,
    DATA_BYTES,
    END,
    FRAME,
    JOINED_BYTES,
    MESSAGE,
    READY_BYTES,
    TRAILERS,
    encode_head,
)


class MuxStream:
    """What one stream may still send, and what is left of it."""

    __slots__ = (
        "credit", "ends", "is_received", "is_sent", "owed", "pending", "size", "trailers", "window",
    )  # fmt: skip

    def __init__(self, window: int) -> None:
        self.credit = window
        """Bytes that the peer still takes."""
        self.window = window
        """Bytes that we still take."""
        self.owed = 0
        """Bytes that were read and not given back yet."""
        self.pending: deque[bytes | memoryview] | None = None
        self.size = 0
        """Bytes pending."""
        self.ends = False
        """Whether nothing can be queued any more."""
        self.trailers: Fields | None = None
        self.is_sent = False
        self.is_received = False


class MuxSender:
    """The way out of one connection: frames in the order they were made, bodies by turns and windows."""

    __slots__ = ("_closed", "_out", "_pending", "_ready", "_streams", "queued_bytes")

    def __init__(self) -> None:
        self._streams: dict[int, MuxStream] = {}
        self._pending: dict[int, MuxStream] = {}
        """Streams with bytes that wait for a window or for their turn."""
        self._closed: list[tuple[int, int]] = []
        """Streams that are over and not yet told to be, with the error code."""
        self._out: list[bytes | memoryview] = []
        self._ready = 0
        """Bytes in ``_out``, nearly."""
        self.queued_bytes = 0
        """Body bytes of all streams that wait."""

    # Bodies.

    def send_data(self, stream_id: int, data: bytes, ended: bool = False) -> None:
        """Queue body bytes, kept until the peer's windows take them: see ``queued``."""
        stream = self._sending(stream_id)
        size = len(data)
        stream.ends = ended
        if not stream.size and size <= min(stream.credit, DATA_BYTES, READY_BYTES - self._ready):
            stream.credit -= size
            self._put_data(END if ended else 0, stream_id, data)
            if ended:
                self._sent(stream, stream_id)
            return
        if not size and not ended:
            return
        if stream.pending is None:
            stream.pending = deque()
        stream.pending.append(data)
        stream.size += size
        self.queued_bytes += size
        self._pending[stream_id] = stream

    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        """End the body with trailers."""
        stream = self._sending(stream_id)
        stream.ends = True
        if stream.size:
            stream.trailers = fields
        else:
            self._put(TRAILERS, END, stream_id, encode_head(fields))
            self._sent(stream, stream_id)

    def _sending(self, stream_id: int) -> MuxStream:
        stream = self._streams.get(stream_id)
        if stream is None or stream.ends:
            raise H2StreamGone(f"stream {stream_id} sends no more")
        return stream

    def queued(self, stream_id: int) -> int:
        """Return how many body bytes of a stream wait for windows or for ``take_output``."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.size

    # Frames.

    def _put(self, kind: int, flags: int, stream_id: int, payload: bytes = b"") -> None:
        size = len(payload)
        self._out.append(FRAME.pack(size, kind, flags, stream_id) + payload)
        self._ready += size

    def _put_data(self, flags: int, stream_id: int, data: bytes | memoryview) -> None:
        size = len(data)
        self._out.append(FRAME.pack(size, DATA, flags, stream_id))
        if size:
            self._out.append(data)
        self._ready += size

    def _put_message(
        self, kind: int, flags: int, stream_id: int, fields: Fields, body: bytes
    ) -> None:
        head = encode_head(fields)
        length = len(head)
        size = 4 + length + len(body)
        message = MESSAGE.pack(size, kind, flags, stream_id, length) + head
        if len(body) <= JOINED_BYTES:
            self._out.append(message + body if body else message)
        else:
            self._out += (message, body)
        self._ready += size

    def _fill(self, amount: int) -> None:
        """Take turns among the streams that have bytes and window, a frame each."""
        is_moving = True
        while is_moving and self._ready < amount:
            is_moving = False
            for stream_id, stream in list(self._pending.items()):
                if stream.credit > 0 or not stream.size:
                    self._send_some(stream, stream_id)
                    is_moving = True
                    if self._ready >= amount:
                        self._pending[stream_id] = stream  # below: it had its turn
                        break

    def _send_some(self, stream: MuxStream, stream_id: int) -> None:
        del self._pending[stream_id]
        if stream.size:
            assert stream.pending is not None
            data = stream.pending.popleft()
            most = min(stream.credit, DATA_BYTES)
            if len(data) > most:
                view = memoryview(data)
                stream.pending.appendleft(view[most:])
                data = view[:most]
            stream.size -= len(data)
            self.queued_bytes -= len(data)
            stream.credit -= len(data)
            is_last = stream.ends and not stream.size and stream.trailers is None
            self._put_data(END if is_last else 0, stream_id, data)
            if is_last:
                self._sent(stream, stream_id)
        if stream.size:
            self._pending[stream_id] = stream
        elif stream.trailers is not None:
            self._put(TRAILERS, END, stream_id, encode_head(stream.trailers))
            stream.trailers = None
            self._sent(stream, stream_id)

    def _sent(self, stream: MuxStream, stream_id: int) -> None:
        stream.is_sent = True
        if stream.is_received:
            self._forget(stream, stream_id, NO_ERROR)

    def _forget(self, stream: MuxStream, stream_id: int, error_code: int) -> None:
        self._streams.pop(stream_id, None)
        if stream.size:
            self.queued_bytes -= stream.size
            stream.size = 0
        self._pending.pop(stream_id, None)
        self._closed.append((stream_id, error_code))
