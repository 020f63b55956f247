"""One configuration, two servers: what Caddy answers is what is expected of Quantum.

A case is a list of routes. All cases live in one server, each behind a header that names it, so that
both programs start once. Requests go out byte for byte over a plain socket: no client tidies paths.
"""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CASE = "X-Case"
STATE = "{http.request.method} {http.request.uri} [{http.request.uri.path}] {http.request.host}"
IGNORED = {"date", "server", "content-length", "connection"}
"""What either program says of itself."""
START_SECONDS = 120.0
"""How long either may take to listen: Quantum needs one, and many on a machine that is busy."""


@dataclass(frozen=True)
class Case:
    """Routes, and the requests to try them with: (method, target, fields, host)."""

    name: str
    routes: list[dict[str, Any]]
    requests: list[tuple[str, str, tuple[tuple[str, str], ...], str]]


@dataclass(frozen=True)
class Answer:
    """What matters of a response."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: str


def say(body: str, **config: Any) -> dict[str, Any]:
    """Return a handler that answers with ``body``."""
    return {"handler": "static_response", "body": body, **config}


def asking(matcher: dict[str, Any]) -> list[dict[str, Any]]:
    """Return routes that say whether a matcher set matches."""
    return [{"match": [matcher], "handle": [say("yes")], "terminal": True}, {"handle": [say("no")]}]


def rewriting(**config: Any) -> list[dict[str, Any]]:
    """Return routes that rewrite and show the outcome."""
    return [{"handle": [{"handler": "rewrite", **config}, say(STATE)]}]


def document(cases: list[Case], port: int, named: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of both programs."""
    routes = [
        {
            "match": [{"header": {CASE: [str(index)]}}],
            "handle": [{"handler": "subroute", "routes": case.routes}],
            "terminal": True,
        }
        for index, case in enumerate(cases)
    ]
    errors = {
        "routes": [
            {"handle": [say("error {http.error.status_code} {http.error.message} " + STATE)]}
        ]
    }
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "routes": routes,
        "errors": errors,
        "named_routes": named,
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
    }
    return {"admin": {"disabled": True}, "apps": {"http": {"servers": {"srv0": server}}}}


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """Run a server until the block ends; AssertionError with its log when it does not come up."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            assert _listens(process, port), log.read_text()[-3000:]
            yield
        finally:
            process.terminate()
            process.wait(timeout=40)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process.poll() is None
        except OSError:
            time.sleep(0.1)
    return False


def caddy(config: Path) -> list[str]:
    """Return the command that runs the real Caddy."""
    return [str(Path(sys.executable).parent / "caddyserver"), "run", "--config", str(config)]


def quantum(config: Path, data: Path) -> list[str]:
    """Return the command that runs Quantum."""
    binary = str(Path(sys.executable).parent / "quantum")
    return [binary, "run", "-c", str(config), "--data-dir", str(data), "--ops", "off"]


class Client:
    """One connection that sends requests as they are written; reconnects when it is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._buffer = b""

    def ask(
        self, case: int, method: str, target: str, fields: tuple[tuple[str, str], ...], host: str
    ) -> Answer:
        """Send one request and read the answer."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"{CASE}: {case}"]
        lines += [f"{name}: {value}" for name, value in fields]
        message = ("\r\n".join(lines) + "\r\n\r\n").encode()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            self._buffer = b""
        self._socket.sendall(message)
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        pairs = [line.partition(": ")[::2] for line in head[1:] if line]
        named = [(name.lower(), value) for name, value in pairs]
        length = int(dict(named).get("content-length", "0"))
        body = self._exactly(length).decode("utf-8", "replace")
        if dict(named).get("connection", "").lower() == "close":
            self.close()
        kept = tuple(sorted(field for field in named if field[0] not in IGNORED))
        return Answer(status, kept, body)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(mark)
        return head

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._receive()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def _receive(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(65536)
        assert data, f"connection closed after {self._buffer!r}"
        self._buffer += data


PATHS = [
    "/", "/foo", "/FOO", "/foo/", "/foo/bar", "/foo/bar/baz", "/foobar", "/foo.php", "/a/b.php", "/x.PHP/y",
    "//foo", "/foo//bar", "/foo///bar", "/foo/./bar", "/foo/../bar", "/x/../foo", "/../foo", "/foo%20bar",
    "/foo%2Fbar", "/foo%2fbar", "/%66oo", "/%66oo/bar", "/f%C3%BC", "/fo+o", "/bands/AC%2fDC", "/bands/AC%2fDC/",
    "/bands/x", "/bands/x/", "/a/inner/b", "/a/b/c", "/a/bb/c", "/a/b/b/c", "/api", "/api/", "/api/v1", "/API/v1",
    "/%61pi/v1", "/apiv1", "/api//v1", "/page.html", "/dir/page.html", "/page%2Ehtml", "/a%3Fb", "/a%25b", "/a;b",
    "/old/old", "/a@b:c", "/a[b]", "/*", "/a&b=c", "/users/42/posts", "/foo%21bar!",
]  # fmt: skip
QUERIES = [
    "", "?", "?a=1", "?a=2&a=1", "?b=2&a=1", "?a=x+y", "?a=x%20y", "?a=1;b=2", "?a=%zz", "?a", "?a=", "?=1",
    "?a=foo&b=foo&c=bar", "?q=old&x=%2F", "?a=1&&b=2", "?a==b",
]  # fmt: skip
HOSTS = [
    "example.com", "EXAMPLE.com", "www.example.com", "a.b.example.com", "example.com:8080", "localhost", "[::1]",
    "[::1]:80", "127.0.0.1", "xn--mller-kva.example",
]  # fmt: skip
PATH_PATTERNS = [
    ["/foo"], ["/foo*"], ["/foo/*"], ["*.php"], ["*/inner/*"], ["/a/*/c"], ["/a/?/c"], ["/a/[a-b]/c"], ["/a/[^b]/c"],
    ["*"], ["/foo//bar"], ["/foo bar"], ["/foo%2Fbar"], ["/foo%2fbar"], ["/bands/%*"], ["/bands/*/"], ["/bands/%*/"],
    ["/bands/*"], ["/%66oo"], ["/{http.request.method}", "/foo"], ["/fü"], ["/a/b/c", "*.php", "/api*"], ["/FOO"],
    ["*foo*"], ["/*/bar"], ["/foo/bar", "/foo/bar/*"], ["/a%25b"], ["/a@b:c"], ["/%2a"], [],
]  # fmt: skip
HOST_PATTERNS = [
    ["example.com"], ["*.example.com"], ["*"], ["*.*.example.com"], ["a.*.example.com"], ["::1"], ["müller.example"],
    ["127.0.0.1", "localhost"], ["{http.request.host}"], ["EXAMPLE.COM"], [],
]  # fmt: skip
HEADER_PATTERNS = [
    {"X-A": ["one"]}, {"X-A": ["o*"]}, {"X-A": ["*e"]}, {"X-A": ["*n*"]}, {"X-A": ["*"]}, {"X-A": []}, {"X-A": None},
    {"x-a": ["two", "one"]}, {"X-A": ["one"], "X-B": ["b"]}, {"Host": ["example.com"]}, {"Host": ["*.com"]}, {},
    {"X-A": ["{http.request.method}"]},
]  # fmt: skip
FIELDS: list[tuple[tuple[str, str], ...]] = [
    (), (("X-A", "one"),), (("X-A", "two"), ("X-A", "one")), (("X-A", "one"), ("X-B", "b")), (("X-A", ""),),
    (("X-A", "GET"),), (("X-B", "b"),),
]  # fmt: skip
QUERY_PATTERNS = [
    {"a": ["1"]}, {"a": ["*"]}, {"a": ["1"], "b": ["2"]}, {"a": ["x y"]}, {}, {"{http.request.uri.query.c}": ["*"]},
    {"a": ["{http.request.uri.query.b}"]}, {"a": [""]}, {"a": ["=b"]},
]  # fmt: skip
OTHER_MATCHERS = [
    {"protocol": "http"}, {"protocol": "https"}, {"protocol": "http/1.1"}, {"protocol": "http/1.1+"},
    {"protocol": "http/2"}, {"protocol": "grpc"}, {"method": ["GET"]}, {"method": ["get", "POST"]},
    {"not": []}, {"not": [{}]}, {"not": [{"path": ["/foo"]}]}, {"not": [{"path": ["/foo*"], "method": ["GET"]}]},
    {"not": [{"not": [{"method": ["GET"]}]}, {"path": ["/x"]}]}, {"remote_ip": {"ranges": ["127.0.0.0/8"]}},
    {"client_ip": {"ranges": ["10.0.0.0/8", "::1"]}}, {"path_regexp": {"pattern": "^/f(o+)"}},
    {"path_regexp": {"pattern": "/b[a-z]+$"}}, {"vars": {"{http.request.method}": ["GET"]}}, {"tls": {}},
    {"header_regexp": {"X-A": {"pattern": "^o"}}}, {"vars": {"none": [""]}},
]  # fmt: skip
REWRITES: list[dict[str, Any]] = [
    {"uri": "/new"}, {"uri": "/new?x=1"}, {"uri": "?x=1"}, {"uri": "/new?"}, {"uri": "?"}, {"uri": "/new?{http.request.uri.query}"},
    {"uri": "/new?{http.request.uri.query}&x=1"}, {"uri": "/i.php?p={http.request.uri.path}"},
    {"uri": "/p{http.request.uri.path}"}, {"uri": "/p{http.request.uri}"}, {"uri": "{http.request.uri.path}/"},
    {"uri": "/new#frag"}, {"uri": "/new?x=1#frag"}, {"uri": "/a%2Fb"}, {"uri": "/a b"}, {"uri": "/ü"},
    {"uri": "/{http.request.host}/{http.request.uri.path.0}"}, {"uri": "?a={http.request.uri.query.a}&k={http.request.uri.path}"},
    {"uri": "?{http.request.method}=1&b"}, {"uri": "/{http.request.uri.query.a}"}, {"method": "post"}, {"method": "{http.request.host}"},
    {"strip_path_prefix": "/api"}, {"strip_path_prefix": "api"}, {"strip_path_prefix": "/foo"}, {"strip_path_prefix": "/foo%2F"},
    {"strip_path_prefix": "/foo/"}, {"strip_path_prefix": "/{http.request.uri.path.0}"}, {"strip_path_prefix": "//foo"},
    {"strip_path_suffix": ".html"}, {"strip_path_suffix": "/bar"}, {"strip_path_suffix": "/"}, {"strip_path_suffix": "bar"},
    {"strip_path_suffix": "%2fDC"}, {"uri_substring": [{"find": "old", "replace": "new"}]},
    {"uri_substring": [{"find": "o", "replace": "0", "limit": 1}]}, {"uri_substring": [{"find": "/", "replace": "//"}]},
    {"uri_substring": [{"find": "foo", "replace": "a b"}, {"find": "b", "replace": "{http.request.method}"}]},
    {"uri_substring": [{"find": "1", "replace": ""}]}, {"path_regexp": [{"find": "[0-9]+", "replace": "N"}]},
    {"path_regexp": [{"find": "/(\\w+)/(\\w+)", "replace": "/$2/$1"}]}, {"path_regexp": [{"find": "/+", "replace": "/"}]},
    {"path_regexp": [{"find": "o", "replace": ""}, {"find": "^/", "replace": "/x/"}]},
    {"query": {"add": [{"key": "z", "val": "1"}]}}, {"query": {"set": [{"key": "a", "val": "{http.request.method}"}]}},
    {"query": {"delete": ["a"]}}, {"query": {"rename": [{"key": "a", "val": "b"}]}}, {"query": {}},
    {"query": {"replace": [{"key": "a", "search": "o", "replace": "0"}]}},
    {"query": {"replace": [{"key": "*", "search_regexp": "(f)o+", "replace": "$1x"}]}},
    {"query": {"rename": [{"key": "a", "val": "z"}], "set": [{"key": "y", "val": "2"}], "add": [{"key": "y", "val": "3"}], "delete": ["b"]}},
    {"uri": "/x{http.request.uri.path}", "strip_path_prefix": "/x", "query": {"add": [{"key": "k", "val": "v"}]}},
]  # fmt: skip
CHAINS: list[tuple[str, list[dict[str, Any]]]] = [
    ("static fields", [{"handle": [say("b", headers={"X-A": ["1", "2"], "x-{http.request.method}": ["m"]}, status_code="201")]}]),
    ("json body", [{"handle": [say('{"a": "{http.request.method}", "b": {}}')]}]),
    ("json list", [{"handle": [say(' [1, 2]\n')]}]),
    ("not json", [{"handle": [say("{a: 1}")]}]),
    ("escapes", [{"handle": [say("\\{http.request.method\\} {http.request.method} {unknown} {unclosed")]}]),
    ("dynamic status", [{"handle": [{"handler": "vars", "s": "204"}, say("", status_code="{http.vars.s}")]}]),
    ("headers before", [{"handle": [{"handler": "headers", "response": {"set": {"X-A": ["early"], "X-B": ["b1", "b2"]}, "add": {"X-C": ["c1", "c2"]}}}, say("b", headers={"X-A": ["own"], "X-C": ["own"]})]}]),
    ("headers type", [{"handle": [{"handler": "headers", "response": {"set": {"Content-Type": ["text/x"]}}}, say("b")]}]),
    ("headers deferred", [{"handle": [{"handler": "headers", "response": {"set": {"X-A": ["late"]}, "add": {"X-C": ["late"]}, "delete": ["X-Gone", "Z-*"], "deferred": True}}, say("b", headers={"X-A": ["own"], "X-C": ["own"], "X-Gone": ["1"], "Z-A": ["1"], "Z-B": ["1"]})]}]),
    ("headers require", [{"handle": [{"handler": "headers", "response": {"set": {"X-A": ["late"]}, "require": {"status_code": [2], "headers": {"X-B": ["b*"]}}}}, say("b", headers={"X-B": ["b1"]})]}]),
    ("headers replace", [{"handle": [{"handler": "headers", "response": {"replace": {"X-A": [{"search": "o", "replace": "0"}, {"search_regexp": "(n)", "replace": "<$1>"}]}, "deferred": True}}, say("b", headers={"X-A": ["one", "two"]})]}]),
    ("headers replace all", [{"handle": [{"handler": "headers", "response": {"replace": {"*": [{"search": "o", "replace": "{http.request.method}"}]}, "deferred": True}}, say("b", headers={"X-A": ["one"], "X-B": ["foo"]})]}]),
    ("request headers", [{"handle": [{"handler": "headers", "request": {"set": {"X-A": ["s"], "Host": ["h.{http.request.host}"]}, "add": {"X-B": ["1", "2"]}, "delete": ["X-C"]}}, say("{http.request.header.X-A}|{http.request.header.X-B}|{http.request.host}|{http.request.header.Host}")]}]),
    ("request headers delete all", [{"handle": [{"handler": "headers", "request": {"delete": ["*"]}}, say("[{http.request.header.X-A}]")]}]),
    ("vars", [{"handle": [{"handler": "vars", "n": 7, "f": 1.5, "b": True, "s": "{http.request.method}", "{http.request.method}": "k"}, say("{http.vars.n} {http.vars.f} {http.vars.b} {http.vars.s} {http.vars.GET} {http.vars.client_ip}")]}]),
    ("error", [{"handle": [{"handler": "error", "status_code": 418, "error": "short {http.request.method}"}]}]),
    ("error default", [{"handle": [{"handler": "error"}]}]),
    ("error after rewrite", [{"handle": [{"handler": "headers", "response": {"set": {"X-Kept": ["1"]}}}, {"handler": "rewrite", "uri": "/inside", "method": "PUT"}, {"handler": "error", "status_code": "404"}]}]),
    ("subroute errors", [{"handle": [{"handler": "subroute", "routes": [{"handle": [{"handler": "rewrite", "uri": "/inside"}, {"handler": "error", "status_code": 409}]}], "errors": {"routes": [{"handle": [say("sub {http.error.status_code} " + STATE)]}]}}]}]),
    ("subroute errors unanswered", [{"handle": [{"handler": "subroute", "routes": [{"handle": [{"handler": "error", "status_code": 409}]}], "errors": {"routes": []}}]}, {"handle": [say("after")]}]),
    ("subroute falls through", [{"handle": [{"handler": "subroute", "routes": [{"handle": [{"handler": "vars", "in": "1"}]}]}]}, {"handle": [say("after {http.vars.in}")]}]),
    ("subroute terminal", [{"handle": [{"handler": "subroute", "routes": [{"handle": [{"handler": "vars", "in": "1"}], "terminal": True}]}]}, {"handle": [say("after")]}]),
    ("groups", [{"group": "g", "match": [{"path": ["/foo*"]}], "handle": [{"handler": "vars", "w": "1"}]}, {"group": "g", "handle": [{"handler": "vars", "w": "2"}]}, {"group": "h", "handle": [{"handler": "vars", "h": "3"}]}, {"handle": [say("{http.vars.w}{http.vars.h}")]}]),
    ("regexp captures", [{"match": [{"path_regexp": {"name": "u", "pattern": "^/(\\w+)/(?P<rest>.*)$"}}], "handle": [say("{http.regexp.u.1}|{http.regexp.u.rest}|{http.regexp.0}|{http.regexp.u.9}")]}, {"handle": [say("none")]}]),
    ("map", [{"handle": [{"handler": "map", "source": "{http.request.uri.path}", "destinations": ["{d1}", "{d2}"], "mappings": [{"input": "/foo", "outputs": ["one", 2]}, {"input_regexp": "/(b\\w+)", "outputs": ["[$1]", None]}], "defaults": ["x", "y {http.request.method}"]}, say("{d1} {d2}")]}]),
    ("empty chain", []),
    ("terminal empty", [{"handle": [{"handler": "headers", "response": {"set": {"X-A": ["1"]}}}], "terminal": True}, {"handle": [say("never")]}]),
]  # fmt: skip
KEYS = [
    "method", "scheme", "proto", "host", "hostport", "port", "host.labels.0", "host.labels.1", "host.labels.9", "uri", "uri_escaped",
    "uri.path", "uri.path_escaped", "uri.path.0", "uri.path.1", "uri.path.7", "uri.path.dir", "uri.path.file", "uri.path.file.base",
    "uri.path.file.ext", "uri.query", "uri.query_escaped", "uri.prefixed_query", "uri.query.a", "orig_method", "orig_uri", "orig_uri.path",
    "orig_uri.path.0", "orig_uri.path.dir", "orig_uri.path.file", "orig_uri.query", "orig_uri.prefixed_query", "header.X-A",
    "header.none", "cookie.c", "remote.host", "remote.host/8", "remote.host/16,64", "tls.version", "proto_name", "nonsense",
]  # fmt: skip


def make_cases(rng: random.Random, each: int) -> list[Case]:
    """Return all cases, each with ``each`` random requests."""

    def requests(count: int = each) -> list[tuple[str, str, tuple[tuple[str, str], ...], str]]:
        return [
            (
                rng.choice(["GET", "GET", "POST"]),
                rng.choice(PATHS) + rng.choice(QUERIES),
                rng.choice(FIELDS),
                rng.choice(HOSTS),
            )
            for _ in range(count)
        ]  # fmt: skip

    def over_paths() -> list[tuple[str, str, tuple[tuple[str, str], ...], str]]:
        return [
            ("GET", path, (), "example.com")
            for path in rng.sample(PATHS, min(len(PATHS), 4 * each))
        ]

    cases = [Case(f"path {p}", asking({"path": p}), over_paths()) for p in PATH_PATTERNS]
    cases += [
        Case(f"host {p}", asking({"host": p}), [("GET", "/", (), h) for h in HOSTS])
        for p in HOST_PATTERNS
    ]
    cases += [
        Case(f"header {p}", asking({"header": p}), [("GET", "/", f, "example.com") for f in FIELDS])
        for p in HEADER_PATTERNS
    ]
    cases += [
        Case(
            f"query {p}",
            asking({"query": p}),
            [("GET", "/" + q, (), "example.com") for q in QUERIES],
        )
        for p in QUERY_PATTERNS
    ]
    cases += [Case(f"matcher {m}", asking(m), requests()) for m in OTHER_MATCHERS]
    cases += [Case(f"rewrite {r}", rewriting(**r), requests(2 * each)) for r in REWRITES]
    cases += [Case(name, routes, requests()) for name, routes in CHAINS]
    text = "\n".join(f"{key}={{http.request.{key}}}" for key in KEYS)
    rewrite = {"handler": "rewrite", "uri": "/re/written.tar.gz?new=1"}
    cookies = (("Cookie", 'x=1; c="q v"; C=2'), ("X-A", "one"))
    asked = [(m, t, (*f, *cookies), h) for m, t, f, h in requests(4 * each)]
    cases.append(Case("placeholders", [{"handle": [say(text)]}], asked))
    cases.append(Case("placeholders rewritten", [{"handle": [rewrite, say(text)]}], asked))
    return cases


def deviates(case: Case, target: str) -> bool:
    """Whether Quantum answers differently on purpose.

    No rewrite leaves a dot segment in a path, and a prefix beyond ASCII is found in its escaped form.
    """
    if "strip_path" in case.name and "%C3" in target:
        return True
    return case.name.startswith("rewrite") and "/." in target


def shown(answer: Answer) -> str:
    """Return an answer for an assertion message."""
    fields = "; ".join(f"{name}: {value}" for name, value in answer.fields)
    return f"{answer.status} [{fields}] {re.sub(chr(10), ' ~ ', answer.body)}"


def write(cases: list[Case], port: int, path: Path, named: dict[str, Any] | None = None) -> Path:
    """Write the configuration file."""
    path.write_text(json.dumps(document(cases, port, named or {})))
    return path
