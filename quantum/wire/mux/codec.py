"""Frames to and from what they say; the face of ``quantum.wire.h2.H2Codec``."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal

from quantum.wire.h2 import (
    FLOW_CONTROL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Fields,
    H2Failure,
    H2Settings,
    H2Sink,
)
from quantum.wire.mux.frames import (
    CODE,
    DATA,
    END,
    EVERY_STREAM,
    FRAME,
    FRAME_BYTES,
    FRAME_HEADER,
    GOAWAY,
    HELLO,
    HELLO_BYTES,
    INFORMATIONAL,
    JOINED_BYTES,
    LENGTH,
    PING,
    PONG,
    REQUEST,
    RESET,
    RESPONSE,
    TRAILERS,
    VERSION,
    WINDOW,
    decode_head,
    decode_hello,
    decode_request,
    decode_response,
    encode_head,
    encode_hello,
)
from quantum.wire.mux.sending import MuxSender, MuxStream


class MuxCodec(MuxSender):
    """One end of a hop's connection. Not to be called from inside itself except by a sink."""

    __slots__ = (
        "_cut", "_held", "_is_client", "_is_greeted", "_is_over", "_last", "_limit", "_partial", "_peer_max",
        "_settings", "_sink", "_wanted", "_window",
    )  # fmt: skip

    version = VERSION
    """Which version of the frames this is."""

    def __init__(
        self, role: Literal["client", "server"], settings: H2Settings, sink: H2Sink
    ) -> None:
        """Make it and queue the hello."""
        super().__init__()
        self._is_client = role == "client"
        self._settings = settings
        self._sink = sink
        self._window = settings.stream_window
        self._partial: list[bytes] = []
        """What has come of a frame that is told as a whole, in pieces: they are joined once."""
        self._held = self._wanted = 0
        self._cut: tuple[int, int, int] | None = None
        """The stream, flags and bytes to come of a DATA frame that is told as it comes."""
        self._last = 0
        """The highest stream so far."""
        self._limit = EVERY_STREAM
        """The highest stream that is still served."""
        self._peer_max = 0
        self._is_greeted = self._is_over = False
        most = settings.max_streams
        self._put(HELLO, 0, 0, encode_hello(self.version, most))

    # What comes in.

    def receive(self, data: bytes) -> None:
        """Read bytes from the peer. H2Failure ends the connection; output may still be waiting."""
        if self._is_over:
            return
        at, wanted = 0, 0
        read = FRAME.unpack_from
        try:
            if self._cut is not None:
                at = self._take_piece(self._cut, data, 0)
            elif self._partial:
                self._partial.append(data)
                self._held += len(data)
                if self._held < self._wanted:
                    return
                data, self._partial = b"".join(self._partial), []
            size = len(data)
            while at + FRAME_HEADER <= size:
                length, kind, flags, stream_id = read(data, at)
                end = at + FRAME_HEADER + length
                if length > FRAME_BYTES or not self._is_greeted:
                    self._check_first(length, kind)
                if end > size:
                    if kind == DATA:
                        piece = (stream_id, flags, length)
                        at = self._take_piece(piece, data, at + FRAME_HEADER)
                    wanted = end - at
                    break
                if kind == REQUEST:
                    self._take_request(flags, stream_id, data, at + FRAME_HEADER, end)
                else:
                    self._take(kind, flags, stream_id, data, at + FRAME_HEADER, end)
                at = end
        except struct.error as error:
            raise H2Failure(f"a frame is too short: {error}", PROTOCOL_ERROR) from error
        finally:
            self._tell_closed()
        self._held = len(data) - at
        if self._held:
            self._partial = [data[at:] if at else data]
        self._wanted = wanted

    def _take_piece(self, frame: tuple[int, int, int], data: bytes, at: int) -> int:
        """Tell what has come of a DATA frame, so that long bodies are not held up to be put together."""
        stream_id, flags, left = frame
        end = min(len(data), at + left)
        left -= end - at
        self._cut = (stream_id, flags, left) if left else None
        stream = self._streams.get(stream_id)
        if stream is not None and end > at:
            self._take_data(stream, 0 if left else flags, stream_id, data[at:end])
        return end

    def _check_first(self, length: int, kind: int) -> None:
        if length > FRAME_BYTES:
            raise H2Failure("a frame is too long", PROTOCOL_ERROR)
        if kind != HELLO or length > HELLO_BYTES:
            raise H2Failure("the peer does not speak the hop", PROTOCOL_ERROR)

    def _take(
        self, kind: int, flags: int, stream_id: int, data: bytes, at: int, end: int
    ) -> None:  # the kinds in the order of their frequency
        stream = self._streams.get(stream_id)
        if kind == RESPONSE:
            if stream is not None:
                self._take_message(stream, flags, stream_id, data, at, end)
        elif kind == DATA:
            if stream is not None:
                self._take_data(stream, flags, stream_id, data[at:end])
        elif kind == WINDOW:
            if stream is not None:
                stream.credit += CODE.unpack_from(data, at)[0]
        elif kind in (TRAILERS, RESET, INFORMATIONAL):
            if stream is not None:
                self._take_seldom(stream, kind, stream_id, data[at:end])
        else:
            self._take_control(kind, stream_id, data[at:end])

    def _take_seldom(self, stream: MuxStream, kind: int, stream_id: int, payload: bytes) -> None:
        if kind == TRAILERS:
            self._sink.trailers_received(stream_id, decode_head(payload))
            self._received(stream, stream_id)
        elif kind == RESET:
            self._forget(stream, stream_id, CODE.unpack_from(payload)[0])
        else:
            self._sink.informational_received(stream_id, decode_head(payload))

    def _take_request(self, flags: int, stream_id: int, data: bytes, at: int, end: int) -> None:
        if stream_id <= self._last or self._is_client:
            raise H2Failure(f"stream {stream_id} cannot begin", PROTOCOL_ERROR)
        if stream_id > self._limit:
            return  # it was told already that nobody serves it
        self._last = stream_id
        if len(self._streams) >= self._settings.max_streams:
            self._put(RESET, 0, stream_id, CODE.pack(REFUSED_STREAM))
            return
        stream = self._streams[stream_id] = MuxStream(self._window)
        self._take_message(stream, flags, stream_id, data, at, end)

    def _take_message(
        self, stream: MuxStream, flags: int, stream_id: int, data: bytes, at: int, end: int
    ) -> None:
        body = at + 4 + LENGTH.unpack_from(data, at)[0]
        if body > end:
            raise H2Failure("a head is longer than its frame", PROTOCOL_ERROR)
        head = data[at + 4 : body]
        if not self._is_client:
            stream.is_received = flags == END
            fields = decode_request(head)
            self._sink.request_received(stream_id, fields, stream.is_received, data[body:end])
            return
        fields = decode_response(head)
        if flags != END:
            self._sink.response_received(stream_id, fields, False)
        elif stream.is_sent:
            del self._streams[stream_id]
            self._sink.answer_received(stream_id, fields, data[body:end])
        else:
            self._sink.response_received(stream_id, fields, False)
            self._sink.bytes_received(stream_id, data[body:end], True)
            stream.is_received = True

    def _take_data(self, stream: MuxStream, flags: int, stream_id: int, data: bytes) -> None:
        stream.window -= len(data)
        if stream.window < 0:
            raise H2Failure(f"stream {stream_id} has no window left", FLOW_CONTROL_ERROR)
        self._sink.bytes_received(stream_id, data, flags == END)
        if flags == END:
            self._received(stream, stream_id)

    def _take_control(self, kind: int, stream_id: int, payload: bytes) -> None:
        if kind == PING:
            self._put(PONG, 0, 0)
        elif kind == PONG:
            self._sink.ping_acknowledged()
        elif kind == HELLO:
            self._greet(payload)
        elif kind == GOAWAY:
            error_code = CODE.unpack_from(payload)[0]
            for refused in [one for one in self._streams if one > stream_id and self._is_client]:
                self._forget(self._streams[refused], refused, REFUSED_STREAM)
            self._tell_closed()
            self._sink.goaway_received(stream_id, error_code)
        else:
            raise H2Failure(f"a frame of kind {kind}", PROTOCOL_ERROR)

    def _greet(self, payload: bytes) -> None:
        self._peer_max = decode_hello(payload, self.version)
        self._is_greeted = True
        self._sink.settings_received()

    def _received(self, stream: MuxStream, stream_id: int) -> None:
        stream.is_received = True
        if stream.is_sent:
            self._forget(stream, stream_id, NO_ERROR)

    def _tell_closed(self) -> None:
        while self._closed:
            closed, self._closed = self._closed, []
            for stream_id, error_code in closed:
                self._sink.stream_closed(stream_id, error_code)

    # What goes out.

    def take_output(self, amount: int) -> bytes:
        """Return what there is to write, about ``amount`` bytes; b"" when there is nothing or windows are shut."""
        return b"".join(self.take_pieces(amount))

    def take_pieces(self, amount: int) -> Sequence[bytes | memoryview]:
        """Return the same in pieces, for who can write several at once: long bodies are not copied."""
        if self._pending:
            self._fill(amount)
        out = self._out
        if out:
            if self._ready <= JOINED_BYTES:
                out = [b"".join(out)]
            self._out, self._ready = [], 0
        self._tell_closed()
        if self._limit != EVERY_STREAM and not self._streams and not self._is_over:
            self._is_over = True
            self._sink.connection_closed(NO_ERROR)
        return out

    # What both roles say.

    def consumed(self, stream_id: int, count: int) -> None:
        """Give the peer window back for bytes that were read; also for a stream that is closed."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.is_received:
            stream.owed += count
            if stream.owed >= self._window // 2:
                self._put(WINDOW, 0, stream_id, CODE.pack(stream.owed))
                stream.window += stream.owed
                stream.owed = 0

    def reset(self, stream_id: int, error_code: int) -> None:
        """Cut a stream, queued bytes included; fine when it is closed."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._put(RESET, 0, stream_id, CODE.pack(error_code))
            self._forget(stream, stream_id, error_code)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._put(PING, 0, 0)

    def goaway(self, error_code: int = NO_ERROR) -> None:
        """Refuse streams from now on; those that came before go on."""
        self._limit = self._last
        self._put(GOAWAY, 0, self._last, CODE.pack(error_code))

    def terminate(self, error_code: int) -> None:
        """End everything: what is queued is dropped, GOAWAY is the last output."""
        if not self._is_over:
            self._out, self._ready = [], 0
            self._pending.clear()
            self._put(GOAWAY, 0, self._last, CODE.pack(error_code))
            self._is_over = True
            self._sink.connection_closed(error_code)

    # What a server says.

    def respond(self, stream_id: int, fields: Fields, ended: bool, body: bytes = b"") -> bool:
        """Queue the final response head, ``:status`` first, and a body that is all here; ``ended``: no more comes.

        Returns whether the stream is over by that; it is not told as closed then.
        """
        stream = self._sending(stream_id)
        self._put_message(RESPONSE, END if ended else 0, stream_id, fields, body)
        if not ended:
            return False
        stream.ends = stream.is_sent = True
        if stream.is_received:
            del self._streams[stream_id]
        return stream.is_received

    def inform(self, stream_id: int, fields: Fields) -> None:
        """Queue a 1xx response."""
        self._sending(stream_id)
        self._put(INFORMATIONAL, 0, stream_id, encode_head(fields))

    def notice_shutdown(self) -> None:
        """Ask the client to open no more streams; those under way to us are still served."""
        self._put(GOAWAY, 0, EVERY_STREAM, CODE.pack(NO_ERROR))

    # What a client says.

    def request(self, fields: Fields, ended: bool, body: bytes = b"") -> int:
        """Queue a request head, pseudo fields first, and a body that is all here; returns its stream id."""
        self._last = stream_id = self._last + 1
        stream = self._streams[stream_id] = MuxStream(self._window)
        self._put_message(REQUEST, END if ended else 0, stream_id, fields, body)
        stream.ends = stream.is_sent = ended
        return stream_id

    @property
    def takes_requests(self) -> bool:
        """Whether the peer still takes new streams."""
        return self._is_greeted and not self._is_over

    @property
    def peer_max_streams(self) -> int:
        """How many streams the peer allows at once."""
        return self._peer_max

    @property
    def peer_takes_extended_connect(self) -> bool:
        """Whether tunnels can be asked for: always."""
        return True
