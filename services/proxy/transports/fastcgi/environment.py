"""What a FastCGI application is told of a request: the meta-variables of CGI (RFC 3875 §4.1), Caddy's way."""

from __future__ import annotations

import os
import posixpath
from urllib.parse import unquote_to_bytes

from quantum.errors import HttpError
from quantum.http.headers import Headers
from quantum.http.message import Request
from quantum.http.placeholders import Template, compile_template
from quantum.http.placeholders.request import split_host
from services.proxy.transports.config import FastCgiTransportConfig
from services.proxy.transports.fastcgi.records import Pair

SOFTWARE = b"Quantum"
REMAINDER_VAR = "http.matchers.file.remainder"
"""What the file matcher left of the path behind a script: PATH_INFO where nothing was split."""
_NEVER_FIELDS = frozenset({b"proxy", b"content-length", b"expect", b"host"})
"""HTTP_PROXY would be taken for a setting (CVE-2016-5385); the others are told otherwise or answered."""
_TLS_VERSIONS = {"tls1.2": b"TLSv1.2", "tls1.3": b"TLSv1.3"}
"""As Apache's mod_ssl spells SSL_PROTOCOL, which applications read."""


class Environment:
    """Made once of a configuration; called with each request."""

    def __init__(self, config: FastCgiTransportConfig) -> None:
        self._root = compile_template(config.root or "{http.vars.root}")
        self._resolves = config.resolve_root_symlink
        self._splits = [text.lower().encode("ascii") for text in config.split_path]
        self._own: list[tuple[bytes, Template]] = [
            (name.encode(), compile_template(value)) for name, value in config.env.items()
        ]

    def of(
        self, request: Request, method: str, target: str, headers: Headers, length: int
    ) -> list[Pair]:
        """Return the variables; ``target`` and ``headers`` are what goes upstream. HttpError 400: none can be made."""
        raw_path, _, query = target.partition("?")
        path = unquote_to_bytes(raw_path)
        if b"\0" in path:
            raise HttpError(400, "request cannot be forwarded: a NUL in its path")
        variables = {
            **self._of_script(request, path),
            **_of_connection(request),
            b"CONTENT_LENGTH": b"%d" % length,
            b"CONTENT_TYPE": headers.get(b"content-type") or b"",
            b"GATEWAY_INTERFACE": b"CGI/1.1",
            b"HTTP_CONTENT_LENGTH": b"%d" % length,
            b"HTTP_HOST": _latin(request.authority),
            b"QUERY_STRING": _latin(query),
            b"REQUEST_METHOD": _latin(method),
            b"REQUEST_URI": _latin(_original_target(request)),
            b"SERVER_PROTOCOL": _latin(request.version),
            b"SERVER_SOFTWARE": SOFTWARE,
        }
        for name, template in self._own:
            variables[name] = template(request).encode("utf-8", "surrogateescape")
        _add_fields(variables, headers)
        return list(variables.items())

    def _of_script(self, request: Request, path: bytes) -> dict[bytes, bytes]:
        root = os.path.abspath(os.fsencode(self._root(request) or "."))  # noqa: PTH100 - of bytes
        if self._resolves:
            root = os.path.realpath(root)
        at = self._split(path)
        script, info = (path, b"") if at is None else (path[:at], path[at:])
        if not info and request.has_vars:
            info = str(request.vars.get(REMAINDER_VAR, "")).encode("utf-8", "surrogateescape")
        file = _beneath(root, script)
        _refuse_inside_a_file(root, file)
        variables = {
            b"DOCUMENT_ROOT": root,
            b"DOCUMENT_URI": script,
            b"PATH_INFO": info,
            b"SCRIPT_FILENAME": file,
            b"SCRIPT_NAME": b"/" + script.lstrip(b"/") if script else b"",
        }
        if info:
            variables[b"PATH_TRANSLATED"] = _beneath(root, info)
        return variables

    def _split(self, path: bytes) -> int | None:
        """Return where the script's name ends: behind the first that is found, None for none (Caddy).

        Case is folded in ASCII only: folding that changes lengths would move the place.
        """
        if not self._splits:
            return 0
        folded = path.lower()
        for split in self._splits:
            found = folded.find(split)
            if found >= 0:
                return found + len(split)
        return None


def _of_connection(request: Request) -> dict[bytes, bytes]:
    facts = request.connection
    ip = _latin(facts.peer[0].partition("%")[0])
    host, port = split_host(request.authority)
    is_tls = request.scheme == "https"
    user = request.vars.get("http.auth.user.id", "") if request.has_vars else ""
    variables = {
        b"AUTH_TYPE": b"",
        b"REMOTE_ADDR": ip,
        b"REMOTE_HOST": ip,
        b"REMOTE_IDENT": b"",
        b"REMOTE_PORT": b"%d" % facts.peer[1] if ip else b"",
        b"REMOTE_USER": str(user).encode("utf-8", "surrogateescape"),
        b"REQUEST_SCHEME": _latin(request.scheme),
        b"SERVER_ADDR": _latin(facts.local[0].partition("%")[0]),
        b"SERVER_NAME": _latin(host),
        b"SERVER_PORT": _latin(port) or (b"443" if is_tls else b"80"),
    }
    if is_tls:
        variables[b"HTTPS"] = b"on"
        if facts.tls is not None:
            variables[b"SSL_PROTOCOL"] = _TLS_VERSIONS.get(facts.tls.version, b"")
            variables[b"SSL_CIPHER"] = _latin(facts.tls.cipher)
    return variables


def _add_fields(variables: dict[bytes, bytes], headers: Headers) -> None:
    """Add the request's fields as HTTP_*; several of a name become one."""
    for name, value in headers.fields:
        if name in _NEVER_FIELDS:
            continue
        key = b"HTTP_" + name.upper().replace(b"-", b"_")
        before = variables.get(key)
        if before is not None:
            value = before + (b"; " if name == b"cookie" else b", ") + value
        variables[key] = value


def _original_target(request: Request) -> str:
    if request.original is None:
        return request.target
    _, path, query = request.original
    return path if query is None else f"{path}?{query}"


def _beneath(root: bytes, path: bytes) -> bytes:
    """Return ``path`` under ``root``, wherever its dots point."""
    clean = posixpath.normpath(b"/" + path.lstrip(b"/"))
    slash = b"/" if path.endswith(b"/") and clean != b"/" else b""
    joined = root.rstrip(b"/") + (b"" if clean == b"/" else clean) + slash
    return joined or b"/"


def _refuse_inside_a_file(root: bytes, script: bytes) -> None:
    """Refuse ``upload.jpg/x.php``: PHP looks upwards for a file (cgi.fix_pathinfo) and would run the upload.

    Where the application's files are not on this machine nothing is known, and nothing refused.
    """
    parent = posixpath.dirname(script)
    while len(parent) > len(root):
        if os.path.exists(parent):  # noqa: PTH110 - of bytes
            if os.path.isfile(parent):  # noqa: PTH113 - of bytes
                raise HttpError(404, "the script would be inside a file")
            return
        parent = posixpath.dirname(parent)


def _latin(text: str) -> bytes:
    return text.encode("latin-1", "replace")
