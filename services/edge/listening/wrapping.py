"""The wrappers of a server's listeners, compiled: whom a connection is from, and what plain HTTP gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantum.errors import ConfigError
from quantum.http.forwarding import Networks
from quantum.modules.config import ModuleConfig
from services.edge.listening.config import REDIRECT_HEAD_BYTES, Policy, ProxyProtocolConfig


class ProxyPolicy:
    """Who may say whom a connection is from, and within what time."""

    def __init__(self, config: ProxyProtocolConfig) -> None:
        self.timeout = config.timeout
        self._allowed = Networks(config.allow)
        self._denied = Networks(config.deny)
        self._fallback: Policy = config.fallback_policy

    def for_peer(self, ip: str) -> Policy:
        """Return the policy for a peer; "" is a unix socket, whose other end is believed."""
        if not ip:
            return "USE"
        if ip in self._denied:
            return "REJECT"
        return "USE" if ip in self._allowed else self._fallback


@dataclass(frozen=True)
class Wrapping:
    """What stands before HTTP on a listener. ``redirect_head_bytes`` 0: plain HTTP is refused."""

    proxy: ProxyPolicy | None = None
    redirect_head_bytes: int = 0


def compile_wrapping(modules: Sequence[ModuleConfig], *, is_secure: bool) -> Wrapping:
    """Return what a list of wrappers means; ConfigError for an order that nobody can keep."""
    proxy: ProxyPolicy | None = None
    redirect = 0
    is_past_tls = False
    for module in modules:
        name = module.spec.id.rpartition(".")[2]
        if name == "tls":
            is_past_tls = True
        elif is_past_tls:
            raise ConfigError(
                module.path, f"{name} inside TLS is not built here yet", "put it first"
            )
        elif name == "proxy_protocol":
            if proxy is not None or redirect:
                raise ConfigError(module.path, "must be the first wrapper, once", "put it first")
            proxy = ProxyPolicy(module.config)
        elif is_secure:
            redirect = module.config.max_header_bytes or REDIRECT_HEAD_BYTES
    return Wrapping(proxy, redirect)
