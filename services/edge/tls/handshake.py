"""From an accepted socket to a protocol that speaks HTTP: plain at once, or after TLS.

The client's hello is read first. A certificate that is not at hand is fetched while the client
waits, within the time a handshake may take; then OpenSSL does the rest. Every refusal sends an alert.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

import structlog

from quantum.http.message import ConnectionFacts, TlsFacts
from quantum.net.address import peer_of
from quantum.net.client_hello import ClientHello, read_client_hello
from quantum.net.tls_transport import TlsLayer
from quantum.tasks import TaskSet
from services.edge.admission import HANDSHAKE_SECONDS, MAX_HANDSHAKES, Admission
from services.edge.listening.proxied import Ends
from services.edge.listening.redirect import METHOD_STARTS, answer_plain
from services.edge.listening.wrapping import Wrapping
from services.edge.protocols import make_protocol
from services.edge.protocols.deadlines import NEVER
from services.edge.protocols.host import Host
from services.edge.tls.proving import FindProof, Proven

PLAIN_HTTP_ON_TLS = (
    b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"Client sent an HTTP request to an HTTPS server.\n"
)
"""Go's words; a browser shows them instead of a broken connection."""

_ALERT_UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"
"""A fatal unrecognized_name (RFC 8446 §6): there is no certificate for what was asked."""
_ALERT_INTERNAL_ERROR = b"\x15\x03\x03\x00\x02\x02\x50"
"""Fatal, for what is not the client's fault: a certificate that did not come, too many handshakes."""
_ALERT_NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"
"""Fatal (RFC 7301 §3.2): nothing that the client asked for is spoken, or no challenge is open for its name."""
_ALERT_HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
"""Fatal, for time that the client let pass."""
_REASONS = frozenset({
    "bad_key_share", "http_request", "no_shared_cipher", "no_suitable_signature_algorithm",
    "sslv3_alert_bad_certificate", "sslv3_alert_certificate_unknown", "tlsv1_alert_unknown_ca",
    "unsupported_protocol", "unexpected_message", "wrong_version_number",
})  # fmt: skip
"""OpenSSL's reasons that have a metric of their own: what misconfiguration and scanners look like."""
_VERSIONS = {"TLSv1.2": "tls1.2", "TLSv1.3": "tls1.3"}

_log = structlog.get_logger("quantum.edge")


class ChooseContext(Protocol):
    """Finds the TLS context for a hello."""

    def find(self, hello: ClientHello, local_ip: str) -> ssl.SSLContext | None:
        """Return the context that is at hand."""

    def can_speak(self, hello: ClientHello, local_ip: str) -> bool:
        """Return whether client and server have a protocol in common."""

    async def obtain(self, hello: ClientHello, local_ip: str) -> ssl.SSLContext | None:
        """Fetch it; None when there is none to be had."""


class TlsHost(Host, Protocol):
    """What a TLS connection asks of its entrypoint, beside what HTTP does."""

    tls: ChooseContext | None
    proofs: FindProof
    admission: Admission
    tasks: TaskSet
    wrapping: Wrapping
    handshaking: dict[TlsConnection, None]
    """In the order of their coming."""


def facts_of(
    transport: asyncio.BaseTransport,
    scheme: str,
    server: str,
    tls: TlsFacts | None,
    ends: Ends | None = None,
) -> ConnectionFacts:
    """Return what is known of a connection once it is accepted; ``ends`` are those told by a balancer."""
    peer, local = ends or ends_of(transport)
    return ConnectionFacts(peer, local, scheme, tls, server)


def ends_of(transport: asyncio.BaseTransport) -> Ends:
    """Return the addresses of a socket."""
    return (
        peer_of(transport.get_extra_info("peername")),
        peer_of(transport.get_extra_info("sockname")),
    )


class TlsConnection(asyncio.Protocol):
    """The raw side of one TLS connection: hello, certificate, handshake, then the layer does it all."""

    __slots__ = (
        "_choosing", "_early", "_ends", "_host", "_layer", "_local_ip", "_peer_ip", "_server_name", "_transport",
        "deadline", "is_closed", "visit",
    )  # fmt: skip

    def __init__(self, host: TlsHost, ends: Ends | None = None) -> None:
        """``ends`` are the addresses that a balancer told, None for the socket's."""
        self._host = host
        self._ends = ends
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set on connection
        self._early = b""
        self._layer: TlsLayer | None = None
        self._choosing: asyncio.Task[None] | None = None
        self._local_ip = ""
        self._peer_ip = ""
        self._server_name = ""
        self.is_closed = False
        self.deadline = NEVER
        self.visit = NEVER

    # What the raw transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the handshake."""
        self._transport = transport  # type: ignore[assignment]
        (self._peer_ip, _), (self._local_ip, _) = self._ends or ends_of(transport)
        if not self._host.admission.enter_client(self._peer_ip):
            self.abort()
            return
        self.deadline = self._host.loop.time() + HANDSHAKE_SECONDS
        self._host.deadlines.watch(self)
        handshaking = self._host.handshaking
        handshaking[self] = None
        if len(handshaking) > MAX_HANDSHAKES:
            next(iter(handshaking)).give_way()

    def data_received(self, data: bytes) -> None:
        """Raw bytes: the hello, the handshake, or records for the layer."""
        if self._layer is None:
            self._early += data
            if self._choosing is None:
                self._read_hello()
            return
        try:
            self._layer.receive(data)
        except ssl.SSLError as error:
            self._failed(error)

    def eof_received(self) -> bool:
        """The client closed its direction of the raw connection."""
        inner = self._layer.inner if self._layer is not None else None
        return bool(inner is not None and inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.is_closed = True
        self.deadline = NEVER
        self._early = b""
        if self._choosing is not None:
            self._choosing.cancel()
        self._host.handshaking.pop(self, None)
        self._host.admission.leave_client(self._peer_ip)
        self._host.admission.leave()
        layer, self._layer = self._layer, None
        if layer is not None:
            if layer.inner is not None:
                layer.inner.connection_lost(exc)
            layer.release()

    def pause_writing(self) -> None:
        """The client is slow."""
        if self._layer is not None and self._layer.inner is not None:
            self._layer.inner.pause_writing()

    def resume_writing(self) -> None:
        """The client caught up."""
        if self._layer is not None and self._layer.inner is not None:
            self._layer.inner.resume_writing()

    def on_deadline(self) -> None:
        """The handshake took too long; a client that can still read an alert in clear is told."""
        self._host.admission.handshakes_failed.labels("timeout").inc()
        if self._layer is None:
            is_ours = self._choosing is not None
            self._transport.write(_ALERT_INTERNAL_ERROR if is_ours else _ALERT_HANDSHAKE_FAILURE)
            self._transport.close()
        else:
            self.abort()

    def give_way(self) -> None:
        """End an unfinished handshake in favour of newer ones; who can still read an alert is told."""
        self._host.handshaking.pop(self, None)
        self._host.admission.reached("handshakes")
        if self._layer is None:
            self._transport.write(_ALERT_INTERNAL_ERROR)
            self._transport.close()
        else:
            self.abort()

    def abort(self) -> None:
        """Cut it."""
        self._transport.abort()

    # The handshake.

    def _read_hello(self) -> None:
        early = self._early
        if early[0] in METHOD_STARTS:
            self._answer_plain(early)
            return
        hello = read_client_hello(early, self._peer_ip)
        chooser = self._host.tls
        if hello is None or chooser is None:
            return
        if hello.is_acme:
            self._prove(hello.server_name)
            return
        if not chooser.can_speak(hello, self._local_ip):
            self._refuse_protocol("no_protocol")
            return
        self._server_name = hello.server_name
        context = chooser.find(hello, self._local_ip)
        if context is not None:
            self._begin(context)
        else:
            self._choosing = self._host.tasks.start(self._choose(chooser, hello), "certificate")

    def _answer_plain(self, early: bytes) -> None:
        limit = self._host.wrapping.redirect_head_bytes
        answer = answer_plain(early, limit) if limit else PLAIN_HTTP_ON_TLS
        if answer is None:
            return  # until the head is complete, within the time of a handshake
        if not limit:
            self._host.admission.handshakes_failed.labels("plain_http").inc()
        self._transport.write(answer)
        self._transport.close()

    async def _choose(self, chooser: ChooseContext, hello: ClientHello) -> None:
        context = await chooser.obtain(hello, self._local_ip)
        if self.is_closed:
            return
        if context is None:
            self._host.admission.handshakes_failed.labels("no_certificate").inc()
            _log.debug("certificate_missing", name=hello.server_name, peer=self._peer_ip)
            self._transport.write(_ALERT_UNRECOGNIZED_NAME)
            self._transport.close()
            return
        self._begin(context)

    def _prove(self, name: str) -> None:
        """Show an ACME authority the certificate of an open challenge; policies have no say in it."""
        context = self._host.proofs.context(name)
        if context is not None:
            self._begin(context, lambda _: Proven())
        else:
            self._refuse_protocol("no_challenge")

    def _refuse_protocol(self, reason: str) -> None:
        self._host.admission.handshakes_failed.labels(reason).inc()
        self._transport.write(_ALERT_NO_APPLICATION_PROTOCOL)
        self._transport.close()

    def _begin(
        self,
        context: ssl.SSLContext,
        established: Callable[[TlsLayer], asyncio.Protocol] | None = None,
    ) -> None:
        established = established or self._established
        self._layer = TlsLayer(context, self._transport, self._host.loop, established)
        early, self._early = self._early, b""
        try:
            self._layer.receive(early)
        except ssl.SSLError as error:
            self._failed(error)

    def _established(self, layer: TlsLayer) -> asyncio.Protocol:
        self.deadline = NEVER
        self._host.handshaking.pop(self, None)
        tls = layer.ssl_object
        protocol = tls.selected_alpn_protocol() or ""
        cipher = tls.cipher()
        facts = TlsFacts(
            version=_VERSIONS.get(tls.version() or "", ""),
            cipher=cipher[0] if cipher else "",
            server_name=self._server_name,
            protocol=protocol,
            resumed=bool(tls.session_reused),
            client_certificate=tls.getpeercert(binary_form=True),
        )
        site = self._host.site
        return make_protocol(
            protocol,
            self._host,
            facts_of(self._transport, "https", site.name, facts, self._ends),
        )

    def _failed(self, error: ssl.SSLError) -> None:
        """The alert went out already; after it there is nothing to say."""
        layer = self._layer
        if layer is not None and layer.inner is None:
            reason = (error.reason or "unknown").lower()
            self._host.admission.handshakes_failed.labels(
                reason if reason in _REASONS else "other"
            ).inc()
            _log.debug("handshake_failed", reason=reason, peer=self._peer_ip)
            self._transport.close()
        else:
            self._transport.abort()
