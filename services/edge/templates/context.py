"""What a page knows: its request as Go shows it, the fields of its answer, and Caddy's functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from quantum.errors import HttpError
from quantum.http.failure import status_text
from quantum.http.headers import Headers
from quantum.http.message import Request
from quantum.http.placeholders import compile_template, find
from quantum.http.placeholders.request import decoded, split_host
from quantum.http.placeholders.surroundings import environment_value
from quantum.http.query import parse_query
from quantum.wire.h1.head import canonical
from services.edge.templates.execution import Budget, execute
from services.edge.templates.files import Files
from services.edge.templates.functions import FUNCTIONS
from services.edge.templates.library import Library
from services.edge.templates.syntax import TemplateError
from services.edge.templates.values import Map, Struct, shown
from services.edge.templates.writing import humanize, markdown, split_front_matter, strip_html

MAX_INCLUDED = 20
"""Files within files."""

CONTEXT_FUNCTIONS = frozenset({
    "env", "fileExists", "fileStat", "httpError", "httpInclude", "humanize", "import", "include", "listFiles",
    "markdown", "maybe", "ph", "placeholder", "readFile", "splitFrontMatter", "stripHTML",
})  # fmt: skip
NAMES = frozenset(FUNCTIONS) | CONTEXT_FUNCTIONS
"""Every function that a template may name."""


class Included(NamedTuple):
    """A body, and whether it is a template still to be executed."""

    text: str
    is_template: bool


Fetch = Callable[[str], Included]
"""Gives the body of a request of this server to itself, from the thread of a template."""


class Page:
    """One execution of one answer, with all that it includes."""

    def __init__(
        self, request: Request, fields: Headers, files: Files, library: Library, fetch: Fetch
    ) -> None:
        self._request = request
        self._files = files
        self._library = library
        self._fetch = fetch
        self._budget = Budget()
        self._depth = 0
        self._members = _members(request, fields)

    def render(self, source: str, arguments: list[Any] | None = None) -> str:
        """Return what a template makes of this request. TemplateError, HttpError."""
        templates = dict(self._library.get(source).templates)
        data = Struct({**self._members, "Args": arguments or []})
        functions = {**FUNCTIONS, **self._functions(templates)}
        self._depth += 1
        if self._depth > MAX_INCLUDED:
            raise TemplateError(f"files included deeper than {MAX_INCLUDED}")
        text = execute(templates, data, functions, self._budget)
        self._depth -= 1
        return text

    def _functions(self, templates: dict[str, tuple[Any, ...]]) -> Mapping[str, Callable[..., Any]]:
        files = self._files

        def fetched(uri: str) -> str:
            included = self._fetch(uri)
            return self.render(included.text) if included.is_template else included.text

        def imported(name: str) -> str:
            parsed = self._library.get(files.read(name))
            templates.update({name: body for name, body in parsed.templates.items() if name})
            return ""

        return {
            "include": lambda name, *arguments: self.render(files.read(name), list(arguments)),
            "import": imported,
            "readFile": files.read,
            "listFiles": files.names,
            "fileExists": files.exists,
            "fileStat": files.status,
            "httpInclude": fetched,
            "httpError": _fail,
            "env": environment_value,
            "placeholder": self._placeholder,
            "ph": self._placeholder,
            "markdown": markdown,
            "splitFrontMatter": split_front_matter,
            "stripHTML": strip_html,
            "humanize": humanize,
            "maybe": lambda name, *arguments: "",  # functions of plugins, of which there are none
        }

    def _placeholder(self, name: str) -> str:
        if name.startswith("{") or "{" in name:
            return compile_template(name)(self._request)
        return find(name)(self._request) or ""


def _fail(status: int) -> str:
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 999:
        raise TemplateError(f"{shown(status)} is no status")
    raise HttpError(status, status_text(status))


def _members(request: Request, fields: Headers) -> dict[str, Any]:
    original = request.original or (request.method, request.path, request.query)
    return {
        "Req": _request(request, request.method, request.path, request.query),
        "OriginalReq": _request(request, *original),
        "RespHeader": _response_fields(fields),
        "Cookie": lambda name: find(f"http.request.cookie.{name}")(request) or "",
        "Host": lambda: split_host(request.authority)[0],
        "RemoteIP": lambda: request.connection.peer[0],
        "ClientIP": lambda: request.client_ip,
    }


def _request(request: Request, method: str, path: str, query: str | None) -> Struct:
    target = path if query is None else f"{path}?{query}"
    peer = request.connection.peer

    def form(name: str) -> str:
        return next(iter(parse_query(query)[0].get(name, ())), "")

    return Struct({
        "Method": method,
        "Proto": request.version,
        "Host": request.authority,
        "RequestURI": target,
        "RemoteAddr": f"{peer[0]}:{peer[1]}" if peer[0] else "@",
        "ContentLength": len(request.body) if isinstance(request.body, bytes) else -1,
        "Header": _fields(request.headers),
        "URL": _url(path, query, target),
        "TLS": None if request.connection.tls is None else Struct({
            "ServerName": request.connection.tls.server_name,
            "NegotiatedProtocol": request.connection.tls.protocol,
        }),
        "FormValue": form,
        "UserAgent": lambda: _one(request.headers, "user-agent"),
        "Referer": lambda: _one(request.headers, "referer"),
    })  # fmt: skip


def _url(path: str, query: str | None, target: str) -> Struct:
    values = parse_query(query)[0]
    pairs = Map(
        values,
        {
            "Get": lambda name: next(iter(values.get(name, ())), ""),
            "Has": lambda name: name in values,
        },
    )
    members: dict[str, Any] = {
        "Path": decoded(path),
        "RawPath": path if quote(decoded(path), safe="/%:@!$&'()*+,;=~-._") != path else "",
        "RawQuery": query or "",
        "Query": lambda: pairs,
        "EscapedPath": lambda: path,
        "RequestURI": lambda: target,
        "String": lambda: target,
        "Host": "", "Scheme": "", "Fragment": "", "Opaque": "",
    }  # fmt: skip
    return Struct(members, text=lambda: target)


def _one(headers: Headers, name: str) -> str:
    value = headers.get(name.lower().encode("utf-8", "surrogateescape"))
    return "" if value is None else value.decode("utf-8", "surrogateescape")


def _listed(headers: Headers) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers.fields:
        spelled = canonical(name).decode("latin-1")
        found.setdefault(spelled, []).append(value.decode("utf-8", "surrogateescape"))
    return found


def _fields(headers: Headers) -> Map:
    members = {
        "Get": lambda name: _one(headers, name),
        "Values": lambda name: [v.decode("utf-8", "surrogateescape") for v in headers.all(name.lower().encode())],
    }  # fmt: skip
    return Map(_listed(headers), members)


def _response_fields(fields: Headers) -> Map:
    """Return the answer's fields: ``Add``, ``Set`` and ``Del`` change them and write nothing."""

    def changed(name: str, value: Any, *, replace: bool) -> str:
        key, text = name.lower().encode("ascii", "strict"), shown(value)
        if (
            not key
            or any(c in text for c in "\r\n\0")
            or not all(33 <= c < 127 and c != 58 for c in key)
        ):
            raise TemplateError(f"no field: {name!r}")
        if replace:
            fields.remove(key)
        fields.add(key, text.encode("utf-8", "surrogateescape"))
        return ""

    def deleted(name: str) -> str:
        fields.remove(name.lower().encode("ascii", "replace"))
        return ""

    members = {
        "Add": lambda name, value: changed(name, value, replace=False),
        "Set": lambda name, value: changed(name, value, replace=True),
        "Del": deleted,
        "Get": lambda name: _one(fields, name),
    }
    return Map(_listed(fields), members)
