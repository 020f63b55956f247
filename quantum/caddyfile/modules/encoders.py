"""How log entries look, and what is done to their fields."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.namespaces import Readers, read_module, take_module
from quantum.caddyfile.modules.responses import scalar
from quantum.caddyfile.modules.settings import Setting
from quantum.caddyfile.values import numbers

Made = dict[str, Any]

COMMON = {
    word: Setting(word, settings.text_only)
    for word in (
        "message_key", "level_key", "time_key", "name_key", "caller_key", "stacktrace_key",
        "line_ending", "time_format", "duration_format", "level_format",
    )
}  # fmt: skip


def _entry(d: Dispenser) -> Made:
    made: Made = {}
    d.next()
    d.no_more()
    for word in d.block():
        if word == "time_local":
            d.no_more()
            made["time_local"] = True
        elif word in COMMON:
            COMMON[word].apply(d, made)
        else:
            raise d.error(f"unrecognized subdirective {word}")
    return made


def _wrap(d: Dispenser) -> Made:
    return take_module(d, "caddy.logging.encoders", ENCODERS, "format")


def _filter(d: Dispenser) -> Made:
    made: Made = {}
    fields: Made = {}
    d.next()
    d.no_more()
    for word in d.block():
        if word == "wrap":
            made["wrap"] = _wrap(d)
        elif word == "fields":
            for field in d.block():
                _field_filter(d, fields, field)
        else:
            _field_filter(d, fields, word)
    if fields:
        made["fields"] = fields
    return made


def _field_filter(d: Dispenser, fields: Made, field: str) -> None:
    d.arg()
    # The filter's own segment begins with its name: what stands before is the field.
    fields[field] = read_module(d, "caddy.logging.encoders.filter", FILTERS, "filter")


def _append(d: Dispenser) -> Made:
    made: Made = {}
    fields: Made = {}
    d.next()
    d.no_more()
    for word in d.block():
        if word == "wrap":
            made["wrap"] = _wrap(d)
        elif word == "fields":
            for field in d.block():
                _added(d, fields, field)
        else:
            _added(d, fields, word)
    if fields:
        made["fields"] = fields
    return made


def _added(d: Dispenser, fields: Made, field: str) -> None:
    d.arg()
    fields[field] = scalar(d)
    d.no_more()


def _journald(d: Dispenser) -> Made:
    made: Made = {}
    d.next()
    d.no_more()
    for word in d.block():
        if word != "wrap":
            raise d.error(f"unrecognized subdirective {word}")
        made["wrap"] = _wrap(d)
    return made


ENCODERS: Readers = {
    "json": _entry,
    "console": _entry,
    "filter": _filter,
    "append": _append,
    "journald": _journald,
}


def _nothing(d: Dispenser) -> Made:
    d.next()
    return {}


def _one(name: str) -> Any:
    def read(d: Dispenser) -> Made:
        d.next()
        return {name: d.val} if d.next_arg() else {}

    return read


def _ip_mask(d: Dispenser) -> Made:
    made: Made = {}
    d.next()
    args = d.rest()
    if len(args) > 2:
        raise d.error("too many arguments")
    for name, value in zip(("ipv4_cidr", "ipv6_cidr"), args, strict=False):
        made[name] = _cidr(d, value)
    for word in d.block():
        if word not in {"ipv4", "ipv6"}:
            raise d.error(f"unrecognized subdirective {word}")
        made[f"{word}_cidr"] = _cidr(d, d.arg())
    return made


def _cidr(d: Dispenser, value: str) -> int:
    try:
        return numbers.parse_int(value)
    except CaddyfileError as error:
        raise d.error(f"error parsing {value}: {error.problem}") from None


def _regexp(d: Dispenser) -> Made:
    d.next()
    made: Made = {}
    if d.next_arg():
        made["regexp"] = d.val
    if d.next_arg():
        made["value"] = d.val
    return made


def _multi_regexp(d: Dispenser) -> Made:
    d.next()
    operations = []
    for word in d.block():
        if word != "regexp":
            raise d.error(f"unrecognized subdirective {word}")
        pattern, value = d.exactly(2)
        operations.append({"regexp": pattern, "value": value})
    return {"operations": operations}


def _actions(key: str) -> Any:
    def read(d: Dispenser) -> Made:
        d.next()
        actions = []
        for word in d.block():
            if word not in {"replace", "hash", "delete"}:
                raise d.error(f"unrecognized subdirective {word}")
            action: Made = {"type": word, key: d.arg()}
            if word == "replace":
                action["value"] = d.arg()
            actions.append(action)
        return {"actions": actions}

    return read


FILTERS: Readers = {
    "delete": _nothing,
    "hash": _nothing,
    "rename": _one("name"),
    "replace": _one("value"),
    "ip_mask": _ip_mask,
    "regexp": _regexp,
    "multi_regexp": _multi_regexp,
    "query": _actions("parameter"),
    "cookie": _actions("name"),
    "set_cookie": _actions("name"),
}
