"""Answers and variables: respond, error, abort, redir, vars, fs, root, metrics, map, and the like."""

from __future__ import annotations

import html
import re
from typing import Any

from quantum.caddyfile.context import Context
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.responses import scalar
from quantum.caddyfile.modules.settings import Setting, read_block
from quantum.caddyfile.routes import Value
from quantum.caddyfile.shorthands import WHOLE
from quantum.caddyfile.values import numbers
from quantum.caddyfile.values.encoding import compact, weak

REDIRECT_PAGE = """<!DOCTYPE html>
<html>
	<head>
		<title>Redirecting...</title>
		<script>window.location.replace("{0}");</script>
		<meta http-equiv="refresh" content="0; URL='{0}'">
	</head>
	<body>Redirecting to <a href="{0}">{0}</a>...</body>
</html>
"""
HTML = {"Content-Type": ["text/html; charset=utf-8"]}


def _message(d: Dispenser, field: str) -> dict[str, Any]:
    """Read ``status | text [status]``."""
    d.next()
    args = d.rest()
    if not 1 <= len(args) <= 2:
        raise d.arg_error()
    if len(args) == 2:
        return {field: args[0], "status_code": args[1]}
    if re.fullmatch(r"[+-]?[0-9]+", args[0]) and len(args[0]) == 3 and int(args[0]) > 0:
        return {"status_code": args[0]}
    return {field: args[0]}


def respond(context: Context) -> dict[str, Any]:
    """``respond [<status>|<body> [<status>]] { body, close }``."""
    d = context.d
    made = _message(d, "body")
    for word in d.block():
        if word == "body":
            if made.get("body"):
                raise d.error("body already specified")
            made["body"] = d.only()
        elif word == "close":
            if made.get("close"):
                raise d.error("close already specified")
            made["close"] = True
        else:
            raise d.error(f"unrecognized subdirective '{word}'")
    made["status_code"] = weak(made.get("status_code", ""))
    return compact(**made)


def error(context: Context) -> dict[str, Any]:
    """``error <status>|<message> [<status>] { message }``."""
    d = context.d
    made = _message(d, "error")
    for word in d.block():
        if word != "message":
            raise d.error(f"unrecognized subdirective '{word}'")
        if made.get("error"):
            raise d.error("message already specified")
        made["error"] = d.only()
    made["status_code"] = weak(made.get("status_code", ""))
    return compact(**made)


def abort(context: Context) -> dict[str, Any]:
    """``abort``."""
    context.d.next()
    if context.d.next():
        raise context.d.arg_error()
    return {"abort": True}


def redir(context: Context) -> dict[str, Any]:
    """``redir <to> [<code>]``."""
    d = context.d
    d.next()
    to = d.arg()
    code = d.val if d.next_arg() else ""
    code = {"permanent": "301", "temporary": "302", "": "302"}.get(code, code)
    if code == "html":
        safe = html.escape(to).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
        return {"status_code": 200, "headers": HTML, "body": REDIRECT_PAGE.format(safe)}
    if not code.startswith("{"):
        try:
            number = numbers.parse_int(code)
        except CaddyfileError:
            raise d.error(
                f"Not a supported redir code type or not valid integer: '{code}'"
            ) from None
        if not 300 <= number <= 399 and number != 401:
            raise d.error(f"Redir code not in the 3xx range or 401: '{number}'")
    return {"status_code": weak(code), "headers": {"Location": [to]}}


def variables(context: Context) -> dict[str, Any]:
    """``vars [<name> <value>] { <name> <value> … }``."""
    d = context.d
    d.next()
    made: dict[str, Any] = {}
    if d.next_arg():
        _variable(d, made)
    for _ in d.block():
        _variable(d, made)
    return made


def _variable(d: Dispenser, made: dict[str, Any]) -> None:
    name = d.val
    d.arg()
    made[name] = scalar(d)
    d.no_more()


def root(context: Context) -> list[Value]:
    """``root [<matcher>] <path>``."""
    d = context.d
    d.next()
    count = d.count_rest()
    if count == 0:
        raise d.error("too few arguments; must have at least a root path")
    if count > 2:
        raise d.error("too many arguments; should only be a matcher and a path")
    if count == 1:
        return context.route(None, "vars", {"root": d.arg()})
    match = context.take_matcher()
    d.next()
    d.next()
    return context.route(match, "vars", {"root": d.val})


def file_system(context: Context) -> dict[str, Any]:
    """``fs <file system>``."""
    context.d.next()
    return {"fs": context.d.only()}


def mapping(context: Context) -> dict[str, Any]:
    """``map <source> <destinations…> { <input> <outputs…> … default … }``."""
    d = context.d
    d.next()
    source, destinations = d.arg(), d.rest()
    if not destinations:
        raise d.error("missing destination argument(s)")
    for name in destinations:
        short = next((short for short, long in WHOLE.items() if long == name), "")
        if short:
            raise d.error(f"destination {short} conflicts with a Caddyfile placeholder shorthand")
    defaults: list[str] = []
    mappings: list[dict[str, Any]] = []
    for word in d.block():
        if word == "default":
            if defaults:
                raise d.error("defaults already defined")
            defaults = d.rest()
            defaults += [""] * (len(destinations) - len(defaults))
        else:
            mappings.append(_mapping(d, word, len(destinations)))
    return compact(source=source, destinations=destinations, mappings=mappings, defaults=defaults)


def _mapping(d: Dispenser, word: str, count: int) -> dict[str, Any]:
    outputs: list[Any] = []
    while d.next_arg():
        value = scalar(d)
        outputs.append(None if value == "-" else value)
    if len(outputs) > count:
        raise d.error("too many outputs")
    outputs += [None] * (count - len(outputs))
    kind, text = ("input_regexp", word[1:]) if word.startswith("~") else ("input", word)
    return {**compact(**{kind: text}), "outputs": outputs}


def metrics(context: Context) -> dict[str, Any]:
    """``metrics { disable_openmetrics }``."""
    d = context.d
    d.next()
    d.no_more()
    made: dict[str, Any] = {}
    table = {"disable_openmetrics": Setting("disable_openmetrics", settings.loose_flag)}
    read_block(d, made, table, 'unrecognized subdirective "{}"')
    return made


def tracing(context: Context) -> dict[str, Any]:
    """``tracing { span, span_attributes }``."""
    d = context.d
    made: dict[str, Any] = {"span": ""}
    d.next()
    d.no_more()
    table = {
        "span": Setting("span", settings.text_only),
        "span_attributes": Setting("span_attributes", _attributes),
    }
    for word in d.block():
        if word not in table:
            raise d.arg_error()
        table[word].apply(d, made)
    return made


def _attributes(d: Dispenser) -> dict[str, str]:
    found = {}
    for name in d.block():
        found[name] = d.only()
    return found


def _mime_types(d: Dispenser) -> list[str]:
    return d.some()


def _extensions(d: Dispenser) -> dict[str, Any]:
    """Refuse template functions by name; there are none of Caddy's own."""
    d.no_more()
    for word in d.block():
        name = f"http.handlers.templates.functions.{word}"
        raise d.error(f"getting module named '{name}': module not registered: {name}")
    return {}


def templates(context: Context) -> dict[str, Any]:
    """``templates { mime, between, root, extensions }``."""
    d = context.d
    d.next()
    made: dict[str, Any] = {}
    table = {
        "mime": Setting("mime_types", _mime_types),
        "between": Setting("delimiters", lambda d: d.exactly(2)),
        "root": Setting("file_root", settings.text),
        "extensions": Setting("match", _extensions),
    }
    read_block(d, made, table, "unrecognized subdirective '{}'")
    return made


def push(context: Context) -> dict[str, Any]:
    """``push [<resource>] { [GET|HEAD] <resource>, headers { … } }``."""
    from quantum.caddyfile.modules.responses import HeaderOps

    d = context.d
    d.next()
    resources: list[dict[str, str]] = []
    ops: HeaderOps | None = None
    if d.next_arg():
        resources.append({"target": d.val})
    for word in d.block():
        if word == "headers":
            d.no_more()
            for field in d.block():
                ops = ops or HeaderOps(response=False)
                args = d.rest()
                if len(args) > 2:
                    raise d.arg_error()
                value, replacement = [*args, None, None][:2]
                ops.apply(field, value or "", replacement)
        elif word in {"GET", "HEAD"}:
            resources.append({"method": word, "target": d.arg()})
        else:
            resources.append({"target": word})
    made = compact(resources=resources)
    if ops is not None:
        made["headers"] = ops.to_json()
    return made


def request_body(context: Context) -> dict[str, Any]:
    """``request_body { max_size, set }``."""
    d = context.d
    made: dict[str, Any] = {}
    d.next()
    d.no_more()
    table = {
        "max_size": Setting("max_size", settings.size("parsing max_size: {error}")),
        "set": Setting("set", settings.text),
    }  # fmt: skip
    read_block(d, made, table, "unrecognized request_body subdirective '{}'")
    return made


def basic_auth(context: Context) -> dict[str, Any]:
    """``basic_auth [<algorithm> [<realm>]] { <user> <hash> … }``."""
    d = context.d
    d.next()
    args = d.rest()
    if len(args) > 2:
        raise d.arg_error()
    algorithm = args[0] if args else "bcrypt"
    if algorithm not in {"bcrypt", "argon2id"}:
        raise d.error(f"unrecognized hash algorithm: {algorithm}")
    accounts = []
    for word in d.block():
        password = d.rest()
        if not word or not password or not password[0]:
            raise d.error("username and password cannot be empty or missing")
        if len(password) > 1:
            raise d.arg_error()
        accounts.append({"username": word, "password": password[0]})
    basic = {
        "hash": {"algorithm": algorithm},
        **compact(accounts=accounts, realm=args[1] if len(args) > 1 else ""),
        "hash_cache": {},
    }
    return {"providers": {"http_basic": basic}}
