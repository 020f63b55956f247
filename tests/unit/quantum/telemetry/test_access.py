"""The access log has Caddy's shape, hides credentials, and never fails a request."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request, Response, TlsFacts
from quantum.telemetry.access import AccessLog

TLS = TlsFacts("tls1.3", "TLS_AES_128_GCM_SHA256", "a.example", "h2")


def request(authority: str = "a.example") -> Request:
    fields = [(b"accept", b"*/*"), (b"cookie", b"sid=1"), (b"x-a", b"1"), (b"x-a", b"\xff")]
    facts = ConnectionFacts(("192.0.2.7", 4711), ("192.0.2.1", 443), "https", TLS)
    return Request("GET", "https", authority, "/p", "q", Headers(fields), b"abc", facts)


def record(log: AccessLog, status: int = 200, **about: Any) -> list[dict[str, Any]]:
    response = Response(status, Headers([(b"set-cookie", b"sid=2"), (b"etag", b"x")]))
    with capture_logs() as entries:
        log.record(request(**about), response, status, 5, 0.25)
    return list(entries)


def test_the_record_is_caddys() -> None:
    (entry,) = record(AccessLog())
    asked = entry["request"]
    assert entry["event"] == "handled request"
    assert entry["log_level"] == "info"
    assert (entry["status"], entry["size"], entry["duration"]) == (200, 5, 0.25)
    assert entry["bytes_read"] == 3
    assert asked["remote_ip"] == asked["client_ip"] == "192.0.2.7"
    assert asked["remote_port"] == "4711"
    assert (asked["method"], asked["host"], asked["uri"]) == ("GET", "a.example", "/p?q")
    assert asked["headers"]["X-A"] == ["1", "\ufffd"]
    assert asked["tls"]["server_name"] == "a.example"
    assert entry["resp_headers"]["Etag"] == ["x"]


def test_credentials_are_hidden_unless_the_server_says_otherwise() -> None:
    (entry,) = record(AccessLog())
    assert entry["request"]["headers"]["Cookie"] == ["REDACTED"]
    assert entry["resp_headers"]["Set-Cookie"] == ["REDACTED"]
    (entry,) = record(AccessLog(with_credentials=True))
    assert entry["request"]["headers"]["Cookie"] == ["sid=1"]


def test_a_rewritten_request_is_logged_as_it_came() -> None:
    asked = request()
    asked.keep_original()
    asked.path, asked.method = "/rewritten", "POST"
    with capture_logs() as entries:
        AccessLog().record(asked, None, 499, 0, 0.0)
    assert entries[0]["request"]["uri"] == "/p?q"
    assert entries[0]["request"]["method"] == "GET"


def test_failures_are_errors() -> None:
    assert record(AccessLog(), 503)[0]["log_level"] == "error"


@pytest.mark.parametrize(
    ("authority", "count"),
    [("skip.example", 0), ("SKIP.example:8443", 0), ("a.wild.example", 0), ("a.example", 1),
     ("two.example", 2), ("silent.example", 0)],
)  # fmt: skip
def test_hosts_decide_whether_and_where(authority: str, count: int) -> None:
    log = AccessLog(
        loggers={"two.example": ["x", "y"], "silent.example": []},
        skip_hosts=["skip.example", "*.wild.example"],
    )
    assert len(record(log, authority=authority)) == count


def test_hosts_without_a_logger_may_be_skipped() -> None:
    log = AccessLog(loggers={"a.example": ["x"]}, skip_unmapped_hosts=True)
    assert len(record(log)) == 1
    assert record(log, authority="b.example") == []


def test_a_record_that_cannot_be_made_fails_nothing() -> None:
    broken = request()
    broken.headers = None  # type: ignore[assignment]
    with capture_logs() as entries:
        AccessLog().record(broken, None, 200, 0, 0.0)
    assert [entry["event"] for entry in entries] == ["access_record_failed"]
