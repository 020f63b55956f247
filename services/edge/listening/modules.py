"""The listener wrappers, as modules."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec
from services.edge.specs import folder

_listener = folder("listening", "caddy.listeners")

MODULES: tuple[ModuleSpec, ...] = (
    _listener(
        "http_redirect", "HttpRedirectConfig", "redirect:answer_plain",
        "plain HTTP on a TLS port is redirected",
    ),
    _listener(
        "proxy_protocol", "ProxyProtocolConfig", "wrapping:ProxyPolicy",
        "client addresses from a balancer's PROXY header",
    ),
    _listener("tls", "TlsPlaceConfig", "wrapping:Wrapping", "the place of TLS among wrappers"),
)  # fmt: skip
"""In the order of the generated documentation."""
