"""``log``, and what a request may say about its own entry."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.context import Context
from quantum.caddyfile.modules.logs import read_log
from quantum.caddyfile.routes import Value
from quantum.caddyfile.sites.logs import NamedLog


def log(context: Context) -> list[Value]:
    """``log [<name>] { … }``: access logs of the site."""
    d = context.d
    d.next()
    name = ""
    if d.next_arg():
        name = d.val
        d.no_more()
    found = NamedLog(name, None)

    def special(word: str) -> bool:
        if word == "hostnames":
            found.hostnames += d.some()
        elif word == "no_hostname":
            found.no_hostname = True
        elif word in {"include", "exclude"}:
            raise d.error(f"{word} is not allowed in the log directive")
        else:
            return False
        return True

    made = read_log(d, special)
    if not found.name and made:
        found.name = f"log{context.state.log_count}"
        context.state.log_count += 1
    if made:
        found.log = {**made, "include": [f"http.log.access.{found.name}"]}
    return [Value("custom_log", found)]


def log_skip(context: Context) -> dict[str, Any]:
    """``log_skip``."""
    d = context.d
    d.next()
    d.no_more()
    if d.next_block(0):
        raise d.error("log_skip directive does not accept blocks")
    return {"log_skip": True}


def skip_log(context: Context) -> dict[str, Any]:
    """``skip_log``: the former name of ``log_skip``."""
    context.d.next()
    context.d.prev()
    return log_skip(context)


def log_name(context: Context) -> dict[str, Any]:
    """``log_name <names…>``."""
    context.d.next()
    return {"access_logger_names": context.d.rest()}


def log_append(context: Context) -> dict[str, Any]:
    """``log_append [<]<key> <value>``."""
    d = context.d
    d.next()
    key, value = d.arg(), d.arg()
    made: dict[str, Any] = {}
    if key.startswith("<"):
        key = key[1:]
        made["early"] = True
    return {**made, "key": key, "value": value}
