"""The table of ``test_rfc9112``: bytes of one connection, the statuses that come back, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass

KEPT, CLOSED = True, False


@dataclass(frozen=True)
class Case:
    section: str
    what: str
    data: bytes
    statuses: tuple[int, ...]
    is_kept: bool = CLOSED

    @property
    def id(self) -> str:
        return f"{self.section} {self.what}"


def get(line: bytes = b"GET / HTTP/1.1", *fields: bytes, host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join((line, *([host] if host else []), *fields, b"", b""))


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return get(b"POST /read HTTP/1.1", *fields) + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


def ok(section: str, what: str, data: bytes, *, is_kept: bool = KEPT, status: int = 200) -> Case:
    return Case(section, what, data, (status,), is_kept)


def bad(section: str, what: str, data: bytes, status: int = 400) -> Case:
    return Case(section, what, data, (status,))


LINES = [
    ok("2.2", "an empty line before the request", b"\r\n" + get()),
    bad("2.2", "a bare LF ends the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    bad("2.2", "bare LFs end all lines", b"GET / HTTP/1.1\nHost: a\n\n"),
    bad("2.2", "a bare CR in a value", get(b"GET / HTTP/1.1", b"X: a\rb")),
    bad("2.2", "a bare CR in the request line", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"),
    bad("2.2", "white space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    bad("2.2", "a NUL in a value", get(b"GET / HTTP/1.1", b"X: a\0b")),
    ok("2.3", "HTTP/1.0", get(b"GET / HTTP/1.0"), is_kept=CLOSED),
    ok("2.3", "HTTP/1.0 without Host", get(b"GET / HTTP/1.0", host=b""), is_kept=CLOSED),
    ok("2.3", "HTTP/1.0 with keep-alive", get(b"GET / HTTP/1.0", b"Connection: keep-alive")),
    ok("2.3", "a higher minor version", get(b"GET / HTTP/1.9")),
    bad("2.3", "HTTP/2.0 in a request line", get(b"GET / HTTP/2.0"), 505),
    bad("2.3", "HTTP/0.9 with a version", get(b"GET / HTTP/0.9"), 505),
    *[bad("2.3", f"the version {v!r}", get(b"GET / " + v)) for v in (b"http/1.1", b"HTTP/1.10", b"HTTP/1,1", b"HTTP/1", b"HTTP 1.1", b"HTTP/ 1.1", b"HTTPS/1.1", b"HTTP/-1.1", b"xHTTP/1.1")],
    bad("3", "no version", get(b"GET /")),
    bad("3", "two spaces", get(b"GET  / HTTP/1.1")),
    bad("3", "a tab instead of a space", get(b"GET\t/ HTTP/1.1")),
    bad("3", "a space behind the version", get(b"GET / HTTP/1.1 ")),
    bad("3", "a space before the method", get(b" GET / HTTP/1.1")),
    bad("3", "a space in the target", get(b"GET /a b HTTP/1.1")),
    bad("3", "no target", get(b"GET HTTP/1.1")),
    bad("3.1", "a method that is no token", get(b"G(T / HTTP/1.1")),
    ok("3.1", "a method in lower case is another one", get(b"get / HTTP/1.1")),
    ok("3.1", "a method of our own", get(b"BREW / HTTP/1.1")),
    bad("3.1", "an endless method", get(b"A" * 99 + b" / HTTP/1.1"), 405),
    bad("3.2", "no Host", get(host=b"")),
    bad("3.2", "two Hosts", get(b"GET / HTTP/1.1", b"Host: a")),
    bad("3.2", "two different Hosts", get(b"GET / HTTP/1.1", b"Host: b")),
    *[bad("3.2", f"the Host {h!r}", get(host=b"Host: " + h)) for h in (b"a b", b"a/b", b"a@b", b"http://a", b"a:b", b"[::1", b"a:1:2", b"a?b", b"a#b")],
    ok("3.2", "an address of IPv6", get(host=b"Host: [::1]:80")),
    bad("3.2.1", "a fragment in the target", get(b"GET /a#b HTTP/1.1")),
    bad("3.2.1", "a target without its slash", get(b"GET a HTTP/1.1")),
    bad("3.2.1", "a NUL in the target", get(b"GET /\0 HTTP/1.1")),
    bad("3.2.1", "a hidden dot segment", get(b"GET /a/..%2f.. HTTP/1.1")),
    bad("3", "a target of nine kilobytes", get(b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 414),
    ok("3", "a target of eight thousand bytes", get(b"GET /" + b"a" * 7900 + b" HTTP/1.1")),
    ok("3.2.2", "absolute form", get(b"GET http://a/ HTTP/1.1")),
    ok("3.2.2", "absolute form and another Host: the target counts", get(b"GET http://b/ HTTP/1.1")),
    ok("3.2.2", "absolute form without a path", get(b"GET http://a HTTP/1.1")),
    bad("3.2.2", "absolute form of another scheme", get(b"GET ftp://a/ HTTP/1.1")),
    bad("3.2.2", "absolute form with userinfo", get(b"GET http://u@a/ HTTP/1.1")),
    bad("3.2.2", "absolute form without Host", get(b"GET http://a/ HTTP/1.1", host=b"")),
    bad("3.2.3", "CONNECT is not served", get(b"CONNECT a:443 HTTP/1.1"), 405),
    bad("3.2.3", "CONNECT with a path", get(b"CONNECT / HTTP/1.1")),
    bad("3.2.3", "authority form of another method", get(b"GET a:443 HTTP/1.1")),
    ok("3.2.4", "an asterisk for OPTIONS", get(b"OPTIONS * HTTP/1.1")),
    bad("3.2.4", "an asterisk for GET", get(b"GET * HTTP/1.1")),
]  # fmt: skip

FIELDS = [
    *[bad("5.1", f"the line {line!r}", get(b"GET / HTTP/1.1", line)) for line in (
        b"X : a", b"X\t: a", b"X", b": a", b" X: a", b"X\0: a", b"X(: a", b"X\x7f: a", b"X\xe9: a", b"X@Y: a", b"X Y: a",
        b"X: a\x01", b"X: a\x7f", b"X: a\x0b",
    )],
    bad("5.2", "a folded line", get(b"GET / HTTP/1.1", b"X: a\r\n b")),
    bad("5.2", "a folded line of a tab", get(b"GET / HTTP/1.1", b"X: a\r\n\tb")),
    ok("5.1", "no space behind the colon", get(b"GET / HTTP/1.1", b"X:a")),
    ok("5.1", "white space around a value", get(b"GET / HTTP/1.1", b"X: \t a \t")),
    ok("5.1", "an empty value", get(b"GET / HTTP/1.1", b"X:")),
    ok("5.5", "bytes above ASCII in a value", get(b"GET / HTTP/1.1", b"X: \xe9")),
    bad("5", "a field of 20 KB", get(b"GET / HTTP/1.1", b"X: " + b"a" * 20_000), 431),
    bad("5", "more fields than allowed", get(b"GET / HTTP/1.1", *[b"X: a"] * 150), 431),
]  # fmt: skip

BODIES = [
    ok("6.2", "Content-Length", post(b"Content-Length: 5", body=b"hello")),
    ok("6.2", "a Content-Length of 0", post(b"Content-Length: 0")),
    *[bad("6.2", f"Content-Length {v!r}", post(b"Content-Length: " + v, body=b"hello")) for v in (
        b"+5", b"-5", b"05", b"5 5", b"5, 5", b"5,6", b"0x5", b"5a", b"", b"5.0", b"9" * 30, b"\xb2", b"5;",
    )],
    bad("6.3", "Content-Length twice, equal", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    bad("6.3", "Content-Length twice, different", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!")),
    bad("6.3", "Content-Length and Transfer-Encoding", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    bad("6.1", "Transfer-Encoding and Content-Length", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n")),
    bad("6.1", "Transfer-Encoding twice", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    bad("6.1", "Transfer-Encoding in HTTP/1.0", get(b"POST /read HTTP/1.0", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    *[bad("6.1", f"Transfer-Encoding {v!r}", post(b"Transfer-Encoding: " + v, body=b"0\r\n\r\n")) for v in (
        b"identity", b"chunked, identity", b"chunked, chunked", b"xchunked", b"chunked;q=1", b'"chunked"', b"", b"chunked,", b"\x0bchunked",
    )],
    bad("6.1", "a coding that we do not speak", post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    ok("6.1", "chunked in any case", post(b"Transfer-Encoding: CHUNKED", body=b"0\r\n\r\n")),
    Case("6.3", "a body longer than Content-Length begins another request", post(b"Content-Length: 5", body=b"helloX"), (200,), KEPT),
    Case("6.3", "what follows a body is a request of its own", post(b"Content-Length: 5", body=b"hello") + get(), (200, 200), KEPT),
    Case("6.3", "what follows and is none ends the connection", post(b"Content-Length: 5", body=b"hello") + b"\0\r\n\r\n", (200, 400)),
    ok("6.3", "a GET with a body", get(b"GET /read HTTP/1.1", b"Content-Length: 5") + b"hello"),
]  # fmt: skip

CHUNKS = [
    ok("7.1", "chunks", chunked(b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n")),
    ok("7.1", "leading zeros", chunked(b"005\r\nhello\r\n000\r\n\r\n")),
    ok("7.1.1", "an extension", chunked(b'5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n')),
    ok("7.1.2", "trailers", chunked(b"5\r\nhello\r\n0\r\nX: a\r\nY: b\r\n\r\n")),
    *[bad("7.1", f"the size {s!r}", chunked(s + b"\r\nhello\r\n0\r\n\r\n")) for s in (
        b"", b"0x5", b"+5", b"-5", b" 5", b"5g", b"5 ", b"5\0", b"ffffffffffffffff", b"10000000000000005", b"5,", b"\xb5",
    )],
    bad("7.1", "a bare LF behind the size", chunked(b"5\nhello\r\n0\r\n\r\n")),
    bad("7.1", "a bare CR behind the size", chunked(b"5\rhello\r\n0\r\n\r\n")),
    bad("7.1", "a chunk longer than its size", chunked(b"4\r\nhello\r\n0\r\n\r\n")),
    bad("7.1", "a bare LF behind the data", chunked(b"5\r\nhello\n0\r\n\r\n")),
    bad("7.1.1", "an extension with a bare LF", chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n")),
    bad("7.1.1", "an extension with a NUL", chunked(b"5;a\0\r\nhello\r\n0\r\n\r\n")),
    bad("7.1.1", "an endless extension", chunked(b"5;" + b"a" * 5000)),
    bad("7.1.2", "a trailer with white space before its colon", chunked(b"0\r\nX : a\r\n\r\n")),
    bad("7.1.2", "a folded trailer", chunked(b"0\r\nX: a\r\n b\r\n\r\n")),
    bad("7.1.2", "a bare LF in trailers", chunked(b"0\r\nX: a\nY: b\r\n\r\n")),
    bad("7.1.2", "a trailer that is no line", chunked(b"0\r\nX\r\n\r\n")),
    bad("7.1.2", "endless trailers", chunked(b"0\r\n" + b"X: a\r\n" * 5000), 431),
]  # fmt: skip

CONNECTIONS = [
    ok("9.3", "close", get(b"GET / HTTP/1.1", b"Connection: close"), is_kept=CLOSED),
    ok("9.3", "close among others", get(b"GET / HTTP/1.1", b"Connection: keep-alive, Close"), is_kept=CLOSED),
    Case("9.3.2", "pipelined requests", get() * 5, (200,) * 5, KEPT),
    Case("9.3.2", "nothing behind close", get(b"GET / HTTP/1.1", b"Connection: close") + get(), (200,)),
    Case("9.3.2", "nothing behind an error", get() + get(host=b"") + get(), (200, 400)),
    ok("9110 10.1.1", "an expectation that is met by sending at once", post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello")),
    bad("9110 10.1.1", "an unknown expectation", post(b"Expect: x", b"Content-Length: 5", body=b"hello"), 417),
    ok("9110 7.8", "an upgrade that nobody offers", get(b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: foo")),
    Case("9931", "bytes behind a refused upgrade are no request", get(b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: foo") + get(), (200,)),
    ok("9113 3.1", "h2c is not upgraded to", get(b"GET / HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")),
    ok("9110 9.3.2", "HEAD", get(b"HEAD / HTTP/1.1")),
    bad("2.1", "noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n"),
    bad("9113 3.4", "half a preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505),
]  # fmt: skip

GROUPS = {
    "lines": LINES, "fields": FIELDS, "bodies": BODIES, "chunks": CHUNKS, "connections": CONNECTIONS,
}  # fmt: skip
