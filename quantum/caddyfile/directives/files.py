"""``file_server`` and ``encode``."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import Any

from quantum.caddyfile.context import Context
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.namespaces import Readers, read_value
from quantum.caddyfile.modules.responses import read_matcher
from quantum.caddyfile.modules.settings import Setting
from quantum.caddyfile.values import numbers
from quantum.caddyfile.values.encoding import compact, weak

PRECOMPRESSED = ("br", "zstd", "gzip")
SORTS = ("name", "namedirfirst", "size", "time", "asc", "desc")

FIELDS = {
    "index": Setting("index_names", settings.texts),
    "hide": Setting("hide", settings.texts),
    "root": Setting("root", settings.text),
    "status": Setting("status_code", settings.text),
    "pass_thru": Setting("pass_thru", settings.flag),
    "etag_file_extensions": Setting("etag_file_extensions", settings.texts),
}


def file_server(context: Context) -> dict[str, Any]:
    """``file_server [browse] { … }``."""
    d = context.d
    made: dict[str, Any] = {}
    browse: dict[str, Any] | None = None
    d.next()
    args = d.rest()
    if len(args) > 1 or (args and args[0] != "browse"):
        raise d.arg_error()
    if args:
        browse = {}
    for word in d.block():
        if word == "browse":
            if browse is not None:
                raise d.error("browsing is already configured")
            browse = _browse(d)
        elif word == "fs":
            _file_system(d, made)
        elif word == "precompressed":
            order = d.rest() or list(PRECOMPRESSED)
            made["precompressed_order"] = order
            made["precompressed"] = {name: _precompressed(d, name) for name in order}
        elif word == "disable_canonical_uris":
            d.no_more()
            made["canonical_uris"] = False
        elif word in FIELDS:
            FIELDS[word].apply(d, made)
        else:
            raise d.error(f"unknown subdirective '{word}'")
    return _finished(context, made, browse)


def _finished(
    context: Context, made: dict[str, Any], browse: dict[str, Any] | None
) -> dict[str, Any]:
    made["status_code"] = weak(made.get("status_code", ""))
    hide = list(made.get("hide", ()))
    for file in context.files:
        path = os.path.normpath(file)
        if not _is_hidden(path, hide):
            hide.append(path if "/" in path else f"./{path}")
    made["hide"] = hide
    canonical = made.pop("canonical_uris", None)
    kept = compact(**made)
    if canonical is not None:
        kept["canonical_uris"] = canonical
    if browse is not None:
        kept["browse"] = browse
    return kept


def _file_system(d: Dispenser, made: dict[str, Any]) -> None:
    value = d.arg()
    if "fs" in made:
        raise d.error("file system already specified")
    made["fs"] = value


def _precompressed(d: Dispenser, name: str) -> dict[str, Any]:
    if name not in PRECOMPRESSED:
        full = f"http.precompressed.{name}"
        raise d.error(f"getting module named '{full}': module not registered: {full}")
    return {}


def _browse(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if d.next_arg():
        made["template_file"] = d.val
    for word in d.block():
        if word == "reveal_symlinks":
            if made.get("reveal_symlinks"):
                raise d.error("Symlinks path reveal is already enabled")
            made["reveal_symlinks"] = True
        elif word == "sort":
            made.setdefault("sort", []).extend(_sort_option(d, value) for value in d.rest())
        elif word == "file_limit":
            _file_limit(d, made)
        else:
            raise d.error(f"unknown subdirective '{word}'")
    return made


def _sort_option(d: Dispenser, value: str) -> str:
    if value not in SORTS:
        raise d.error(f"unknown sort option '{value}'")
    return value


def _file_limit(d: Dispenser, made: dict[str, Any]) -> None:
    args = d.rest()
    if len(args) != 1:
        raise d.error("file_limit should have an integer value")
    if made.get("file_limit"):
        raise d.error("file_limit is already enabled")
    try:
        made["file_limit"] = numbers.parse_int(args[0])
    except CaddyfileError:
        made.pop("file_limit", None)


def _is_hidden(file: str, hide: list[str]) -> bool:
    """Whether the file is hidden already; a name without "/" hides it anywhere."""
    path = str(Path(file).absolute())
    for pattern in hide:
        if "/" not in pattern:
            if any(fnmatch.fnmatchcase(part, pattern) for part in path.split("/")):
                return True
        elif path.startswith(pattern) and path[len(pattern) :].startswith("/"):
            return True
        if fnmatch.fnmatchcase(path, pattern):
            return True
    return False


def _gzip(d: Dispenser) -> dict[str, Any]:
    d.next()
    if not d.next_arg():
        return {}
    value = d.val
    try:
        return compact(level=numbers.parse_int(value))
    except CaddyfileError as error:
        raise CaddyfileError(error.problem) from None


def _zstd(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    d.next()
    if d.next_arg():
        value = d.val
        if value not in {"fastest", "better", "best", "default"}:
            raise d.error(
                "unexpected compression level, use one of 'fastest', 'better', 'best', 'default'"
            )
        made["level"] = value
    return made


ENCODERS: Readers = {"gzip": _gzip, "zstd": _zstd}


def encode(context: Context) -> dict[str, Any]:
    """``encode [<formats…>] { <format> …, minimum_length, match }``."""
    d = context.d
    made: dict[str, Any] = {}
    encodings: dict[str, Any] = {}
    prefer: list[str] = []
    d.next()
    formats = d.rest()
    for word in d.block():
        if word == "minimum_length":
            value = d.arg()
            try:
                made["minimum_length"] = numbers.parse_int(value)
            except CaddyfileError as error:
                raise CaddyfileError(error.problem) from None
        elif word == "match":
            made["match"] = read_matcher(d)
        else:
            name, found = read_value(d, "http.encoders", ENCODERS)
            encodings[name] = found
            prefer.append(name)
    if not prefer and not formats:
        formats = ["zstd", "gzip"]
    for name in formats:
        if name not in ENCODERS:
            raise d.error(f"finding encoder module '': module not registered: http.encoders.{name}")
        encodings[name] = {}
        prefer.append(name)
    kept = compact(**{name: value for name, value in made.items() if name != "match"})
    if "match" in made:
        kept["match"] = made["match"]
    return {**kept, "encodings": encodings, "prefer": prefer}
