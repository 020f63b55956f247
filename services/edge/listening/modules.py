"""The listener wrappers, as modules."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec


def _listener(name: str, model: str, implementation: str, summary: str) -> ModuleSpec:
    return ModuleSpec(
        id=f"caddy.listeners.{name}",
        room="edge",
        config=f"services.edge.listening.config:{model}",
        implementation=f"services.edge.listening.{implementation}",
        summary=summary,
    )


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
