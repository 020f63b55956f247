"""HTTP/2 frames, both roles (RFC 9113, RFC 8441): the only file that knows ngh2.

Rule 1: bytes go into ``receive``, come out of ``take_output``; what they meant is told to the
``H2Sink``, in the order of the wire. Rule 2: received bytes count against the peer's windows until
``consumed`` is called for them; a reader that does not read stops its sender, and nobody else.
Rule 3: ``take_output`` can end streams too (the last frame left), so it also calls the sink; the
sink may queue more, the caller takes output until none is left.

nghttp2 checks what the RFC asks of messages: pseudo fields, field characters, connection-specific
fields, and content-length against the bytes received at END_STREAM; a stream that breaks a rule is
reset with PROTOCOL_ERROR and never reaches the sink. The tests of this file pin that.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import ngh2

from quantum.errors import QuantumError

Field = tuple[bytes, bytes]
Fields = Sequence[Field]

NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
INTERNAL_ERROR = 0x2
FLOW_CONTROL_ERROR = 0x3
STREAM_CLOSED = 0x5
REFUSED_STREAM = 0x7
CANCEL = 0x8
ENHANCE_YOUR_CALM = 0xB
"""Error codes (RFC 9113 §7) that callers send or tell apart."""

FRAME_BYTES = 16 * 1024
"""The largest DATA frame: the protocol's default, which nobody here raises."""


_DEFAULT_FIELD_TABLE = 4096
_CONTINUATIONS = "Too many CONTINUATION"
"""Of the limits, the one that has no exception of its own."""
_LAST_WORDS = struct.Struct("!HBBBLLL")


class H2Failure(QuantumError):
    """The connection broke the protocol or a limit, or is no longer there for what was asked.

    ``code`` is what its peer should be told; NO_ERROR: nothing that it did.
    """

    def __init__(self, reason: str, code: int = NO_ERROR) -> None:
        super().__init__(reason)
        self.code = code


class H2StreamGone(H2Failure):
    """The stream is closed already; the connection is fine."""


def last_words(code: int) -> bytes:
    """Return a GOAWAY for a connection whose codec can say nothing any more.

    The highest stream id says that any request may have been processed: none is sent again blindly.
    """
    return _LAST_WORDS.pack(0, 8, 7, 0, 0, 0x7FFFFFFF, code)


def never_indexed(name: bytes, value: bytes) -> Field:
    """Return a field that HPACK must not remember: secrets, and values that are new each time."""
    return ngh2.NeverIndexedHeader(name, value)


@dataclass(frozen=True)
class H2Settings:
    """What this end allows its peer. The defaults are for peers that are not trusted."""

    max_streams: int = 100
    """Streams a client may have open: Envoy's figure for edges; browsers use fewer."""
    stream_window: int = 64 * 1024
    """Bytes a peer may send on a stream before they are consumed."""
    connection_window: int = 1024 * 1024
    """The same for all streams together."""
    field_bytes: int = 64 * 1024
    """Names and values of one message with 32 bytes overhead each (RFC 9113 §6.5.2); above it the
    connection is cut, since HPACK's state is lost."""
    field_count: int = 256
    """Fields of one message, cookie crumbs counted one by one; above it the connection is cut."""
    continuations: int = 8
    """CONTINUATION frames after one HEADERS (CVE-2024-27316 and its kin)."""
    resets: tuple[int, int] = (100, 10)
    """Burst and rate per second of streams a client may reset (CVE-2023-44487)."""
    glitches: tuple[int, int] = (1000, 100)
    """Burst and rate per second of frames that are legal and suspicious."""
    field_table: int = 4096
    """Bytes of HPACK's memory, either way: the protocol's default."""
    extended_connect: bool = True
    """Whether a server takes extended CONNECT (RFC 8441): WebSockets."""

    def configuration(self) -> ngh2.Configuration:
        """Return ngh2's form of it."""
        return ngh2.Configuration(
            auto_window_update=False,
            # Its answer would be INTERNAL_ERROR; who uses the codec counts sooner, and says it better.
            stream_reset_rate_limit=(self.resets[0] * 10, self.resets[1] * 10),
            glitch_rate_limit=self.glitches,
            max_continuations=self.continuations,
            max_deflate_dynamic_table_size=self.field_table,
            max_send_header_block_length=max(self.field_bytes, 64 * 1024),
            max_inbound_header_list_size=self.field_bytes,
            max_inbound_header_count=self.field_count,
        )

    def frame(self, role: str) -> dict[ngh2.Setting, int]:
        """Return the first SETTINGS frame."""
        settings = {
            ngh2.Setting.INITIAL_WINDOW_SIZE: self.stream_window,
            ngh2.Setting.MAX_HEADER_LIST_SIZE: self.field_bytes,
            ngh2.Setting.NO_RFC7540_PRIORITIES: 1,
        }
        if self.field_table != _DEFAULT_FIELD_TABLE:
            settings[ngh2.Setting.HEADER_TABLE_SIZE] = self.field_table
        if role == "client":
            settings[ngh2.Setting.ENABLE_PUSH] = 0
        else:
            settings[ngh2.Setting.MAX_CONCURRENT_STREAMS] = self.max_streams
            settings[ngh2.Setting.ENABLE_CONNECT_PROTOCOL] = int(self.extended_connect)
        return settings


class H2Sink:
    """Hears what a codec received. The methods do nothing here; a role overrides what it can meet."""

    def request_received(
        self, stream_id: int, fields: Fields, ended: bool, body: bytes = b""
    ) -> None:
        """Take a request head; ``ended``: ``body`` is all there is, and not to be ``consumed``."""

    def response_received(self, stream_id: int, fields: Fields, ended: bool) -> None:
        """Take a final response head; ``ended``: it has no body."""

    def answer_received(self, stream_id: int, fields: Fields, body: bytes) -> None:
        """Take a whole answer to a request that was sent whole: the stream is closed."""

    def informational_received(self, stream_id: int, fields: Fields) -> None:
        """Take a 1xx response."""

    def bytes_received(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Take a piece of body, empty at times; ``consumed`` MUST be called for it in the end."""

    def trailers_received(self, stream_id: int, fields: Fields) -> None:
        """Take the trailers; they end the body."""

    def stream_closed(self, stream_id: int, error_code: int) -> None:
        """Forget a stream: both directions ended (code 0), or somebody reset it."""

    def settings_received(self) -> None:
        """Hear that the peer's settings are known, or changed."""

    def goaway_received(self, last_stream_id: int, error_code: int) -> None:
        """Hear that the peer takes no more streams; those above ``last_stream_id`` were not touched."""

    def ping_acknowledged(self) -> None:
        """Hear that the peer lives."""

    def connection_closed(self, error_code: int) -> None:
        """Hear that nothing more will be said after the output that is left."""


class H2Codec:
    """One end of an HTTP/2 connection. Not to be called from inside itself except by a sink."""

    __slots__ = ("_connection", "_held", "_settings", "_sink", "_window")

    def __init__(
        self, role: Literal["client", "server"], settings: H2Settings, sink: H2Sink
    ) -> None:
        """Make it and queue the first SETTINGS frame."""
        self._connection = ngh2.Connection(ngh2.Role(role), settings.configuration())
        self._settings = settings
        self._sink = sink
        self._held = 0
        self._window = settings.connection_window
        self._connection.initiate_connection(settings.frame(role))
        self._connection.set_local_window_size(self._window)

    def receive(self, data: bytes) -> None:
        """Read bytes from the peer. H2Failure ends the connection; output may still be waiting."""
        try:
            self._connection.receive_data(data)
        except ngh2.ConnectionStateError:
            return  # the connection is over: what still comes belongs to nobody
        except ngh2.DenialOfServiceError as error:
            raise H2Failure(str(error), ENHANCE_YOUR_CALM) from error
        except ngh2.NGH2Error as error:
            code = ENHANCE_YOUR_CALM if _CONTINUATIONS in str(error) else PROTOCOL_ERROR
            raise H2Failure(str(error), code) from error
        finally:
            self._tell()

    def take_output(self, amount: int) -> bytes:
        """Return at most ``amount`` bytes to write; b"" when there is nothing or windows are shut."""
        try:
            data = self._connection.data_to_send(amount)
        except ngh2.NGH2Error as error:
            raise H2Failure(str(error)) from error
        self._tell()
        return data

    def take_pieces(self, amount: int) -> Sequence[bytes | memoryview]:
        """Return the same as one piece, none when there is nothing."""
        data = self.take_output(amount)
        return (data,) if data else ()

    def _tell(self) -> None:  # the kinds in the order of their frequency
        sink = self._sink
        for event in self._connection.events():
            if isinstance(event, ngh2.DataReceived):
                data = event.data
                self._held += len(data)
                sink.bytes_received(event.stream_id, data, event.end_stream)
            elif isinstance(event, ngh2.StreamClosed):
                error_code = event.error_code
                if error_code:
                    self._repair_window()
                sink.stream_closed(event.stream_id, error_code)
            elif isinstance(event, ngh2.RequestReceived):
                sink.request_received(event.stream_id, event.headers, event.end_stream)
            elif isinstance(event, ngh2.ResponseReceived):
                sink.response_received(event.stream_id, event.headers, event.end_stream)
            elif isinstance(event, ngh2.TrailersReceived):
                sink.trailers_received(event.stream_id, event.headers)
            elif isinstance(event, ngh2.InformationalResponseReceived):
                sink.informational_received(event.stream_id, event.headers)
            elif isinstance(event, ngh2.SettingsReceived):
                sink.settings_received()
            elif isinstance(event, ngh2.GoAwayReceived):
                sink.goaway_received(event.last_stream_id, event.error_code)
            elif isinstance(event, ngh2.PingAcknowledged):
                sink.ping_acknowledged()
            elif isinstance(event, ngh2.ConnectionClosed):
                sink.connection_closed(event.error_code)

    # What both roles say.

    def consumed(self, stream_id: int, count: int) -> None:
        """Give the peer window back for bytes that were read; also for a stream that is closed."""
        self._held -= count
        try:
            self._connection.acknowledge_received_data(count, stream_id)
        except ngh2.ConnectionStateError:
            return  # the connection ended with bytes still in a reader's hands
        except ngh2.NGH2Error as error:
            raise H2Failure(str(error)) from error

    def send_data(self, stream_id: int, data: bytes, ended: bool = False) -> None:
        """Queue body bytes, kept until the peer's windows take them: see ``queued``."""
        try:
            self._connection.send_data(stream_id, data, end_stream=ended)
        except ngh2.NGH2Error as error:
            raise H2StreamGone(str(error)) from error

    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        """End the body with trailers."""
        try:
            self._connection.send_trailers(stream_id, fields)
        except ngh2.NGH2Error as error:
            raise H2StreamGone(str(error)) from error

    def reset(self, stream_id: int, error_code: int) -> None:
        """Cut a stream, queued bytes included; fine when it is closed."""
        try:
            self._connection.reset_stream(stream_id, error_code)
        except ngh2.NGH2Error as error:
            raise H2StreamGone(str(error)) from error

    def queued(self, stream_id: int) -> int:
        """Return how many body bytes of a stream wait for windows or for ``take_output``."""
        return self._connection.queued_body_size(stream_id)

    @property
    def queued_bytes(self) -> int:
        """Body bytes of all streams that wait."""
        return self._connection.queued_body_size()

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._connection.ping()

    def goaway(self, error_code: int = NO_ERROR) -> None:
        """Refuse streams from now on; those that came before go on."""
        try:
            self._connection.send_goaway(error_code)
        except ngh2.NGH2Error as error:
            raise H2Failure(str(error)) from error

    def terminate(self, error_code: int) -> None:
        """End everything: what is queued is dropped, GOAWAY is the last output."""
        try:
            self._connection.terminate_connection(error_code)
        except ngh2.ConnectionStateError:
            return  # ended already

    # What a server says.

    def respond(self, stream_id: int, fields: Fields, ended: bool, body: bytes = b"") -> bool:
        """Queue the final response head, ``:status`` first, and its ``body``; ``ended``: that is all.

        Returns whether the stream is over by that, which is told here as for any other: False.
        """
        try:
            self._connection.send_response(stream_id, fields, end_stream=ended and not body)
            if body:
                self._connection.send_data(stream_id, body, end_stream=ended)
        except ngh2.NGH2Error as error:
            raise H2StreamGone(str(error)) from error
        return False

    def inform(self, stream_id: int, fields: Fields) -> None:
        """Queue a 1xx response."""
        try:
            self._connection.send_informational_response(stream_id, fields)
        except ngh2.NGH2Error as error:
            raise H2StreamGone(str(error)) from error

    def notice_shutdown(self) -> None:
        """Ask the client to open no more streams; those under way to us are still served."""
        try:
            self._connection.send_shutdown_notice()
        except ngh2.NGH2Error as error:
            raise H2Failure(str(error)) from error

    # What a client says.

    def request(self, fields: Fields, ended: bool, body: bytes = b"") -> int:
        """Queue a request head, pseudo fields first, and its ``body``; returns its stream id."""
        try:
            stream_id = self._connection.send_request(fields, end_stream=ended and not body)
            if body:
                self._connection.send_data(stream_id, body, end_stream=ended)
            return stream_id
        except ngh2.NGH2Error as error:
            raise H2Failure(str(error)) from error

    @property
    def takes_requests(self) -> bool:
        """Whether the peer still takes new streams and ids are left."""
        try:
            return self._connection.can_send_request
        except ngh2.NGH2Error:
            return False

    @property
    def peer_max_streams(self) -> int:
        """How many streams the peer allows at once."""
        return self._connection.remote_settings[ngh2.Setting.MAX_CONCURRENT_STREAMS]

    @property
    def peer_takes_extended_connect(self) -> bool:
        """Whether the peer announced RFC 8441."""
        return bool(self._connection.remote_settings[ngh2.Setting.ENABLE_CONNECT_PROTOCOL])

    def _repair_window(self) -> None:
        """Give back window that a reset stream took along.

        Bytes of a DATA frame that was cut short by its stream's end are never told, so they cannot
        be consumed. nghttp2 itself holds back less than half the window before it updates; when
        what is missing beyond that and our readers' share passes a quarter, raise the target.
        """
        try:
            available = self._connection.local_window_size
        except ngh2.ConnectionStateError:
            return  # the whole connection ended
        missing = self._window - available - self._held - FRAME_BYTES
        if missing > self._window * 3 // 4:
            self._window += self._settings.connection_window // 2
            self._connection.set_local_window_size(self._window)
