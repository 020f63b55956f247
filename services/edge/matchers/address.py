"""``http.matchers.remote_ip`` and ``client_ip``: who is at the other end, and who is said to be behind."""

from __future__ import annotations

from collections.abc import Callable

from quantum.errors import HttpError
from quantum.http.forwarding import Networks
from quantum.http.matcher import Matcher
from quantum.http.message import Request
from quantum.http.placeholders import compile_template
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import AddressConfig


def remote_ip(config: AddressConfig, provision: Provision) -> Matcher:
    """Return the question whether the peer of the connection is in the ranges."""
    networks = _fixed(config)
    if networks is not None:
        return lambda request: _proved(request).connection.peer[0] in networks
    return _dynamic(config, lambda request: _proved(request).connection.peer[0])


def client_ip(config: AddressConfig, provision: Provision) -> Matcher:
    """Return the question whether the client, as trusted proxies tell it, is in the ranges."""
    networks = _fixed(config)
    if networks is not None:
        return lambda request: _proved(request).client_ip in networks
    return _dynamic(config, lambda request: _proved(request).client_ip)


def _proved(request: Request) -> Request:
    """Return the request; HttpError 425 for early data, whose sender has proved no address (RFC 8470)."""
    tls = request.connection.tls
    if tls is not None and tls.early:
        raise HttpError(425, "an address cannot be matched before the handshake is complete")
    return request


def _fixed(config: AddressConfig) -> Networks | None:
    return None if any("{" in text for text in config.ranges) else Networks(config.ranges)


def _dynamic(config: AddressConfig, address: Callable[[Request], str]) -> Matcher:
    templates = [compile_template(text) for text in config.ranges]

    def matches(request: Request) -> bool:
        for expand in templates:
            for text in expand(request).split():
                try:
                    if address(request) in Networks([text]):
                        return True
                except ValueError:
                    continue  # a placeholder gave no address: that range covers nobody
        return False

    return matches
