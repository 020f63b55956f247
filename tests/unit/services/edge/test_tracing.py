"""Tracing: ids go on to who comes next, spans go to a collector, and no request waits for it."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client import CollectorRegistry, Counter

from quantum.errors import HttpError
from quantum.testing.routing import make_compiler, make_request, parse_routes
from services.edge.manifest import MANIFEST
from services.edge.tracing import exporter
from services.edge.tracing.context import read_parent
from services.edge.tracing.exporter import Exporter, Span
from services.edge.tracing.handler import Tracer
from services.edge.tracing.settings import read_settings

PATIENCE = 30
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """A collector of OTLP over HTTP: keeps the spans, answers what it is told to."""

    def __init__(self, *statuses):
        self.documents = []
        self.fields = []
        self.heard = threading.Condition()
        left = list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                data = handler.rfile.read(int(handler.headers["Content-Length"]))
                status = left.pop(0) if left else 200
                with self.heard:
                    if status == 200:
                        self.documents.append(json.loads(data))
                        self.fields.append((handler.path, dict(handler.headers)))
                        self.heard.notify_all()
                handler.send_response(status)
                handler.end_headers()

            def log_message(handler, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def spans(self):
        with self.heard:
            assert self.heard.wait_for(lambda: self.documents, PATIENCE)
            return [
                s
                for d in self.documents
                for r in d["resourceSpans"]
                for c in r["scopeSpans"]
                for s in c["spans"]
            ]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector():
    found = Collector()
    with contextlib.closing(found):
        yield found


def tracer_with(**environment):
    tracer = Tracer(CollectorRegistry())
    tracer._settings = read_settings(lambda name: environment.get(name, ""))
    return tracer


def chain(tracer, handler, config=None):
    routes = [{"handle": [{"handler": "tracing", **(config or {})}, handler]}]
    return make_compiler(resources={Tracer: tracer}).compile(parse_routes(MANIFEST.modules, routes))


SAY = {
    "handler": "static_response",
    "body": "{http.vars.trace_id} {http.vars.span_id} {http.request.header.traceparent}",
}


async def test_a_trace_goes_on_with_this_span_as_the_next_ones_parent(collector):
    tracer = tracer_with(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_SERVICE_NAME="shop",
        OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b",
    )
    config = {
        "span": "{http.request.method} page",
        "span_attributes": {"user": "{http.request.header.X-User}"},
    }
    request = make_request(
        "GET", "/a?b=1", ("traceparent", PARENT), ("tracestate", "v=1"), ("X-User", "ann")
    )
    response = await chain(tracer, SAY, config)(request)
    tracer.close()
    trace_id, span_id, told = response.body.decode().split()
    assert trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert told == f"00-{trace_id}-{span_id}-01"
    assert request.headers.get(b"tracestate") == b"v=1"
    (span,) = collector.spans()
    assert (span["traceId"], span["spanId"], span["parentSpanId"], span["name"]) == (
        trace_id,
        span_id,
        "b7ad6b7169203331",
        "GET page",
    )
    assert 0 < int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
    attributes = {a["key"]: a["value"] for a in span["attributes"]}
    assert attributes["http.response.status_code"] == {"intValue": "200"}
    assert attributes["url.path"] == {"stringValue": "/a"}
    assert attributes["user"] == {"stringValue": "ann"}
    assert span["status"] == {}
    resource = collector.documents[0]["resourceSpans"][0]["resource"]["attributes"]
    assert resource == [{"key": "service.name", "value": {"stringValue": "shop"}}]
    path, fields = collector.fields[0]
    assert path == "/v1/traces"
    assert fields["x-key"] == "a b"


async def test_without_a_parent_a_trace_begins_and_a_failure_is_told(collector):
    tracer = tracer_with(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/own")
    request = make_request("GET", "/", ("tracestate", "v=1"))
    with pytest.raises(HttpError):
        await chain(tracer, {"handler": "error", "status_code": 503})(request)
    tracer.close()
    (span,) = collector.spans()
    assert "parentSpanId" not in span
    assert span["status"] == {"code": 2}
    assert {"key": "http.response.status_code", "value": {"intValue": "503"}} in span["attributes"]
    assert request.headers.get(b"tracestate") is None
    assert collector.fields[0][0] == "/own"


@pytest.mark.parametrize(
    ("environment", "parent", "flag"),
    [
        ({}, PARENT[:-1] + "0", "00"), ({"OTEL_TRACES_SAMPLER": "always_on"}, PARENT[:-1] + "0", "01"), ({"OTEL_TRACES_SAMPLER": "always_off"}, PARENT, "00"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, PARENT, "01"), ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, None, "00"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, PARENT, "00"),
    ],
)  # fmt: skip
async def test_who_is_sampled_says_the_parent_or_the_environment(environment, parent, flag):
    tracer = tracer_with(OTEL_TRACES_EXPORTER="none", **environment)
    request = make_request("GET", "/", *([("traceparent", parent)] if parent else []))
    response = await chain(tracer, SAY)(request)
    assert response.body.decode().endswith(f"-{flag}")


@pytest.mark.parametrize(
    "value",
    [b"", b"00-0-1-01", PARENT.encode() + b"-x", PARENT.encode().replace(b"00-", b"ff-", 1), PARENT.upper().encode(),
     b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01"],
)  # fmt: skip
def test_a_parent_that_is_not_well_formed_is_none(value):
    assert read_parent(value) is None


def test_a_parent_of_a_later_version_is_one():
    assert read_parent(PARENT.replace("00-", "01-", 1).encode() + b"-more").sampled


@pytest.mark.parametrize(
    "environment",
    [{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, {"OTEL_TRACES_SAMPLER": "some"},
     {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, {"OTEL_RESOURCE_ATTRIBUTES": "x"}, {"OTEL_TRACES_EXPORTER": "zipkin"},
     {"OTEL_EXPORTER_OTLP_TIMEOUT": "1s"}],
)  # fmt: skip
def test_an_environment_that_cannot_be_obeyed_is_an_error_that_names_it(environment):
    with pytest.raises(ValueError, match=list(environment)[-1]):
        read_settings(lambda name: environment.get(name, ""))


def span(number=0):
    return Span("a" * 32, "b" * 16, "", f"span {number}", 1, 2, {}, failed=False)


def exporting(url):
    dropped = Counter("dropped", "x", registry=CollectorRegistry())
    settings = read_settings(lambda name: url if name == "OTEL_EXPORTER_OTLP_ENDPOINT" else "")
    return Exporter(settings, dropped), dropped


def test_a_collector_that_is_busy_is_asked_again():
    with contextlib.closing(Collector(503, 429)) as collector:
        sending, dropped = exporting(collector.url)
        for number in range(exporter.GROUP):
            sending.add(span(number))
        assert len(collector.spans()) == exporter.GROUP
        sending.close()
    assert dropped._value.get() == 0


def test_a_collector_that_is_away_holds_nobody_up_and_costs_spans_that_are_counted():
    with contextlib.closing(Collector()) as collector:
        url = collector.url
    sending, dropped = exporting(url)
    for number in range(exporter.MAX_WAITING + 1000):
        sending.add(span(number))
    sending.close()
    assert dropped._value.get() >= 1000
