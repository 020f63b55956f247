"""Matchers of what every request has: ``method``, ``protocol`` and ``tls``."""

from __future__ import annotations

from quantum.http.matcher import Matcher
from quantum.http.message import Request
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import MethodConfig, ProtocolConfig, TlsConfig

_VERSIONS = {"1.0": "HTTP/1.0", "1.1": "HTTP/1.1", "2": "HTTP/2.0", "3": "HTTP/3.0"}


def method(config: MethodConfig, provision: Provision) -> Matcher:
    """Return the question whether the method is one of the list, which may be in lower case."""
    methods = frozenset(name.upper() for name in config.root)
    if len(methods) == 1:
        (only,) = methods
        return lambda request: request.method == only
    return lambda request: request.method in methods


def protocol(config: ProtocolConfig, provision: Provision) -> Matcher:
    """Return the question whether the request came over the protocol."""
    name = config.root
    if name == "https":
        return lambda request: request.connection.scheme == "https"
    if name == "http":
        return lambda request: request.connection.scheme == "http"
    if name == "grpc":
        return _is_grpc
    version = _VERSIONS[name.removeprefix("http/").removesuffix("+")]
    if name.endswith("+"):
        return lambda request: request.version >= version  # HTTP/1.0 < HTTP/1.1 < HTTP/2.0
    return lambda request: request.version == version


def _is_grpc(request: Request) -> bool:
    return (request.headers.get(b"content-type") or b"").startswith(b"application/grpc")


def tls(config: TlsConfig, provision: Provision) -> Matcher:
    """Return the question whether the request came over TLS; early data is not accepted here yet."""
    if config.handshake_complete is False:
        return lambda request: False
    return lambda request: request.connection.tls is not None
