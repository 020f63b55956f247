"""What both programs are tried with: forwarding, fields, streams, upgrades, retries, passive and active health."""

from __future__ import annotations

from typing import Any

from tests.behaviour.programs import Ask, Case

FIRST = {"selection_policy": {"policy": "first"}}
ROUND = {"selection_policy": {"policy": "round_robin"}}
CHAIN = (
    ("X-Forwarded-For", "198.51.100.7, 10.0.0.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "a.example"),
)
HOPS = (
    ("Connection", "X-Private, keep-alive"), ("X-Private", "1"), ("Keep-Alive", "timeout=1"), ("TE", "trailers, gzip"),
    ("Proxy-Connection", "close"), ("Proxy-Authorization", "Basic x"), ("Via", "1.0 outer"), ("Accept-Encoding", "br"),
    ("User-Agent", "tester"),
)  # fmt: skip
UP = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
      ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Protocol", "chat"))  # fmt: skip


def forwarding() -> list[Case]:
    """What is sent on, and what comes back."""
    trusting = {"trusted_proxies": ["127.0.0.0/8"]}
    asks = (
        Ask(), Ask("HEAD", "/a?b=c"), Ask("OPTIONS", "/x"), Ask(target="/a%2Fb//c/../d?x=%20&y"), Ask("DELETE", "/x"),
        Ask("POST", "/x", body="hello"), Ask("PUT", "/x"), Ask("PURGE", "/x"),
    )  # fmt: skip
    return [
        Case("requests", {}, asks),
        Case("options of the server", {}, (Ask("OPTIONS", "*"),), differs="options-star"),
        Case("chunked request", {}, (Ask("POST", "/x", body="hello", chunked=True),), differs="known-length"),
        Case("no accept-encoding", {}, (Ask(fields=(("Accept-Encoding", ""),)),), differs="accept-encoding"),
        Case("an answer without a type", {}, (Ask(do="untyped"),), differs="no-sniffing"),
        Case("client says where it comes from", {}, (Ask(fields=CHAIN),)),
        Case("trusted chain", trusting, (Ask(fields=CHAIN), Ask())),
        Case("hop by hop", {}, (Ask(fields=HOPS),)),
        Case("host kept", {}, (Ask(fields=(("Host", "Other.Example:81"),)),)),
        Case("cookies and repeated fields", {}, (Ask(fields=(("Cookie", "a=1"), ("Cookie", "b=2"), ("X-A", "1"), ("X-A", "2"))),)),
        Case("answer's fields", {}, (Ask(do="fields"),)),
        Case("statuses", {}, tuple(Ask(do=f"status {s}") for s in (201, 204, 301, 404, 500, 503, 599))),
        Case("not modified", {}, (Ask(do="status 304"),), differs="not-modified"),
        Case("redirect passes", {}, (Ask(do="redirect http://elsewhere/"),)),
        Case("header operations", {"headers": {
            "request": {"set": {"X-S": ["{http.request.method}"], "Host": ["h.example"]}, "add": {"X-A": ["new"]}, "delete": ["X-D*"],
                        "replace": {"X-R": [{"search_regexp": "o+", "replace": "0"}]}},
            "response": {"set": {"X-B": ["{http.reverse_proxy.upstream.hostport}"]}, "delete": ["X-Backend"]},
        }}, (Ask(fields=(("X-A", "old"), ("X-D1", "1"), ("X-R", "foo"))),)),
        Case("response operations by status", {"headers": {"response": {"set": {"X-B": ["bad"]}, "require": {"status_code": [5]}}}},
             (Ask(), Ask(do="status 502"))),
        Case("upstream placeholders", {"headers": {"request": {"set": {
            "X-Up": ["{http.reverse_proxy.upstream.address} {http.reverse_proxy.upstream.host} {http.reverse_proxy.upstream.port}"],
        }}}}, (Ask(),)),
    ]  # fmt: skip


def streams() -> list[Case]:
    """Bodies without a length, trailers, early hints, bodies that break off, upgrades."""
    return [
        Case("chunked answer", {}, (Ask(do="chunked"),), differs="known-length"),
        Case("chunked answer that takes its time", {}, (Ask(do="slowchunks"),)),
        Case("chunked answer at once", {"flush_interval": -1}, (Ask(do="slowchunks"),)),
        Case("answer to a client that closes", {}, (Ask(do="chunked", closes=True),), differs="known-length"),
        Case("trailers", {}, (Ask(do="trailers", fields=(("TE", "trailers"),)),), differs="trailer-announcement"),
        Case("early hints", {}, (Ask(do="early"),)),
        Case("truncated answer", {}, (Ask(do="half"),)),
        Case("truncated chunks", {}, (Ask(do="halfchunked"),)),
        Case("connection reset", {}, (Ask(do="reset"), Ask("POST", do="reset", body="x"))),
        Case("nobody listens", {}, (Ask(), Ask("POST", body="x")), modes=("refuse",)),
        Case("upgrade", {}, (Ask(fields=UP, do="upgrade", raw=b"ping"),)),
        Case("upgrade refused", {}, (Ask(fields=UP, do="status 403", raw=b"ping"),)),
        Case("answer too late", {"transport": {"protocol": "http", "response_header_timeout": "200ms"}}, (Ask(do="slow 1"), Ask())),
        Case("a body that stops", {"transport": {"protocol": "http", "read_timeout": "300ms"}}, (Ask(do="ok"),)),
    ]  # fmt: skip


def retries() -> list[Case]:
    """Which failures are tried again, for which requests, how often."""

    def case(
        name: str, balancing: dict[str, Any], *asks: Ask, modes: tuple[str, ...], **more: Any
    ) -> Case:
        return Case(
            name,
            {"load_balancing": {**FIRST, **balancing}, **more.pop("proxy", {})},
            asks,
            modes,
            **more,
        )

    passive = {"health_checks": {"passive": {"fail_duration": "1m", "max_fails": 1}}}
    posts = Ask("POST", body="x")
    resets, refuses = ("reset", "ok"), ("refuse", "ok")
    return [
        case("no retries", {}, Ask(), modes=refuses),
        case("dial failure, passive", {"retries": 2}, Ask(), posts, modes=refuses, proxy=passive),
        case("dial failure, POST, passive", {"retries": 2}, posts, Ask(), modes=refuses, proxy=passive),
        case("reset GET, passive", {"retries": 2}, Ask(), modes=resets, proxy=passive),
        case("reset POST, passive", {"retries": 2}, posts, modes=resets, proxy=passive),
        case("reset PUT, passive", {"retries": 2}, Ask("PUT", body="x"), modes=resets, proxy=passive),
        case("reset HEAD, passive", {"retries": 2}, Ask("HEAD"), modes=resets, proxy=passive),
        case("the number of attempts", {"retries": 3}, Ask(), modes=("reset",)),
        case("try_duration alone", {"try_duration": "900ms", "try_interval": "600ms"}, Ask(), modes=("reset",)),
        case("both bounds", {"retries": 1, "try_duration": "5s", "try_interval": "10ms"}, Ask(), modes=("reset",)),
        case("statuses are answers", {"retries": 2}, Ask(), modes=("status 503", "ok"), proxy=passive),
        case("all refuse", {"retries": 2}, Ask(), modes=("refuse", "refuse"), proxy=passive),
        case("failed ones are chosen again by first", {"retries": 1}, Ask(), modes=refuses, differs="retry-elsewhere"),
    ]  # fmt: skip


def passive() -> list[Case]:
    """What requests teach about upstreams."""

    def case(name: str, passive: dict[str, Any], asks: tuple[Ask, ...], **more: Any) -> Case:
        proxy = {"load_balancing": FIRST, "health_checks": {"passive": passive}}
        return Case(name, proxy, asks, **{"modes": ("ok", "ok"), **more})

    bad = Ask(do="status 503")
    return [
        case("status counts", {"fail_duration": "1m", "unhealthy_status": [503]}, (bad, Ask(), Ask())),
        case("status class counts", {"fail_duration": "1m", "unhealthy_status": [5]}, (Ask(do="status 599"), Ask(do="status 404"), Ask())),
        case("other status does not", {"fail_duration": "1m", "unhealthy_status": [500]}, (bad, Ask())),
        case("max_fails", {"fail_duration": "1m", "unhealthy_status": [5], "max_fails": 3}, (bad, bad, Ask(), bad, Ask())),
        case("forgotten after fail_duration", {"fail_duration": "400ms", "unhealthy_status": [5]}, (bad, Ask(), Ask(pause=0.7))),
        case("off without fail_duration", {"unhealthy_status": [5]}, (bad, Ask())),
        case("latency counts", {"fail_duration": "1m", "unhealthy_latency": "150ms"}, (Ask(do="slow 0.3"), Ask())),
        case("quick is well", {"fail_duration": "1m", "unhealthy_latency": "2s"}, (Ask(do="slow 0.1"), Ask())),
        case("nobody left", {"fail_duration": "1m", "unhealthy_status": [5]}, (bad, Ask()), modes=("ok",)),
        case("refused connections count", {"fail_duration": "1m"}, (Ask(), Ask()), modes=("refuse", "ok")),
        case("resets count", {"fail_duration": "1m"}, (Ask(), Ask()), modes=("reset", "ok")),
        case("truncation does not count", {"fail_duration": "1m"}, (Ask(do="half"), Ask())),
        case("success does not forgive", {"fail_duration": "1m", "max_fails": 2, "unhealthy_status": [5]}, (bad, Ask(), bad, Ask())),
    ]  # fmt: skip


def active() -> list[Case]:
    """What checks find out. Each case has one upstream whose health is told by ``healths``."""

    def case(name: str, active: dict[str, Any], health: str, **more: Any) -> Case:
        checks = {"active": {"uri": "/health", "interval": "300ms", "timeout": "1s", **active}}
        proxy = {"load_balancing": FIRST, "health_checks": checks}
        return Case(
            name,
            proxy,
            (Ask(),),
            ("ok", "ok"),
            (health, "status 200"),
            compares_checks=True,
            **more,
        )

    headers = {"Host": ["check.example"], "X-Check": ["1", "2"], "X-Target": ["{http.reverse_proxy.active.target_upstream}"],
               "X-Unknown": ["{no.such}"]}  # fmt: skip
    return [
        case("well", {}, "status 200"),
        case("ill", {}, "status 503"),
        case("204 is well", {}, "status 204"),
        case("redirect is ill", {}, "redirect /health2"),
        case("redirect followed", {"follow_redirects": True}, "redirect /health/there?a=1"),
        case("uri with query", {"uri": "/health?deep=1&x=%2F"}, "status 200"),
        case("path", {"uri": "", "path": "/health/old"}, "status 200"),
        case("uri before path", {"path": "/nowhere"}, "status 200"),
        case("method and body", {"method": "POST", "body": "are you {no.such}well?"}, "status 200"),
        case("HEAD", {"method": "HEAD"}, "status 200"),
        case("headers", {"headers": headers}, "status 200"),
        case("expect_status", {"expect_status": 418}, "status 418"),
        case("expect_status unmet", {"expect_status": 418}, "status 200"),
        case("expect_status class", {"expect_status": 4}, "status 404"),
        case("expect_status class unmet", {"expect_status": 4}, "status 200"),
        case("expect_body", {"expect_body": "^al+ right$"}, "say all right"),
        case("expect_body unmet", {"expect_body": "^right"}, "say all right"),
        case("max_size cuts", {"expect_body": "right", "max_size": 5}, "say all right"),
        case("max_size suffices", {"expect_body": "right", "max_size": 9}, "say all right"),
        case("timeout", {"timeout": "800ms"}, "hang"),
        case("slow enough", {"timeout": "800ms"}, "slow 1.5"),
        case("reset", {}, "reset"),
        case("two fails", {"fails": 2}, "status 500"),
        case("many fails", {"fails": 1000}, "status 500"),
        case("every other check fails", {"fails": 3, "passes": 1000, "interval": "200ms"}, "alternate", differs="consecutive"),
        case("user agent", {"headers": {"User-Agent": ["prober/1"]}}, "status 200"),
    ]  # fmt: skip


def limits() -> list[Case]:
    """Upstreams that are full."""
    return [
        Case("max_requests leaves room", {"load_balancing": FIRST}, (Ask(), Ask()), ("ok", "ok"), limits=({"max_requests": 1}, {})),
        Case("round robin", {"load_balancing": ROUND}, (Ask(),) * 30, ("ok",) * 3, counts=True),
        Case("weighted", {"load_balancing": {"selection_policy": {"policy": "weighted_round_robin", "weights": [3, 1, 0]}}},
             (Ask(),) * 40, ("ok",) * 3, counts=True),
        Case("first", {"load_balancing": FIRST}, (Ask(),) * 5, ("ok",) * 3),
        Case("no upstreams", {}, (Ask(),), ()),
    ]  # fmt: skip


def all_cases() -> list[Case]:
    """Return every case."""
    return [*forwarding(), *streams(), *retries(), *passive(), *active(), *limits()]
