"""What ``{http.request.*}`` means: one table from keys to functions, and the families with a name inside.

Values follow Caddy: ``uri`` is percent-encoded, ``uri.path`` decoded, ``orig_*`` from before the
first rewrite. ``body`` is known only while it is in memory; a handler that wants it reads it first.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from quantum.http.message import Request
from quantum.http.placeholders import session
from quantum.http.query import escape, parse_query

Lookup = Callable[[Request], "str | None"]
Path = Callable[[Request], str]


def split_host(authority: str) -> tuple[str, str]:
    """Return host and port of an authority; an IPv6 address without brackets, "" for no port."""
    if authority.startswith("["):
        host, _, rest = authority[1:].partition("]")
        return host, rest[1:] if rest.startswith(":") else ""
    host, colon, port = authority.rpartition(":")
    return (host, port) if colon and ":" not in host else (authority, "")


def decoded(raw: str) -> str:
    """Return ``raw`` percent-decoded; bytes that are no UTF-8 become surrogate escapes."""
    return unquote_to_bytes(raw).decode("utf-8", "surrogateescape") if "%" in raw else raw


def path_now(request: Request) -> str:
    """Return the decoded path, after rewrites."""
    return decoded(request.path)


def find(key: str) -> Lookup | None:
    """Return the lookup of ``key``, None when the key is none of these."""
    if not key.startswith("http.request."):
        return None
    name = key[len("http.request.") :]
    if name in _FACTS:
        return _FACTS[name]
    for prefix, family in _FAMILIES:
        if name.startswith(prefix) and len(name) > len(prefix):
            return family(name[len(prefix) :])
    return None


def _host(request: Request) -> str:
    host, port = split_host(request.authority)
    return host if port else request.authority


def _address(pair: tuple[str, int]) -> str:
    host, port = pair
    return "@" if not host else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _prefixed(query: str | None) -> str:
    return f"?{query}" if query else ""


def _seconds(request: Request) -> float:
    return max(0.0, time.monotonic() - request.started)


def _uuid(request: Request) -> str:
    found: str = request.vars.setdefault("uuid", "") or str(uuid.uuid4())
    request.vars["uuid"] = found
    return found


def _body(request: Request) -> bytes:
    return request.body if isinstance(request.body, bytes) else b""


def _original(request: Request) -> tuple[str, str, str | None]:
    return request.original or (request.method, request.path, request.query)


def _original_target(request: Request) -> str:
    _, path, query = _original(request)
    return path if query is None else f"{path}?{query}"


def _original_path(request: Request) -> str:
    return decoded(_original(request)[1])


def _directory(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _file(path: str) -> str:
    return path[path.rfind("/") + 1 :]


def _extension(path: str) -> str:
    name = _file(path)
    dot = name.rfind(".")
    return name[dot:] if dot >= 0 else ""


def _stem(request: Request) -> str:
    path = path_now(request)
    return (_file(path.rstrip("/")) or "/").removesuffix(_extension(path))


_FACTS: dict[str, Lookup] = {
    "method": lambda r: r.method,
    "scheme": lambda r: r.connection.scheme,
    "proto": lambda r: r.version,
    "proto_name": lambda r: r.version.removesuffix(".0") if r.version != "HTTP/1.0" else r.version,
    "host": _host,
    "hostport": lambda r: r.authority,
    "port": lambda r: split_host(r.authority)[1],
    "uuid": _uuid,
    "duration": lambda r: go_duration(_seconds(r)),
    "duration_ms": lambda r: f"{_seconds(r) * 1000:.6f}".rstrip("0").rstrip("."),
    "body": lambda r: _body(r).decode("utf-8", "surrogateescape"),
    "body_base64": lambda r: base64.b64encode(_body(r)).decode(),
    "uri": lambda r: r.target,
    "uri_escaped": lambda r: escape(r.target),
    "uri.path": path_now,
    "uri.path_escaped": lambda r: escape(path_now(r)),
    "uri.path.dir": lambda r: _directory(path_now(r)),
    "uri.path.file": lambda r: _file(path_now(r)),
    "uri.path.file.base": _stem,
    "uri.path.file.ext": lambda r: _extension(path_now(r)),
    "uri.query": lambda r: r.query or "",
    "uri.query_escaped": lambda r: escape(r.query or ""),
    "uri.prefixed_query": lambda r: _prefixed(r.query),
    "orig_method": lambda r: _original(r)[0],
    "orig_uri": _original_target,
    "orig_uri.path": _original_path,
    "orig_uri.path.dir": lambda r: _directory(_original_path(r)),
    "orig_uri.path.file": lambda r: _file(_original_path(r)),
    "orig_uri.query": lambda r: _original(r)[2] or "",
    "orig_uri.prefixed_query": lambda r: _prefixed(_original(r)[2]),
    "remote": lambda r: _address(r.connection.peer),
    "remote.host": lambda r: r.connection.peer[0],
    "remote.port": lambda r: str(r.connection.peer[1]) if r.connection.peer[0] else "",
    "local": lambda r: _address(r.connection.local),
    "local.host": lambda r: r.connection.local[0],
    "local.port": lambda r: str(r.connection.local[1]) if r.connection.local[0] else "",
}


def go_duration(seconds: float) -> str:
    """Return a duration as Go prints it: ``1.5s``, ``350µs``, ``1m2s``."""
    nanoseconds = round(seconds * 1e9)
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if nanoseconds < size * 1000:
            return (
                f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit if nanoseconds else "0s"
            )
    whole, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(whole, 60)
    text = f"{rest / 1e9:.9f}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if whole else "") + text


def _header(name: str) -> Lookup:
    field = name.lower().encode()
    return lambda r: b",".join(r.headers.all(field)).decode("utf-8", "surrogateescape")


def _cookie(name: str) -> Lookup:
    wanted = name.lower()

    def cookie(request: Request) -> str:
        for value in request.headers.all(b"cookie"):
            for pair in value.decode("utf-8", "surrogateescape").split(";"):
                key, equals, content = pair.strip().partition("=")
                if equals and key.lower() == wanted:
                    return content.strip('"')
        return ""

    return cookie


def _query_value(name: str) -> Lookup:
    return lambda r: ",".join(parse_query(r.query)[0].get(name, ())) if r.query else ""


def _part_of(split: Callable[[Request], list[str]]) -> Callable[[str], Lookup | None]:
    def family(index: str) -> Lookup | None:
        if not index.isdecimal():
            return None
        place = int(index)

        def part(request: Request) -> str:
            parts = split(request)
            return parts[place] if place < len(parts) else ""

        return part

    return family


def _segments(path: Path) -> Callable[[Request], list[str]]:
    return lambda request: path(request).removeprefix("/").split("/")


def _labels(request: Request) -> list[str]:
    return _host(request).lower().split(".")[::-1]


_FAMILIES: tuple[tuple[str, Callable[[str], Lookup | None]], ...] = (
    ("header.", _header),
    ("cookie.", _cookie),
    ("uri.query.", _query_value),
    ("uri.path.", _part_of(_segments(path_now))),
    ("orig_uri.path.", _part_of(_segments(_original_path))),
    ("host.labels.", _part_of(_labels)),
    ("remote.host/", session.masked_peer),
    ("tls.", session.find),
)
