"""``servers [<address>] { … }``: options of the servers that listen there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quantum.caddyfile.context import State
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.matchers import PRIVATE_RANGES
from quantum.caddyfile.modules.namespaces import Readers, read_module, take_module
from quantum.caddyfile.modules.settings import Setting
from quantum.caddyfile.values import numbers

Made = dict[str, Any]


def servers(d: Dispenser, state: State) -> list[Made]:
    """Return all such options so far, with ``address`` and ``name`` beside the fields."""
    d.next()
    made: Made = {"address": ""}
    if d.next_arg():
        made["address"] = d.val
        d.no_more()
    for word in d.block():
        if word in SETTINGS:
            SETTINGS[word].apply(d, made)
        elif word in SPECIAL:
            SPECIAL[word](d, made)
        else:
            raise d.error(f"unrecognized servers option '{word}'")
    return [*state.options.get("servers", ()), made]


def _one(d: Dispenser) -> int:
    d.no_more()
    return 1


def _name(d: Dispenser, made: Made) -> None:
    if not made["address"]:
        raise d.error("cannot set a name for a server without a listener address")
    made["name"] = d.arg()


def _timeouts(d: Dispenser, made: Made) -> None:
    for word in d.block():
        if word in TIMEOUTS:
            TIMEOUTS[word].apply(d, made)
        elif word in IDLE:
            field, rate = IDLE[word]
            Setting(field, _duration(word)).apply(d, made)
            if d.next_arg():
                made[rate] = _rate(d, word)
        else:
            raise d.error(f"unrecognized timeouts option '{word}'")


def _duration(word: str) -> settings.Read:
    return settings.duration(f"parsing {word} timeout duration: {{error}}")


def _rate(d: Dispenser, word: str) -> int:
    try:
        return numbers.parse_int(d.val)
    except CaddyfileError as error:
        problem = error.problem.replace("Atoi", "ParseInt")
        raise d.error(f"parsing {word} min_rate bytes/second: {problem}") from None


TIMEOUTS = {
    "read_body": Setting("read_timeout", _duration("read_body")),
    "read_header": Setting("read_header_timeout", _duration("read_header")),
    "write": Setting("write_timeout", _duration("write")),
    "idle": Setting("idle_timeout", _duration("idle")),
    "write_max_chunk": Setting(
        "max_write_chunk", settings.size("parsing write_max_chunk: {error}")
    ),
}
IDLE = {
    "read_body_idle": ("read_idle_timeout", "read_min_rate"),
    "write_idle": ("write_idle_timeout", "write_min_rate"),
}


def _protocols(d: Dispenser, made: Made) -> None:
    for word in d.rest():
        if word not in {"h1", "h2", "h2c", "h3"}:
            raise d.error(f"unknown protocol '{word}': expected h1, h2, h2c, or h3")
        if word in made.get("protocols", ()):
            raise d.error(f"protocol {word} specified more than once")
        made.setdefault("protocols", []).append(word)
    if d.next_block(d.nesting):
        raise d.arg_error()


def _strict_sni(d: Dispenser, made: Made) -> None:
    if d.next_arg() and d.val not in {"on", "insecure_off"}:
        raise d.error("strict_sni_host only supports 'on' or 'insecure_off', got '" + d.val + "'")
    made["strict_sni_host"] = d.val != "insecure_off"


def _trusted_proxies(d: Dispenser, made: Made) -> None:
    made["trusted_proxies"] = take_module(d, "http.ip_sources", SOURCES, "source")


def _static(d: Dispenser) -> Made:
    d.next()
    ranges: list[str] = []
    for value in d.rest():
        ranges += PRIVATE_RANGES if value == "private_ranges" else [value]
    return {"ranges": ranges} if ranges else {}


SOURCES: Readers = {"static": _static}


def _zero_rtt(d: Dispenser, made: Made) -> None:
    if d.arg() != "off":
        raise d.error(f"unsupported 0rtt argument '{d.val}' (only 'off' is supported)")
    made["allow_0rtt"] = False


def _client_ip_headers(d: Dispenser, made: Made) -> None:
    for name in d.rest():
        if name in made.get("client_ip_headers", ()):
            raise d.error(f"client IP header {name} specified more than once")
        made.setdefault("client_ip_headers", []).append(name)


def _metrics(d: Dispenser, made: Made) -> None:
    d.no_more()
    found: Made = {}
    for word in d.block():
        if word != "per_host":
            raise d.error(f"unrecognized metrics option '{word}'")
        found["per_host"] = True
    made["metrics"] = found


def _wrappers(field: str, namespace: str) -> Callable[[Dispenser, Made], None]:
    def read(d: Dispenser, made: Made) -> None:
        found = made.setdefault(field, [])
        found += [read_module(d, namespace, WRAPPERS.get(field, {}), "wrapper") for _ in d.block()]

    return read


def _proxy_protocol(d: Dispenser) -> Made:
    made: Made = {}
    d.next()
    d.no_more()
    table = {
        "timeout": Setting(
            "timeout", settings.duration("parsing proxy_protocol timeout duration: {error}")
        ),
        "allow": Setting("allow", settings.any_texts, add=True),
        "deny": Setting("deny", settings.any_texts, add=True),
        "fallback_policy": Setting("fallback_policy", _policy),
    }
    for word in d.block():
        if word not in table:
            raise d.arg_error()
        table[word].apply(d, made)
    return made


def _policy(d: Dispenser) -> str:
    value = d.arg()
    if value.upper() not in {"IGNORE", "USE", "REJECT", "REQUIRE", "SKIP"}:
        raise d.error(f"{value} is invalid policy")
    return value.upper()


def _bare(d: Dispenser) -> Made:
    # Caddy reads no settings here either.
    d.next()
    return {}


WRAPPERS: dict[str, Readers] = {
    "listener_wrappers": {
        "proxy_protocol": _proxy_protocol,
        "http_redirect": _bare,
        "tls": _bare,
    }
}

SPECIAL: dict[str, Callable[[Dispenser, Made], None]] = {
    "name": _name,
    "listener_wrappers": _wrappers("listener_wrappers", "caddy.listeners"),
    "packet_conn_wrappers": _wrappers("packet_conn_wrappers", "caddy.packetconns"),
    "timeouts": _timeouts,
    "protocols": _protocols,
    "strict_sni_host": _strict_sni,
    "trusted_proxies": _trusted_proxies,
    "client_ip_headers": _client_ip_headers,
    "0rtt": _zero_rtt,
    "metrics": _metrics,
}
SETTINGS = {
    "keepalive_interval": Setting(
        "keepalive_interval", settings.duration("parsing keepalive interval duration: {error}")
    ),
    "keepalive_idle": Setting(
        "keepalive_idle", settings.duration("parsing keepalive idle duration: {error}")
    ),
    "keepalive_count": Setting(
        "keepalive_count", settings.integer("parsing keepalive count int: {error}")
    ),
    "max_header_size": Setting(
        "max_header_bytes", settings.size("parsing max_header_size: {error}")
    ),
    "enable_full_duplex": Setting("enable_full_duplex", settings.flag),
    "expected_underscore_headers": Setting("expected_underscore_headers", settings.texts, add=True),
    "expected_dot_headers": Setting("expected_dot_headers", settings.texts, add=True),
    "log_credentials": Setting("log_credentials", settings.flag),
    "trusted_proxies_strict": Setting("trusted_proxies_strict", _one),
    "trusted_proxies_unix": Setting("trusted_proxies_unix", settings.flag),
    "trace": Setting("trace", settings.flag),
}


def apply(found: dict[str, Made], options: Made) -> dict[str, Made]:
    """Give every server its options; return the servers by their final names."""
    given: list[Made] = options.get("servers", [])
    _refuse_repeated(given)
    ordered = sorted(given, key=lambda made: -len(made["address"]))
    named: dict[str, Made] = {}
    for name, server in found.items():
        made = next(
            (m for m in ordered if m["address"] in {"", *server["listen"]}),
            {},
        )
        server.update({k: v for k, v in made.items() if k not in BESIDE})
        for word, field in (("log_credentials", "should_log_credentials"), ("trace", "trace")):
            if made.get(word):
                server["logs"] = {**(server.get("logs") or {}), field: True}
        named[made.get("name") or name] = server
    return dict(sorted(named.items()))


BESIDE = frozenset({"address", "name", "log_credentials", "trace"})
"""What is no field of a server."""


def _refuse_repeated(given: list[Made]) -> None:
    names = [made["name"] for made in given if made.get("name")]
    for name in names:
        if names.count(name) > 1:
            raise CaddyfileError(
                f"applying global server options: cannot use duplicate server name '{name}'"
            )
