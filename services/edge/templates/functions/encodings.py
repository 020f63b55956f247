"""Sprig's encodings, digests, identifiers and URLs."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from services.edge.templates.syntax import TemplateError
from services.edge.templates.values import shown

MAX_DEPTH = 100


def _bytes(text: Any) -> bytes:
    return shown(text).encode("utf-8", "surrogateescape")


def _decoded(decode: Callable[[bytes], bytes]) -> Callable[[str], str]:
    def decoded(text: str) -> str:
        try:
            return decode(text.encode()).decode("utf-8", "surrogateescape")
        except ValueError as error:
            return str(error)  # as Sprig does

    return decoded


def _json(value: Any, indent: int | None = None, *, raw: bool = False) -> str:
    separators = None if indent else (",", ":")
    try:
        text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False, sort_keys=True, default=shown)  # fmt: skip
    except RecursionError:
        raise TemplateError("a value that contains itself") from None
    if raw:
        return text
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return ""


def _parsed(text: str) -> dict[str, Any]:
    parts = urlsplit(text)
    user = parts.netloc.rpartition("@")[0]
    return {
        "scheme": parts.scheme, "host": parts.netloc.rpartition("@")[2], "hostname": parts.hostname or "",
        "path": parts.path, "query": parts.query, "opaque": "", "fragment": parts.fragment, "userinfo": user,
    }  # fmt: skip


def _joined(parts: dict[str, Any]) -> str:
    user = parts.get("userinfo", "")
    host = f"{user}@{parts.get('host', '')}" if user else parts.get("host", "")
    fields = (
        parts.get("scheme", ""),
        host,
        parts.get("path", ""),
        parts.get("query", ""),
        parts.get("fragment", ""),
    )
    return str(urlunsplit(fields))


ENCODINGS: dict[str, Callable[..., Any]] = {
    "b64enc": lambda text: base64.b64encode(_bytes(text)).decode(),
    "b64dec": _decoded(lambda data: base64.b64decode(data, validate=True)),
    "b32enc": lambda text: base64.b32encode(_bytes(text)).decode(),
    "b32dec": _decoded(base64.b32decode),
    "sha1sum": lambda text: hashlib.sha1(_bytes(text), usedforsecurity=False).hexdigest(),
    "sha256sum": lambda text: hashlib.sha256(_bytes(text)).hexdigest(),
    "sha512sum": lambda text: hashlib.sha512(_bytes(text)).hexdigest(),
    "adler32sum": lambda text: str(zlib.adler32(_bytes(text))),
    "toJson": _json,
    "toPrettyJson": lambda value: _json(value, 2),
    "toRawJson": lambda value: _json(value, raw=True),
    "fromJson": _from_json,
    "urlParse": _parsed,
    "urlJoin": _joined,
    "uuidv4": lambda: str(uuid.uuid4()),
    "pathEscape": lambda text: quote(shown(text), safe="$&+=:@-_.~"),
}
