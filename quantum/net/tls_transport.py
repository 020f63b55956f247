"""TLS on a connection, of a server or a client: OpenSSL between a raw transport and a protocol that knows nothing of it.

Done here and not by the event loop for three reasons: a failed handshake still sends its alert
(asyncio drops it), the certificate is chosen before the handshake and may have to be fetched, and the
last, always failing read of each round is spared.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

READ_SIZE = 16 * 1024
"""Plain bytes taken per call: one TLS record."""


class TlsTransport(asyncio.Transport):
    """What the inner protocol writes to. Back-pressure is the raw transport's."""

    __slots__ = ("_is_closing", "_layer", "_raw")

    def __init__(self, layer: TlsLayer, raw: asyncio.Transport) -> None:
        super().__init__()
        self._layer = layer
        self._raw = raw
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if data and not (self._is_closing or self._layer.is_leaving):
            self._layer.encrypt(data)

    def close(self) -> None:
        """Say goodbye (close_notify) and close when all is sent."""
        if not self._is_closing:
            self._is_closing = True
            self._layer.say_goodbye()
            self._raw.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._is_closing = True
        self._raw.abort()

    def leave(self) -> None:
        """Say goodbye, and drop what still comes until the peer is gone too or the connection is cut."""
        if not self._is_closing:
            self._layer.leave()

    def gone(self) -> None:
        """Hear that the connection is lost: what is still written goes nowhere."""
        self._is_closing = True

    @property
    def has_ended(self) -> bool:
        """Whether the peer said that nothing more comes."""
        return self._layer.has_ended

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol go on."""
        self._layer.hand_over(protocol)

    def is_closing(self) -> bool:
        """Whether it is closed, or on the way."""
        return self._is_closing or self._raw.is_closing()

    def can_write_eof(self) -> bool:
        """No: there is no half-closed TLS worth relying on."""
        return False

    def pause_reading(self) -> None:
        """Deliver nothing until ``resume_reading``."""
        self._layer.set_reading(False)

    def resume_reading(self) -> None:
        """Deliver again, what waits first."""
        self._layer.set_reading(True)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the raw transport knows, and ``ssl_object``."""
        if name == "ssl_object":
            return getattr(self._layer, "ssl_object", default)
        return self._raw.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Return the encrypted bytes not yet taken by the kernel."""
        return self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is told to pause."""
        self._raw.set_write_buffer_limits(high, low)


def say_no_more(transport: asyncio.Transport) -> None:
    """Tell the peer that nothing more comes, and keep the socket, so that no reset overtakes what was said."""
    if isinstance(transport, TlsTransport):
        transport.leave()
    elif transport.can_write_eof():
        transport.write_eof()


def was_cut_short(transport: asyncio.BaseTransport) -> bool:
    """Whether a connection over TLS has ended, and the peer never said so: anybody on the way can do that.

    What is complete only by its end is not complete then (RFC 9112 §9.8).
    """
    return isinstance(transport, TlsTransport) and not transport.has_ended


class TlsLayer:
    """The TLS state of one connection, without its I/O callbacks: ``receive`` takes raw bytes.

    ``established`` is called once, when the handshake is done, and returns the inner protocol.
    """

    __slots__ = (
        "_established", "_incoming", "_inner", "_is_raw_paused", "_is_reading", "_loop", "_outgoing",
        "_raw", "has_ended", "is_leaving", "ssl_object", "transport",
    )  # fmt: skip

    def __init__(
        self,
        context: ssl.SSLContext,
        raw: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        established: Callable[[TlsLayer], asyncio.Protocol],
        server_name: str | None = None,
    ) -> None:
        """``server_name``: whom a client speaks to; None is the server's side."""
        self._raw = raw
        self._loop = loop
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_name is None,
            server_hostname=server_name,
        )
        self.transport = TlsTransport(self, raw)
        self._established = established
        self._inner: asyncio.Protocol | None = None
        self._is_reading = True
        self._is_raw_paused = False
        self.is_leaving = False
        """Whether we have said goodbye and wait for the peer to go."""
        self.has_ended = False
        """Whether the peer said that nothing more comes (close_notify)."""

    @property
    def inner(self) -> asyncio.Protocol | None:
        """The protocol above, None until the handshake is done."""
        return self._inner

    def hand_over(self, inner: asyncio.BaseProtocol) -> None:
        """Deliver to ``inner`` from now on."""
        self._inner = inner  # type: ignore[assignment]  # transports of streams have protocols of streams

    def receive(self, data: bytes) -> None:
        """Take in raw bytes. ssl.SSLError: the handshake or the stream failed; the alert is sent."""
        if self.is_leaving:
            return
        self._incoming.write(data)
        if self._inner is None and not self.shake_hands():
            return
        if self._is_reading:
            self._deliver()

    def shake_hands(self) -> bool:
        """Go on with the handshake, or begin it as a client; whether it is done. ssl.SSLError: it failed."""
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return False
        except ssl.SSLError:
            self._send()  # the alert
            raise
        self._send()
        self._inner = self._established(self)
        self._inner.connection_made(self.transport)
        return True

    def _deliver(self) -> None:
        inner, incoming, tls = self._inner, self._incoming, self.ssl_object
        assert inner is not None
        while self._is_reading and not self.is_leaving and (incoming.pending or tls.pending()):
            try:
                data = tls.read(READ_SIZE)
            except ssl.SSLWantReadError:  # half a record, or a message of TLS itself
                break
            except ssl.SSLError:
                self._send()
                raise
            if not data:  # close_notify
                self.has_ended = True
                if not inner.eof_received():
                    self.transport.close()
                return
            inner.data_received(data)
        if self._outgoing.pending:  # an answer to a key update
            self._send()

    def encrypt(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data``."""
        self.ssl_object.write(data)
        self._raw.write(self._outgoing.read())

    def _send(self) -> None:
        data = self._outgoing.read()
        if data:
            self._raw.write(data)

    def say_goodbye(self) -> None:
        """Send close_notify; the client's own is not waited for."""
        if self._inner is None or self.is_leaving:
            return
        with contextlib.suppress(ssl.SSLError):  # it wants to read the client's, or all is broken
            self.ssl_object.unwrap()
        self._send()

    def leave(self) -> None:
        """Send close_notify; what the peer still sends is dropped unread."""
        if not self.is_leaving:
            self.say_goodbye()
            self.is_leaving = True

    def release(self) -> None:
        """Give keys and buffers back: the connection is lost, and others may know of it for a while."""
        self.transport.gone()
        self._is_reading = False
        self._incoming = self._outgoing = ssl.MemoryBIO()
        del self.ssl_object

    def set_reading(self, reading: bool) -> None:
        """Stop or go on delivering; bytes that are here already come in a later turn of the loop.

        No more is read from the socket before those are delivered: they would pile up, by what one
        read brings at each change.
        """
        if reading == self._is_reading:
            return
        self._is_reading = reading
        if reading:
            self._loop.call_soon(self._deliver_late)
        elif not self._is_raw_paused:
            self._is_raw_paused = True
            self._raw.pause_reading()

    def _deliver_late(self) -> None:
        if not self._is_reading or self._raw.is_closing():
            return
        try:
            self._deliver()
        except ssl.SSLError:
            self._raw.abort()
            return
        if self._is_reading and self._is_raw_paused and not self._raw.is_closing():
            self._is_raw_paused = False
            self._raw.resume_reading()
