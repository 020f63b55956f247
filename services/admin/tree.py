"""Reading and changing a JSON document by path: the semantics of Caddy's ``/config/``.

Pure: a change returns a new document and leaves the old one alone. A path is the part of a URL after
``/config``, still percent-encoded, so that a key with a slash in it can be addressed as ``%2F``.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any
from urllib.parse import quote, unquote

from quantum.errors import QuantumError


class TreeError(QuantumError):
    """A path that leads nowhere, or a change that its method does not allow; ``status`` as in HTTP."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


def split(path: str) -> list[str]:
    """Return the decoded steps of a path; the root has none."""
    trimmed = path.strip("/")
    return [unquote(part) for part in trimmed.split("/")] if trimmed else []


def read(document: Any, path: str) -> Any:
    """Return the value at ``path``; None for a missing last key (Caddy answers ``null``)."""
    value = document
    steps = split(path)
    for depth, step in enumerate(steps):
        if isinstance(value, dict):
            if step not in value and depth < len(steps) - 1:
                raise TreeError(400, f"invalid traversal path at: {_shown(steps, depth)}")
            value = value.get(step)
        elif isinstance(value, list):
            value = value[_index(step, len(value), steps, depth)]
        else:
            raise TreeError(400, f"invalid traversal path at: {_shown(steps, depth)}")
    return value


def change(document: Any, method: str, path: str, value: Any = None) -> Any:
    """Return the document after POST, PUT, PATCH or DELETE of ``value`` at ``path``."""
    steps = split(path)
    expand = bool(steps) and steps[-1] == "..."
    if expand:
        steps = steps[:-1]
        if not isinstance(value, list):
            raise TreeError(400, "a path that ends with /... takes an array")
    holder = {"config": copy.deepcopy(document)}
    steps = ["config", *steps]
    parent = _descend(holder, steps, method)
    if isinstance(parent, list):
        _change_item(parent, method, steps, value, expand=expand)
    elif isinstance(parent, dict):
        _change_key(parent, method, steps, value, expand=expand)
    else:
        raise TreeError(404, f"invalid traversal path at: {_shown(steps, len(steps) - 1)}")
    return holder.get("config")


def _descend(holder: Any, steps: list[str], method: str) -> Any:
    """Return what holds the last step; PUT makes objects that are missing on the way."""
    value = holder
    for depth, step in enumerate(steps[:-1]):
        if isinstance(value, dict):
            if value.get(step) is None:
                if method != "PUT":
                    raise TreeError(404, f"invalid traversal path at: {_shown(steps, depth)}")
                value[step] = {}
            value = value[step]
        elif isinstance(value, list):
            value = value[_index(step, len(value), steps, depth)]
        else:
            raise TreeError(404, f"invalid traversal path at: {_shown(steps, depth)}")
    return value


def _change_item(
    items: list[Any], method: str, steps: list[str], value: Any, *, expand: bool
) -> None:
    if method == "POST":  # the index is ignored: POST to a member of an array appends to the array
        items.extend(value if expand else [value])
        return
    room = 1 if method == "PUT" else 0  # an insertion may come after the last one
    index = _index(steps[-1], len(items) + room, steps, len(steps) - 1)
    if method == "PUT":
        items.insert(index, value)
    elif method == "PATCH":
        items[index] = value
    else:
        del items[index]


def _change_key(
    fields: dict[str, Any], method: str, steps: list[str], value: Any, *, expand: bool
) -> None:
    key = steps[-1]
    present = fields.get(key)
    if method == "POST":
        if isinstance(present, list):
            present.extend(value if expand else [value])
        else:
            fields[key] = value
        return
    if method == "PUT":
        if present is not None:
            raise TreeError(409, f"[{_shown(steps)}] key already exists: {key}")
        fields[key] = value
        return
    if key not in fields:
        raise TreeError(404, f"[{_shown(steps)}] key does not exist: {key}")
    if method == "PATCH":
        fields[key] = value
    else:
        del fields[key]


def _index(step: str, end: int, steps: list[str], depth: int) -> int:
    is_canonical = step.isascii() and step.isdecimal() and (step == "0" or step[0] != "0")
    if not is_canonical:
        raise TreeError(400, f"[{_shown(steps, depth)}] invalid array index {step!r}")
    if len(step) > 9 or int(step) >= end:
        raise TreeError(400, f"[{_shown(steps, depth)}] array index out of bounds: {step}")
    return int(step)


def _shown(steps: list[str], depth: int | None = None) -> str:
    shown = steps if depth is None else steps[: depth + 1]
    return "/" + "/".join(quote(step, safe="") for step in shown)


def path_of(steps: tuple[str | int, ...]) -> str:
    """Return the path of a place in a document."""
    return "".join("/" + quote(str(step), safe="") for step in steps)


def encode(value: Any) -> bytes:
    """Return a value as the API sends it: compact, keys sorted, one line."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def etag(path: str, body: bytes) -> str:
    """Return Caddy's form of entity tag: the path and a hash of what is there."""
    return f'"{path} {hashlib.blake2b(body, digest_size=8).hexdigest()}"'


def check_if_match(document: Any, header: str) -> None:
    """Raise TreeError unless ``header`` (If-Match) has the hash of the document at the path it names."""
    if len(header) < 2 or not header.startswith('"') or not header.endswith('"'):
        raise TreeError(400, "malformed If-Match header; expect quoted string")
    parts = header[1:-1].split()
    if len(parts) != 2:
        raise TreeError(400, 'malformed If-Match header; expect format "<path> <hash>"')
    inside = parts[0].removeprefix("/config")
    if etag(parts[0], encode(read(document, inside))) != f'"{parts[0]} {parts[1]}"':
        raise TreeError(412, "If-Match header did not match current config hash")
