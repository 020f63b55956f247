"""``http.handlers.tracing``: a span around the rest of the chain.

The upstream gets this span as its parent; later handlers see ``{http.vars.trace_id}`` and ``{http.vars.span_id}``, and the access
log has ``traceID`` and ``spanID`` (Caddy). Attributes are those of OpenTelemetry's HTTP conventions. A request that is not sampled has
ids as well, and passes that decision on.
"""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from quantum.http.failure import status_of
from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.http.placeholders.request import split_host
from quantum.http.placeholders.surroundings import environment_value
from quantum.modules.lifetime import Provision
from quantum.telemetry.access import EXTRA_VAR
from services.edge.tracing.config import TracingConfig
from services.edge.tracing.context import (
    MAX_STATE,
    Parent,
    new_span_id,
    new_trace_id,
    read_parent,
    traceparent,
)
from services.edge.tracing.exporter import Exporter, Span
from services.edge.tracing.settings import Settings, read_settings

DEFAULT_SPAN = "handler"
MAX_ATTRIBUTE = 1024
"""Characters of an attribute: clients choose some of them."""
TRACE_ID_DIGITS = 16
"""The last digits of a trace id decide by ratio (OpenTelemetry, TraceIdRatioBased)."""


class Tracer:
    """What all handlers of a process share: its settings and where spans go. The exporter starts with the first handler."""

    def __init__(self, metrics: CollectorRegistry) -> None:
        self._dropped = Counter(
            "quantum_edge_spans_dropped_total",
            "Spans that no collector took, or that were too many at a time",
            registry=metrics,
        )
        self._settings: Settings | None = None
        self._exporter: Exporter | None = None

    @property
    def settings(self) -> Settings:
        """What the environment says; ValueError names what cannot be obeyed."""
        if self._settings is None:
            self._settings = read_settings(environment_value)
        return self._settings

    def export(self, span: Span) -> None:
        """Send a span, some time."""
        if not self.settings.url:
            return
        if self._exporter is None:
            self._exporter = Exporter(self.settings, self._dropped)
        self._exporter.add(span)

    def close(self) -> None:
        """Send what waits; blocks for seconds at most."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.close()


class Tracing:
    """Traces what passes."""

    def __init__(self, config: TracingConfig, provision: Provision) -> None:
        self._tracer: Tracer = provision.get(Tracer)
        settings = self._tracer.settings  # read now: what is wrong there refuses the configuration
        self._follows_parent, self._ratio = settings.follows_parent, settings.ratio
        self._name = compile_template(config.span or DEFAULT_SPAN)
        self._attributes = [
            (key, compile_template(value)) for key, value in config.span_attributes.items()
        ]

    def link(self, following: Next) -> Next:
        """Return the link."""

        async def traced(request: Request) -> Response:
            parent = read_parent(request.headers.get(b"traceparent"))
            trace_id = parent.trace_id if parent is not None else new_trace_id()
            span_id, sampled = new_span_id(), self._is_sampled(parent, trace_id)
            _tell(request, trace_id, span_id, sampled=sampled, continues=parent is not None)
            if not sampled:
                return await following(request)
            start, method, target = time.time_ns(), request.method, request.target
            status = 500
            try:
                response = await following(request)
                status = response.status
                return response
            except Exception as error:
                status = status_of(error)
                raise
            finally:
                span = Span(
                    trace_id, span_id, parent.span_id if parent is not None else "",
                    self._name(request)[:MAX_ATTRIBUTE], start, time.time_ns(),
                    self._facts(request, method, target, status), status >= 500,
                )  # fmt: skip
                self._tracer.export(span)

        return traced

    def _is_sampled(self, parent: Parent | None, trace_id: str) -> bool:
        if parent is not None and self._follows_parent:
            return parent.sampled
        if self._ratio >= 1.0:
            return True
        return bool(int(trace_id[-TRACE_ID_DIGITS:], 16) >> 1 < self._ratio * 2**63)

    def _facts(
        self, request: Request, method: str, target: str, status: int
    ) -> dict[str, str | int]:
        """Return the attributes (OpenTelemetry, "Semantic conventions for HTTP spans")."""
        path, mark, query = target.partition("?")
        host, port = split_host(request.authority)
        peer = request.connection.peer
        facts: dict[str, str | int] = {
            "http.request.method": method,
            "http.response.status_code": status,
            "url.scheme": request.connection.scheme,
            "url.path": path[:MAX_ATTRIBUTE],
            "server.address": host[:MAX_ATTRIBUTE],
            "client.address": request.client_ip,
            "network.peer.address": peer[0],
            "network.peer.port": peer[1],
            "network.protocol.version": request.version.removeprefix("HTTP/").removesuffix(".0"),
        }
        if mark:
            facts["url.query"] = query[:MAX_ATTRIBUTE]
        if port.isdecimal():
            facts["server.port"] = int(port[:5])
        agent = request.headers.get(b"user-agent")
        if agent is not None:
            facts["user_agent.original"] = agent.decode("utf-8", "replace")[:MAX_ATTRIBUTE]
        for key, value in self._attributes:
            facts[key] = value(request)[:MAX_ATTRIBUTE]
        return facts


def _tell(request: Request, trace_id: str, span_id: str, *, sampled: bool, continues: bool) -> None:
    """Tell later handlers, the access log and who comes next."""
    variables: dict[str, Any] = request.vars
    variables["trace_id"], variables["span_id"] = trace_id, span_id
    variables.setdefault(EXTRA_VAR, {}).update({"traceID": trace_id, "spanID": span_id})
    headers = request.headers
    headers.set(b"traceparent", traceparent(trace_id, span_id, sampled=sampled))
    state = headers.joined(b"tracestate")
    if state is not None and (not continues or len(state) > MAX_STATE):
        headers.remove(b"tracestate")  # of no trace, or more than has to be passed on
