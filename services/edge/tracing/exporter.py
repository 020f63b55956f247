"""Sends spans to a collector, from a thread and in groups: a request never waits for it.

OTLP 1.x over HTTP, JSON (opentelemetry-proto, "OTLP/HTTP"). A group that cannot be sent is tried again where the
protocol says so (429, 502, 503, 504, no connection); what then still waits is bounded, the rest dropped and counted.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog
from prometheus_client import Counter

from services.edge.tracing.settings import Settings

MAX_WAITING = 2048
GROUP = 512
INTERVAL_SECONDS = 5.0
"""Defaults of OpenTelemetry's batch processor: queue, group, delay."""
ATTEMPTS = 4
CLOSE_SECONDS = 3.0
RETRIED = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Span:
    """A request that ended; times in nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start: int
    end: int
    attributes: dict[str, str | int]
    failed: bool


class Exporter:
    """A queue and its thread. ``add`` never waits and never fails."""

    def __init__(self, settings: Settings, dropped: Counter) -> None:
        self._settings = settings
        self._target = urlsplit(settings.url)
        self._spans: deque[Span] = deque()
        self._changed = threading.Condition()
        self._ends_at: float | None = None
        self._is_away = False
        self._log = structlog.get_logger("http.handlers.tracing")
        self._dropped = dropped
        self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)
        self._thread.start()

    def add(self, span: Span) -> None:
        """Queue a span, or drop it when too many wait."""
        with self._changed:
            if len(self._spans) >= MAX_WAITING:
                self._dropped.inc()
                return
            self._spans.append(span)
            if len(self._spans) >= GROUP:
                self._changed.notify()

    def close(self) -> None:
        """Send what waits, within CLOSE_SECONDS; returns when it is done."""
        with self._changed:
            self._ends_at = time.monotonic() + CLOSE_SECONDS
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS + 1)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._ends_at is None and len(self._spans) < GROUP:
                    self._changed.wait(INTERVAL_SECONDS)
                is_last = self._ends_at is not None
                group = [self._spans.popleft() for _ in range(min(GROUP, len(self._spans)))]
                is_last = is_last and not self._spans
            if group and not self._delivered(group):
                self._dropped.inc(len(group))
            if is_last or self._is_over():
                return

    def _is_over(self) -> bool:
        return self._ends_at is not None and time.monotonic() >= self._ends_at

    def _delivered(self, group: list[Span]) -> bool:
        data = json.dumps(document(group, self._settings.resource)).encode()
        for attempt in range(ATTEMPTS):
            try:
                status = self._post(data)
            except (OSError, http.client.HTTPException) as error:
                self._tell(str(error) or type(error).__name__)
            else:
                if status < 400:
                    self._is_away = False
                    return True
                self._tell(f"status {status}")
                if status not in RETRIED:
                    return False
            if self._is_over():
                return False
            with self._changed:
                self._changed.wait_for(lambda: self._ends_at is not None, 0.5 * 2**attempt)
        return False

    def _tell(self, problem: str) -> None:
        if not self._is_away:
            self._is_away = True
            self._log.warning("spans_not_sent", url=self._settings.url, reason=problem)

    def _post(self, data: bytes) -> int:
        target, timeout = self._target, self._settings.timeout
        assert target.hostname is not None
        connection: http.client.HTTPConnection
        if target.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                target.hostname, target.port, timeout=timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(target.hostname, target.port, timeout=timeout)
        try:
            path = (target.path or "/") + (f"?{target.query}" if target.query else "")
            headers = {"Content-Type": "application/json", **dict(self._settings.headers)}
            connection.request("POST", path, data, headers)
            response = connection.getresponse()
            response.read(65536)
            return response.status
        finally:
            connection.close()


def document(spans: list[Span], resource: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return the request of OTLP for spans (ExportTraceServiceRequest)."""
    scope = {"scope": {"name": "quantum"}, "spans": [_span(span) for span in spans]}
    about = {"attributes": [_attribute(key, value) for key, value in resource]}
    return {"resourceSpans": [{"resource": about, "scopeSpans": [scope]}]}


def _span(span: Span) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": 2,  # SPAN_KIND_SERVER
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": [_attribute(key, value) for key, value in span.attributes.items()],
        "status": {"code": 2} if span.failed else {},
    }
    if span.parent_id:
        shown["parentSpanId"] = span.parent_id
    return shown


def _attribute(key: str, value: str | int) -> dict[str, Any]:
    kind = {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
    return {"key": key, "value": kind}
