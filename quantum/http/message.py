"""Request and Response: the waist of the program.

A codec makes a Request at one line and turns a Response into bytes at one line. Between the two
nobody knows which HTTP version is spoken: upgrades, for one, are a field here and never a header.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, runtime_checkable

from quantum.http.body import AnyBody
from quantum.http.headers import Field, Headers
from quantum.ids import next_request_id


class TlsFacts:
    """What is known of the TLS session of a connection (placeholders ``http.request.tls.*``)."""

    __slots__ = (
        "cipher", "client_certificate", "early", "protocol", "resumed", "server_name", "version",
    )  # fmt: skip

    def __init__(
        self,
        version: str,
        cipher: str,
        server_name: str,
        protocol: str,
        *,
        resumed: bool = False,
        client_certificate: bytes | None = None,
        early: bool = False,
    ) -> None:
        """Take Caddy's spellings (``tls1.3``), the SNI, the ALPN protocol, DER of the client.

        ``early``: the request came as early data, which somebody may have replayed (RFC 8470).
        """
        self.version = version
        self.cipher = cipher
        self.server_name = server_name
        self.protocol = protocol
        self.resumed = resumed
        self.client_certificate = client_certificate
        self.early = early


class ConnectionFacts:
    """What all requests of one client connection share. One object per connection.

    ``encoded`` is the hop's: these facts as they travel, spelled at the first request that does.
    ``told`` is ``http.forwarding``'s: the fields that tell an upstream of them, with the authority and
    the version that they are for.
    """

    __slots__ = ("encoded", "local", "peer", "scheme", "server", "tls", "told")

    def __init__(
        self,
        peer: tuple[str, int],
        local: tuple[str, int],
        scheme: str,
        tls: TlsFacts | None = None,
        server: str = "",
    ) -> None:
        """``peer`` and ``local`` are (IP, port), ("", 0) for a unix socket; ``server`` the server's key."""
        self.peer = peer
        self.local = local
        self.scheme = scheme
        self.tls = tls
        self.server = server
        self.encoded: bytes | None = None
        self.told: tuple[str, str, list[Field]] | None = None


class ByteStream(Protocol):
    """The two directions of an upgraded connection or an extended CONNECT stream."""

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the peer's end. Raises BodyAborted when it was cut."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the peer is slow. Raises BodyAborted when it is gone."""

    async def write_end(self) -> None:
        """End our direction; the other one stays open."""

    def abort(self) -> None:
        """Cut both directions at once. Idempotent."""


@runtime_checkable
class PromptStream(ByteStream, Protocol):
    """A ByteStream that can also send without waiting: what a broadcast to many needs."""

    def write_now(self, data: bytes) -> bool:
        """Send bytes; False, and nothing was sent, when the peer is slow or gone: then ``write``.

        MUST NOT be called while a ``write`` waits: the order would be lost.
        """


Upgrade = Callable[[ByteStream], Awaitable[None]]
"""Runs an upgraded stream to its end, given the client's side; the codec calls it after the head."""

SendInformational = Callable[[int, Headers], None]


class Request:
    """One request, of any version.

    ``path`` and ``query`` are as received, still percent-encoded; ``query`` is None without a ``?``.
    ``authority`` is the Host. Fields that belong to a version's framing (Connection, Upgrade,
    Transfer-Encoding, Sec-WebSocket-Key, …) were taken out by the codec: ``upgrade`` names the protocol
    wanted ("websocket") and ``body`` has the bytes. Handlers may change any attribute; ``original``
    keeps the target from before the first rewrite. ``response_fields`` are what middleware set for the
    answer before there is one; whoever makes the answer in edge merges them (``http/response_fields.py``).
    ``pace`` are bounds of a route for how slowly the client may send and take; they are edge's own.
    ``odd`` are fields that came and are in ``headers`` only where they are expected; edge's own as well.
    """

    __slots__ = (
        "_id", "_vars", "authority", "body", "client_ip", "connection", "deadline", "groups",
        "headers", "informational", "method", "odd", "original", "pace", "path", "query",
        "response_fields", "scheme", "started", "upgrade", "version",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        scheme: str,
        authority: str,
        path: str,
        query: str | None,
        headers: Headers,
        body: AnyBody,
        connection: ConnectionFacts,
        version: str = "HTTP/1.1",
        started: float = 0.0,
        upgrade: str | None = None,
    ) -> None:
        """``started`` is the loop's clock at the first byte; ``version`` as in placeholders (HTTP/2.0)."""
        self.method = method
        self.scheme = scheme
        self.authority = authority
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.connection = connection
        self.version = version
        self.started = started
        self.upgrade = upgrade
        self.client_ip: str = connection.peer[0]
        self.deadline: float | None = None
        self.original: tuple[str, str, str | None] | None = None
        self.informational: SendInformational | None = None
        self.groups: set[str] | None = None
        self.response_fields: Headers | None = None
        self.pace: Any = None
        self.odd: list[Field] | None = None
        self._id: str | None = None
        self._vars: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The id that follows the request through every room and log."""
        if self._id is None:
            self._id = next_request_id()
        return self._id

    @id.setter
    def id(self, value: str) -> None:
        self._id = value

    @property
    def vars(self) -> dict[str, Any]:
        """Values that handlers leave for later ones; ``{http.vars.NAME}`` and placeholders of modules."""
        if self._vars is None:
            self._vars = {}
        return self._vars

    @property
    def has_vars(self) -> bool:
        """Whether any variable was set: lets readers skip making the dictionary."""
        return bool(self._vars)

    @property
    def target(self) -> str:
        """The request target in origin form."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def keep_original(self) -> None:
        """Remember the target as it is now, unless it was remembered: call before rewriting it."""
        if self.original is None:
            self.original = (self.method, self.path, self.query)


class Response:
    """One answer. ``body`` bytes are sent as they are; a pulled body is pulled as the client reads.

    With ``upgrade`` set, ``status`` is 101 and the codec says "switching" in its version's words (101,
    or 200 on an extended CONNECT), then runs ``upgrade``. Trailers are the body's ``trailers``.
    ``abort`` asks the codec to cut the connection (or reset the stream) instead of answering;
    ``close`` to close it after the answer. A Response without pulled body may be shared and MUST NOT
    be changed by who did not make it: ``copy`` first.
    """

    __slots__ = ("abort", "body", "close", "headers", "status", "upgrade")

    def __init__(
        self,
        status: int,
        headers: Headers | None = None,
        body: AnyBody = b"",
        *,
        upgrade: Upgrade | None = None,
        close: bool = False,
        abort: bool = False,
    ) -> None:
        self.status = status
        self.headers = Headers() if headers is None else headers
        self.body = body
        self.upgrade = upgrade
        self.close = close
        self.abort = abort

    @classmethod
    def text(cls, status: int, text: str, *fields: Field) -> Response:
        """Make a plain-text answer."""
        headers = Headers([(b"content-type", b"text/plain; charset=utf-8"), *fields])
        return cls(status, headers, text.encode())
