"""How upstreams are talked to: HTTP and FastCGI."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.namespaces import Readers, read_value, take_module
from quantum.caddyfile.modules.pools import take_pool
from quantum.caddyfile.modules.settings import Setting, read_block
from quantum.caddyfile.values import numbers

TIMEOUT = "bad timeout value '{value}': {error}"
INTEGER = "bad integer value '{value}': {error}"
Made = dict[str, Any]


def _network_proxy_none(d: Dispenser) -> Made:
    d.next()
    d.no_more()
    return {}


def _network_proxy_url(d: Dispenser) -> Made:
    d.next()
    return {"url": d.arg()}


NETWORK_PROXIES: Readers = {"none": _network_proxy_none, "url": _network_proxy_url}


def take_network_proxy(d: Dispenser) -> Made:
    """Return the proxy on the way that the next argument names."""
    return take_module(d, "caddy.network_proxy", NETWORK_PROXIES, "from")


def _resolvers(d: Dispenser) -> list[str]:
    found = d.rest()
    if not found:
        raise d.error("must specify at least one resolver address")
    return found


def _proxy_protocol(d: Dispenser) -> str:
    value = d.arg()
    if value not in {"v1", "v2"}:
        raise d.error(f"invalid proxy protocol version '{value}'")
    return value


def _renegotiation(d: Dispenser) -> str:
    value = d.arg()
    if value not in {"never", "once", "freely"}:
        raise d.arg_error()
    return value


SETTINGS = {
    "read_buffer": Setting(
        "read_buffer_size", settings.size("invalid read buffer size '{value}': {error}")
    ),
    "write_buffer": Setting(
        "write_buffer_size", settings.size("invalid write buffer size '{value}': {error}")
    ),
    "read_timeout": Setting(
        "read_timeout", settings.duration("invalid read timeout duration '{value}': {error}")
    ),
    "write_timeout": Setting(
        "write_timeout", settings.duration("invalid write timeout duration '{value}': {error}")
    ),
    "max_response_header": Setting(
        "max_response_header_size",
        settings.size("invalid max response header size '{value}': {error}"),
    ),
    "proxy_protocol": Setting("proxy_protocol", _proxy_protocol),
    "network_proxy": Setting("network_proxy", take_network_proxy),
    "dial_timeout": Setting("dial_timeout", settings.duration(TIMEOUT)),
    "dial_fallback_delay": Setting(
        "dial_fallback_delay", settings.duration("bad fallback delay value '{value}': {error}")
    ),
    "response_header_timeout": Setting("response_header_timeout", settings.duration(TIMEOUT)),
    "expect_continue_timeout": Setting("expect_continue_timeout", settings.duration(TIMEOUT)),
    "resolvers": Setting("resolver.addresses", _resolvers),
    "tls_curves": Setting("tls.curves", settings.texts),
    "tls_timeout": Setting("tls.handshake_timeout", settings.duration(TIMEOUT)),
    "tls_trusted_ca_certs": Setting("tls.root_ca_pem_files", settings.texts),
    "tls_server_name": Setting("tls.server_name", settings.text),
    "tls_renegotiation": Setting("tls.renegotiation", _renegotiation),
    "tls_insecure_skip_verify": Setting("tls.insecure_skip_verify", settings.flag),
    "tls_except_ports": Setting("tls.except_ports", settings.texts),
    "tls_trust_pool": Setting("tls.ca", take_pool),
    "keepalive_interval": Setting(
        "keep_alive.probe_interval", settings.duration("bad interval value '{value}': {error}")
    ),
    "keepalive_idle_conns": Setting("keep_alive.max_idle_conns", settings.integer(INTEGER)),
    "keepalive_idle_conns_per_host": Setting(
        "keep_alive.max_idle_conns_per_host", settings.integer(INTEGER)
    ),
    "versions": Setting("versions", settings.texts),
    "max_conns_per_host": Setting("max_conns_per_host", settings.integer(INTEGER)),
    "local_address": Setting("local_address", settings.text),
}


def read_http(d: Dispenser) -> Made:
    """``transport http { … }``."""
    made: Made = {}
    d.next()
    for word in d.block():
        if word in SETTINGS:
            SETTINGS[word].apply(d, made)
        elif word == "tls":
            made.setdefault("tls", {})
        elif word == "tls_client_auth":
            made.setdefault("tls", {}).update(_client_auth(d))
        elif word == "keepalive":
            made.setdefault("keep_alive", {}).update(_keepalive(d))
        elif word == "compression":
            if d.next_arg() and d.val == "off":
                made["compression"] = False
        elif word == "forward_proxy_url":
            made["network_proxy"] = {"from": "url", "url": d.arg()}
        else:
            raise d.error(f"unrecognized subdirective {word}")
    return made


def _client_auth(d: Dispenser) -> Made:
    args = d.rest()
    if len(args) == 1:
        return {"client_certificate_automate": args[0]}
    if len(args) == 2:
        return {"client_certificate_file": args[0], "client_certificate_key_file": args[1]}
    raise d.arg_error()


def _keepalive(d: Dispenser) -> Made:
    value = d.arg()
    if value == "off":
        return {"enabled": False}
    d.prev()
    timeout = settings.duration("bad duration value '{value}': {error}")(d)
    return {"idle_timeout": timeout}


def _env(d: Dispenser) -> Made:
    name, value = d.exactly(2)
    return {name: value}


def _flag(d: Dispenser) -> bool:
    d.no_more()
    return True


FASTCGI = {
    "root": Setting("root", settings.text),
    "split": Setting("split_path", settings.texts),
    "resolve_root_symlink": Setting("resolve_root_symlink", _flag),
    "dial_timeout": Setting("dial_timeout", settings.duration(TIMEOUT)),
    "read_timeout": Setting("read_timeout", settings.duration(TIMEOUT)),
    "write_timeout": Setting("write_timeout", settings.duration(TIMEOUT)),
    "capture_stderr": Setting("capture_stderr", _flag),
}


def apply_fastcgi(d: Dispenser, word: str, made: Made) -> bool:
    """Read one setting of the FastCGI transport; return whether it is one."""
    if word == "env":
        made.setdefault("env", {}).update(_env(d))
    elif word in FASTCGI:
        FASTCGI[word].apply(d, made)
    else:
        return False
    return True


def read_fastcgi(d: Dispenser) -> Made:
    """``transport fastcgi { … }``."""
    made: Made = {}
    d.next()
    for word in d.block():
        if not apply_fastcgi(d, word, made):
            raise d.error(f"unrecognized subdirective {word}")
    return made


TRANSPORTS: Readers = {"http": read_http, "fastcgi": read_fastcgi}


def take_transport(d: Dispenser) -> tuple[str, Made]:
    """Return the name and the value of the transport that the next argument names."""
    d.arg()
    return read_value(d, "http.reverse_proxy.transport", TRANSPORTS)


__all__ = ["numbers", "read_block", "take_transport"]
