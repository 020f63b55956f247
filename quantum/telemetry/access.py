"""The access log: one record per request, in Caddy's JSON shape, so that what reads its logs reads ours.

A server without ``logs`` has no AccessLog at all: the log costs nothing when it is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from quantum.telemetry.log import PLAIN

LOGGER = "http.log.access"
CREDENTIALS = frozenset({"Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie"})
"""Fields shown as ["REDACTED"] unless the server says ``should_log_credentials``."""

EXTRA_VAR = "access.extra"
"""The variable of a request with further fields of its record (``http.handlers.log_append``)."""


class TlsView(Protocol):
    """What the record tells of TLS."""

    version: str
    cipher: str
    protocol: str
    server_name: str
    resumed: bool


class AccessLog:
    """The access log of one server. ``record`` never raises: a log cannot fail a request."""

    def __init__(
        self,
        default_logger: str = "",
        loggers: Mapping[str, Sequence[str]] | None = None,
        skip_hosts: Iterable[str] = (),
        *,
        skip_unmapped_hosts: bool = False,
        with_credentials: bool = False,
    ) -> None:
        """``loggers`` maps hosts to logger names ("" or none: not logged); wildcards stand for a label."""
        self._default = default_logger
        self._loggers = {host.lower(): tuple(names) for host, names in (loggers or {}).items()}
        self._skipped = frozenset(host.lower() for host in skip_hosts)
        self._skips_unmapped = skip_unmapped_hosts
        self._with_credentials = with_credentials
        self._made: dict[str, Any] = {}

    def record(
        self, request: Any, response: Any | None, status: int, sent: int, seconds: float
    ) -> None:
        """Write the record of a ``Request`` that ended (the kernel's types; this floor is below theirs)."""
        names = self._names(request.authority)
        if not names:
            return
        try:
            facts = self._facts(request, response, status, sent, seconds)
            for name in names:
                log = self._logger(name)
                (log.error if status >= 500 else log.info)("handled request", **facts)
        except Exception:  # noqa: BLE001 - as promised above
            structlog.get_logger(LOGGER).warning("access_record_failed", exc_info=True)

    def _names(self, authority: str) -> tuple[str, ...]:
        """Return the loggers for a host; one of them may be "" (the plain logger)."""
        host = _host(authority)
        if host in self._skipped or f"*.{host.partition('.')[2]}" in self._skipped:
            return ()
        names = self._loggers.get(host)
        if names is None:
            names = self._loggers.get(f"*.{host.partition('.')[2]}")
        if names is not None:
            return names
        return () if self._skips_unmapped else (self._default,)

    def _logger(self, name: str) -> Any:
        log = self._made.get(name)
        if log is None:
            log = self._made[name] = structlog.get_logger(f"{LOGGER}.{name}" if name else LOGGER)
        return log

    def _facts(
        self, request: Any, response: Any | None, status: int, sent: int, seconds: float
    ) -> dict[str, Any]:
        original = request.original
        method, path, query = original or (request.method, request.path, request.query)
        about: dict[str, Any] = {
            "remote_ip": request.connection.peer[0],
            "remote_port": str(request.connection.peer[1]),
            "client_ip": request.client_ip,
            "proto": request.version,
            "method": method,
            "host": request.authority,
            "uri": path if query is None else f"{path}?{query}",
            "headers": self._fields(request.headers),
        }
        if request.connection.tls is not None:
            about["tls"] = _tls(request.connection.tls)
        facts = {
            "request": about,
            "bytes_read": _length(request.body),
            "user_id": request.vars.get("http.auth.user.id", "") if request.has_vars else "",
            "duration": round(seconds, 9),
            "size": sent,
            "status": status,
            "resp_headers": {} if response is None else self._fields(response.headers),
            "request_id": request.id,
        }
        if self._with_credentials:
            facts[PLAIN] = True
        if request.has_vars and EXTRA_VAR in request.vars:
            facts.update(request.vars[EXTRA_VAR])
        return facts

    def _fields(self, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
        shown: dict[str, list[str]] = {}
        for raw, value in headers:
            name = raw.decode("latin-1").title()
            if name in CREDENTIALS and not self._with_credentials:
                shown[name] = ["REDACTED"]
            else:
                shown.setdefault(name, []).append(value.decode("utf-8", "replace"))
        return shown


def _host(authority: str) -> str:
    host, colon, port = authority.rpartition(":")
    return (host if colon and port.isdigit() else authority).strip("[]").lower()


def _length(body: Any) -> int:
    return len(body) if isinstance(body, bytes) else int(body.length or 0)


def _tls(facts: TlsView) -> dict[str, Any]:
    return {
        "resumed": facts.resumed,
        "version": facts.version,
        "cipher_suite": facts.cipher,
        "proto": facts.protocol,
        "server_name": facts.server_name,
    }
