"""TLS on a client connection: a socket, the layer of ``tls_transport``, and a protocol that knows nothing of it.

Done here and not by the event loop for what happens when a write fails: the loop drops the session with
all that the peer said before it reset, which may be its answer (RFC 9112 §9.5: a server may answer
before it has the whole request, and close). Here that is read first.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable

from quantum.net.tls_transport import TlsLayer

LAST_WORDS_BYTES = 1024 * 1024
"""Read at most of what a peer said before it reset the connection: a refusal, not a download."""

Make = Callable[[], asyncio.Protocol]


def last_words(transport: asyncio.BaseTransport | None) -> bytes:
    """Return what arrived on a socket that the loop gave up over a failed write, without looking."""
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is None:
        return b""
    try:
        with socket.socket(fileno=os.dup(sock.fileno())) as twin:
            twin.setblocking(False)
            return twin.recv(LAST_WORDS_BYTES)
    except OSError:
        return b""


async def open_tls(
    sock: socket.socket, context: ssl.SSLContext, name: str, make: Make, seconds: float
) -> asyncio.Protocol:
    """Shake hands over a connected ``sock`` and return the protocol of ``make``, connected.

    ``name`` is whom we want to speak to: SNI, and what the certificate must be for. OSError (ssl.SSLError,
    TimeoutError after ``seconds``, ConnectionError) when there is no session; the socket is closed then.
    """
    loop = asyncio.get_running_loop()
    link = _Link(context, name, make, loop)
    transport, _ = await loop.create_connection(lambda: link, sock=sock)
    try:
        async with asyncio.timeout(seconds):
            return await link.established
    except BaseException:
        transport.abort()
        raise


class _Link(asyncio.Protocol):
    """What the event loop calls."""

    def __init__(
        self, context: ssl.SSLContext, name: str, make: Make, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._context = context
        self._name = name
        self._make = make
        self._loop = loop
        self._layer: TlsLayer = None  # type: ignore[assignment]  # set on connection
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._failure: Exception | None = None
        self.established: asyncio.Future[asyncio.Protocol] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = transport  # type: ignore[assignment]
        self._layer = TlsLayer(
            self._context, self._transport, self._loop, self._begin, server_name=self._name
        )
        try:
            self._layer.shake_hands()
        except ValueError as error:  # a name that cannot be one
            self._fail(ssl.SSLError(str(error)))

    def _begin(self, layer: TlsLayer) -> asyncio.Protocol:
        inner = self._make()
        if not self.established.done():
            self.established.set_result(inner)
        return inner

    def data_received(self, data: bytes) -> None:
        """Decrypt and deliver."""
        try:
            self._layer.receive(data)
        except ssl.SSLError as error:
            self._fail(error)

    def _fail(self, error: ssl.SSLError) -> None:
        self._failure = error  # what was under way did not end, it broke off
        if not self.established.done():
            self.established.set_exception(error)
        self._transport.abort()

    def eof_received(self) -> bool:
        """Take the peer's end, said or not: whether a message ended with it is the protocol's to tell."""
        inner = self._layer.inner
        return bool(inner is not None and inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear the peer out, then tell."""
        layer, exc = self._layer, exc or self._failure
        if exc is not None and self._failure is None and (words := last_words(self._transport)):
            self.data_received(words)
        if not self.established.done():
            reason = "the connection was closed in the handshake"
            self.established.set_exception(
                exc if isinstance(exc, OSError) else ConnectionResetError(reason)
            )
            self.established.exception()  # nobody may be waiting any more
        if layer.inner is not None:
            layer.inner.connection_lost(exc)
        layer.release()

    def pause_writing(self) -> None:
        """Pass back-pressure on."""
        if self._layer.inner is not None:
            self._layer.inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass its end on."""
        if self._layer.inner is not None:
            self._layer.inner.resume_writing()
