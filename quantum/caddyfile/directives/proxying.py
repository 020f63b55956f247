"""``reverse_proxy``: upstreams, load balancing, health, headers, responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from quantum.caddyfile.context import Context
from quantum.caddyfile.directives.intercepting import Responses
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.matchers import PRIVATE_RANGES, nested
from quantum.caddyfile.modules.responses import HeaderOps
from quantum.caddyfile.modules.settings import Setting
from quantum.caddyfile.modules.upstreams.addresses import parse_upstream
from quantum.caddyfile.modules.upstreams.selection import take_policy, take_source
from quantum.caddyfile.modules.upstreams.transports import take_transport
from quantum.caddyfile.values import numbers
from quantum.caddyfile.values.addresses import split_host_port
from quantum.caddyfile.values.encoding import compact, is_empty, module

DURATION = "bad duration value '{value}': {error}"
Extra = Callable[[Dispenser, str], bool]
"""Reads a word that the directive has beyond ``reverse_proxy``'s; returns whether it is one."""


def reverse_proxy(context: Context) -> dict[str, Any]:
    """``reverse_proxy [<upstreams…>] { … }``."""
    return ReverseProxy(context).read()


class ReverseProxy:
    """Reads one ``reverse_proxy``, or what is one at heart."""

    def __init__(self, context: Context, extra: Extra | None = None) -> None:
        self._context = context
        self._d = context.d
        self._extra = extra
        self.made: dict[str, Any] = {}
        self.request = HeaderOps(response=False)
        self.response = HeaderOps(response=False)
        self.responses = Responses(context)
        self._scheme = ""
        self._transport: dict[str, Any] | None = None
        self._transport_name = "http"

    def read(self) -> dict[str, Any]:
        """Return the handler."""
        d = self._d
        d.next()
        for upstream in d.rest():
            self._add(upstream)
        for word in d.block():
            self._word(word)
        self._finish_transport()
        self.finish()
        return self.made

    def finish(self) -> None:
        """Put headers and response routes in their places."""
        headers = compact(request=self.request.to_json(), response=self.response.to_json())
        if headers:
            self.made["headers"] = headers
        if found := self.responses.finish():
            self.made["handle_response"] = found

    def _word(self, word: str) -> None:
        d = self._d
        if self._extra is not None and self._extra(d, word):
            return
        if self.responses.takes(d, word):
            return
        if word in SPECIAL:
            SPECIAL[word](self)
        elif word in SETTINGS:
            SETTINGS[word].apply(d, self.made)
        else:
            raise d.error(f"unrecognized subdirective {word}")

    def take_upstreams(self) -> None:
        """Read ``to``."""
        for upstream in self._d.some():
            self._add(upstream)

    def _add(self, text: str) -> None:
        try:
            upstream = parse_upstream(text)
            self._check_scheme(upstream.scheme)
            dials = upstream.expand()
        except CaddyfileError as error:
            problem = self._d.error(f"parsing upstream '{text}': {error.problem}")
            raise problem from None
        self.made.setdefault("upstreams", []).extend({"dial": dial} for dial in dials)

    def _check_scheme(self, scheme: str) -> None:
        if scheme in {"ws", "wss"}:
            instead = "https" if scheme == "wss" else "http"
            raise CaddyfileError(
                f"the scheme {scheme}:// is only supported in browsers; use {instead}:// instead"
            )
        if scheme not in {"", "http", "https", "h2c"}:
            raise CaddyfileError(f"unsupported URL scheme {scheme}://")
        if self._scheme and scheme != self._scheme:
            raise CaddyfileError(
                "for now, all proxy upstreams must use the same scheme (transport protocol); "
                f"expecting '{self._scheme}://' but got '{scheme}://'"
            )
        self._scheme = scheme

    def take_dynamic(self) -> None:
        """Read ``dynamic``."""
        self.made["dynamic_upstreams"] = take_source(self._d)

    def take_selection(self) -> None:
        """Read ``lb_policy``."""
        balancing = self.made.setdefault("load_balancing", {})
        if "selection_policy" in balancing:
            raise self._d.error("load balancing selection policy already specified")
        balancing["selection_policy"] = take_policy(self._d)

    def take_retry_match(self) -> None:
        """Read ``lb_retry_match``."""
        try:
            found = nested(self._d)
        except CaddyfileError as error:
            raise self._d.error(f"failed to parse lb_retry_match: {error.problem}") from None
        balancing = self.made.setdefault("load_balancing", {})
        balancing.setdefault("retry_match", []).append(found)

    def take_trusted_proxies(self) -> None:
        """Read ``trusted_proxies``."""
        found = self.made.setdefault("trusted_proxies", [])
        while self._d.next_arg():
            found += PRIVATE_RANGES if self._d.val == "private_ranges" else [self._d.val]

    def take_header(self, ops: HeaderOps) -> None:
        """Read ``header_up`` or ``header_down`` into ``ops``."""
        d = self._d
        args = d.rest()
        if not 1 <= len(args) <= 3:
            raise d.arg_error()
        try:
            ops.apply(args[0], args[1] if len(args) > 1 else "", args[2] if len(args) > 2 else None)
        except CaddyfileError as error:
            raise d.error(error.problem) from None

    def take_health_port(self) -> None:
        """Read ``health_port``."""
        d = self._d
        d.arg()
        active = self.made.setdefault("health_checks", {}).setdefault("active", {})
        if active.get("upstream"):
            raise d.error("the 'health_port' subdirective is ignored if 'health_upstream' is used!")
        try:
            active["port"] = numbers.parse_int(d.val)
        except CaddyfileError as error:
            raise d.error(f"bad port number '{d.val}': {error.problem}") from None

    def take_transport_module(self) -> None:
        """Read ``transport``."""
        if "transport" in self.made:
            raise self._d.error("transport already specified")
        self._transport_name, self._transport = take_transport(self._d)

    def _finish_transport(self) -> None:
        d, scheme, transport = self._d, self._scheme, self._transport
        if transport is None and scheme in {"https", "h2c"}:
            transport = {}
        if transport is None:
            return
        if self._transport_name == "http":
            if scheme == "https":
                transport.setdefault("tls", {})
            if scheme == "http" and "tls" in transport:
                raise d.error(
                    "upstream address scheme is HTTP but transport is configured for "
                    "HTTP+TLS (HTTPS)"
                )
            if scheme == "h2c":
                transport["versions"] = ["h2c", "2"]
        elif scheme == "https":
            raise d.error(
                "upstreams are configured for HTTPS but transport module does not support TLS: "
                "*fastcgi.Transport"
            )
        kept = _without_empty(transport)
        if kept or self._transport_name != "http":
            self.made["transport"] = module(kept, "protocol", self._transport_name)


def _without_empty(made: dict[str, Any]) -> dict[str, Any]:
    """Leave out empty values, but not the objects and the False that say something."""
    return {
        name: _without_empty(value) if isinstance(value, dict) else value
        for name, value in made.items()
        if value is False or isinstance(value, dict) or not is_empty(value)
    }


def _status(d: Dispenser, value: str) -> int:
    shown = value[0] if len(value) == 3 and value.endswith("xx") else value
    try:
        return numbers.parse_int(shown)
    except CaddyfileError as error:
        raise d.error(f"bad status value '{d.val}': {error.problem}") from None


def _health_upstream(d: Dispenser) -> str:
    value = d.arg()
    try:
        _, port = split_host_port(value)
    except CaddyfileError as error:
        raise d.error(f"health_upstream is malformed '{value}': {error.problem}") from None
    try:
        numbers.parse_int(port)
    except CaddyfileError as error:
        raise d.error(f"bad port number '{value}': {error.problem}") from None
    return value


def _health_headers(d: Dispenser) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in d.block():
        found.setdefault(name, []).extend(d.rest() or [""])
    return found


def _buffer(d: Dispenser) -> int:
    value = d.arg()
    if value == "unlimited":
        return -1
    try:
        return numbers.parse_size(value)
    except CaddyfileError as error:
        raise d.error(f"invalid byte size '{value}': {error.problem}") from None


def _interval(d: Dispenser) -> int:
    """Read a duration that may be a bare number of nanoseconds."""
    value = d.arg()
    try:
        return numbers.parse_int(value)
    except CaddyfileError:
        pass
    try:
        return numbers.parse_duration(value)
    except CaddyfileError as error:
        raise d.error(f"bad duration value '{value}': {error.problem}") from None


ACTIVE, PASSIVE, BALANCING = "health_checks.active.", "health_checks.passive.", "load_balancing."

SETTINGS: Mapping[str, Setting] = {
    "lb_retries": Setting(
        BALANCING + "retries", settings.integer("bad lb_retries number '{value}': {error}")
    ),
    "lb_try_duration": Setting(
        BALANCING + "try_duration", settings.duration("bad duration value {value}: {error}")
    ),
    "lb_try_interval": Setting(
        BALANCING + "try_interval", settings.duration("bad interval value '{value}': {error}")
    ),
    "health_uri": Setting(ACTIVE + "uri", settings.text),
    "health_path": Setting(ACTIVE + "path", settings.text),
    "health_upstream": Setting(ACTIVE + "upstream", _health_upstream),
    "health_headers": Setting(ACTIVE + "headers", _health_headers),
    "health_method": Setting(ACTIVE + "method", settings.text),
    "health_request_body": Setting(ACTIVE + "body", settings.text),
    "health_interval": Setting(
        ACTIVE + "interval", settings.duration("bad interval value {value}: {error}")
    ),
    "health_timeout": Setting(
        ACTIVE + "timeout", settings.duration("bad timeout value {value}: {error}")
    ),
    "health_status": Setting(ACTIVE + "expect_status", lambda d: _status(d, d.arg())),
    "health_body": Setting(ACTIVE + "expect_body", settings.text),
    "health_follow_redirects": Setting(ACTIVE + "follow_redirects", settings.flag),
    "health_passes": Setting(
        ACTIVE + "passes", settings.integer("invalid passes count '{value}': {error}")
    ),
    "health_fails": Setting(
        ACTIVE + "fails", settings.integer("invalid fails count '{value}': {error}")
    ),
    "max_fails": Setting(
        PASSIVE + "max_fails", settings.integer("invalid maximum fail count '{value}': {error}")
    ),
    "fail_duration": Setting(PASSIVE + "fail_duration", settings.duration(DURATION)),
    "unhealthy_request_count": Setting(
        PASSIVE + "unhealthy_request_count",
        settings.integer("invalid maximum connection count '{value}': {error}"),
    ),
    "unhealthy_status": Setting(
        PASSIVE + "unhealthy_status",
        lambda d: [_status(d, value) for value in d.some()],
        add=True,
    ),
    "unhealthy_latency": Setting(PASSIVE + "unhealthy_latency", settings.duration(DURATION)),
    "flush_interval": Setting("flush_interval", _interval),
    "request_buffers": Setting("request_buffers", _buffer),
    "response_buffers": Setting("response_buffers", _buffer),
    "stream_buffer_size": Setting("stream_buffer_size", _buffer),
    "stream_timeout": Setting("stream_timeout", _interval),
    "stream_close_delay": Setting("stream_close_delay", _interval),
    "method": Setting("rewrite.method", settings.text_only),
    "rewrite": Setting("rewrite.uri", settings.text_only),
    "verbose_logs": Setting("verbose_logs", settings.loose_flag),
}

SPECIAL: Mapping[str, Callable[[ReverseProxy], None]] = {
    "to": ReverseProxy.take_upstreams,
    "dynamic": ReverseProxy.take_dynamic,
    "lb_policy": ReverseProxy.take_selection,
    "lb_retry_match": ReverseProxy.take_retry_match,
    "trusted_proxies": ReverseProxy.take_trusted_proxies,
    "header_up": lambda proxy: proxy.take_header(proxy.request),
    "header_down": lambda proxy: proxy.take_header(proxy.response),
    "health_port": ReverseProxy.take_health_port,
    "transport": ReverseProxy.take_transport_module,
}
