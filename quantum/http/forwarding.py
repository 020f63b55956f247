"""Forwarding: which fields stop here, which tell the next server about the client, who to believe.

Caddy's rules, decided once for every HTTP version. What a client says about itself in
``X-Forwarded-*`` counts only when it comes from a trusted proxy; else it is replaced by what we see.
Sources: RFC 9110 §7.6.1 (Connection, Via), RFC 9113 §8.2.2, Caddy's reverse_proxy and
``trusted_proxies``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from operator import itemgetter

from quantum.http.headers import Field, Headers
from quantum.http.message import Request

PSEUDONYM = b"Quantum"
"""How this server names itself in Via."""

HOP_BY_HOP = frozenset({
    b"alt-svc", b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip
"""Fields that concern one connection and MUST NOT be forwarded (RFC 9110 §7.6.1), and Alt-Svc, which
would speak for an origin that is not the one the client talks to."""

_FOR, _PROTO, _HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
_DECIDED_HERE = HOP_BY_HOP | {_FOR, _PROTO, _HOST}
_name = itemgetter(0)

TRUSTED_VAR = "trusted_proxy"
"""The variable that is True when the peer is a trusted proxy; not set otherwise."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRIVATE_RANGES = (
    "192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1",
)  # fmt: skip
"""What the word ``private_ranges`` stands for in a list of ranges (Caddy's list)."""


def strip_hop_by_hop(headers: Headers) -> None:
    """Remove, in place, what must not be forwarded; ``te: trailers`` alone survives."""
    fields = headers.fields
    if HOP_BY_HOP.isdisjoint(map(_name, fields)):
        return
    kept = [field for field in fields if field[0] not in HOP_BY_HOP]
    before = Headers(fields)
    headers.fields = kept
    _drop_named_by_connection(headers, before)
    if _wants_trailers(fields):
        headers.fields.append((b"te", b"trailers"))


def _drop_named_by_connection(headers: Headers, before: Headers) -> None:
    named = {
        token.strip().lower()
        for value in before.all(b"connection")
        for token in value.split(b",")
    }  # fmt: skip
    if named:
        headers.fields = [field for field in headers.fields if field[0] not in named]


def _wants_trailers(fields: list[Field]) -> bool:
    return any(
        token.partition(b";")[0].strip().lower() == b"trailers"
        for name, value in fields
        if name == b"te"
        for token in value.split(b",")
    )


def add_via(headers: Headers, version: str) -> None:
    """Append our Via for a message that was received in ``version`` ("HTTP/1.1")."""
    headers.fields.append(_VIA.get(version) or _via(version))


def _via(version: str) -> Field:
    return b"via", version.rpartition("/")[2].encode() + b" " + PSEUDONYM


_VIA = {version: _via(version) for version in ("HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0")}


def is_from_trusted_proxy(request: Request) -> bool:
    """Whether the server's ``trusted_proxies`` cover the peer of ``request``."""
    return request.has_vars and request.vars.get(TRUSTED_VAR) is True


def fields_for_upstream(request: Request, trusted: Networks | None = None) -> Headers:
    """Return the fields to send upstream for ``request``: a new list, Host not among them.

    Hop-by-hop fields are gone, ``X-Forwarded-For``, ``-Proto`` and ``-Host`` say what is true, Via is
    appended. ``trusted`` are ranges that one handler trusts beside the server's.
    """
    if request.connection.peer[0] and _DECIDED_HERE.isdisjoint(map(_name, request.headers.fields)):
        return Headers(request.headers.fields + _told(request))
    return _decided(request, trusted)


def _told(request: Request) -> list[Field]:
    """Return what there is to say about a client that says nothing itself.

    All its requests to one host have it in common, so its connection keeps it.
    """
    connection, authority, version = request.connection, request.authority, request.version
    told = connection.told
    if told is None or told[0] != authority or told[1] != version:
        fields = [
            (_FOR, connection.peer[0].partition("%")[0].encode()),
            (_PROTO, connection.scheme.encode()),
            (_HOST, authority.encode("latin-1", "replace")),
            _VIA.get(version) or _via(version),
        ]
        told = connection.told = authority, version, fields
    return told[2]


def _decided(request: Request, trusted: Networks | None) -> Headers:
    """Return the fields for upstream of a client that says something about itself, or has no address."""
    peer = request.connection.peer[0].partition("%")[0]
    believed = is_from_trusted_proxy(request) or (trusted is not None and peer in trusted)
    fields = request.headers.fields
    kept = [field for field in fields if field[0] not in _DECIDED_HERE]
    headers = Headers(kept)
    chain, proto, host = peer.encode(), b"", b""
    if len(kept) != len(fields):  # most requests bring none of these fields
        _drop_named_by_connection(headers, request.headers)
        if believed:
            prior = request.headers.joined(_FOR)
            chain = b", ".join(part for part in (prior, chain) if part)
            proto, host = _last(request.headers, _PROTO), _last(request.headers, _HOST)
        if _wants_trailers(fields):
            headers.fields.append((b"te", b"trailers"))
    if peer or believed:  # of the peer of a unix socket nothing is known, unless one vouches for it
        if chain:
            headers.fields.append((_FOR, chain))
        headers.fields += (
            (_PROTO, proto or request.connection.scheme.encode()),
            (_HOST, host or request.authority.encode("latin-1", "replace")),
        )
    add_via(headers, request.version)
    return headers


def _last(headers: Headers, name: bytes) -> bytes:
    values = headers.all(name)
    return values[-1] if values else b""


def parse_address(text: str) -> Address | None:
    """Return the IP address ``text`` (zone and port are dropped), None when it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


class Networks:
    """A set of IP ranges, asked often: answers are remembered for the peers seen lately."""

    REMEMBERED = 1024
    """Distinct addresses whose answer is kept; a reverse proxy has few peers, an open edge many."""

    def __init__(self, ranges: Iterable[str]) -> None:
        """ValueError for what is neither an address, nor CIDR, nor ``private_ranges``."""
        self._networks: list[Network] = []
        for text in ranges:
            for cidr in _PRIVATE_RANGES if text == "private_ranges" else (text,):
                self._networks.append(ipaddress.ip_network(cidr.partition("%")[0], strict=False))
        self._known: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._networks)

    def __contains__(self, text: str) -> bool:
        """Whether the address ``text`` is in one of the ranges; False for what is no address."""
        known = self._known.get(text)
        if known is None:
            address = parse_address(text)
            known = address is not None and self.covers(address)
            if len(self._known) >= self.REMEMBERED:
                self._known.clear()
            self._known[text] = known
        return known

    def covers(self, address: Address) -> bool:
        """Whether ``address`` is in one of the ranges."""
        return any(address in network for network in self._networks)


class ClientAddress:
    """Finds the true client behind trusted proxies, as one server is configured to.

    ``ranges`` are the trusted peers (``trusted_proxies`` of source ``static``); ``strict`` reads the
    list from the right and takes the first address that is not trusted (the peer, if all are),
    otherwise the leftmost valid one counts; ``unix`` trusts peers of unix sockets; ``fields`` are looked at in order.
    """

    def __init__(
        self,
        ranges: Sequence[str] = (),
        *,
        strict: bool = False,
        unix: bool = False,
        fields: Sequence[str] = ("X-Forwarded-For",),
    ) -> None:
        self._trusted = Networks(ranges)
        self._strict = strict
        self._unix = unix
        self._fields = tuple(name.lower().encode() for name in fields) or (b"x-forwarded-for",)

    @property
    def trusts_nobody(self) -> bool:
        """Whether ``resolve`` would change nothing for any request; callers then leave it out."""
        return not self._trusted and not self._unix

    def trusts(self, peer: str) -> bool:
        """Whether a peer is a trusted proxy."""
        return peer in self._trusted if peer else self._unix

    def resolve(self, request: Request) -> None:
        """Set ``client_ip`` and the trusted flag of ``request``."""
        peer = request.connection.peer[0]
        if not self.trusts(peer):
            return
        request.vars[TRUSTED_VAR] = True
        found = self._rightmost(request) if self._strict else self._leftmost(request)
        if found is not None:
            request.client_ip = found

    def _leftmost(self, request: Request) -> str | None:
        for name in self._fields:
            for value in request.headers.all(name):
                for part in value.decode("latin-1").split(","):
                    address = parse_address(part)
                    if address is not None:
                        return str(address)
        return None

    def _rightmost(self, request: Request) -> str | None:
        for name in self._fields:
            for value in reversed(request.headers.all(name)):
                for part in reversed(value.decode("latin-1").split(",")):
                    address = parse_address(part)
                    if address is not None and not self._trusted.covers(address):
                        return str(address)
        return None
