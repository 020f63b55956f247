"""What changes the request's target: rewrite, method, uri, handle_path, try_files."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.context import Context, make_route
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.routes import Route, Value
from quantum.caddyfile.values import numbers
from quantum.caddyfile.values.encoding import compact

POLICIES = (
    "first_exist", "first_exist_fallback", "largest_size", "smallest_size",
    "most_recently_modified",
)  # fmt: skip


def rewrite(context: Context) -> list[Value]:
    """``rewrite [<matcher>] <to>``."""
    d = context.d
    d.next()
    count = d.count_rest()
    if count == 0:
        raise d.error("too few arguments; must have at least a rewrite URI")
    if count > 2:
        raise d.error("too many arguments; should only be a matcher and a URI")
    if count == 1:
        return context.route(None, "rewrite", compact(uri=d.arg()))
    match = context.take_matcher()
    d.next()
    d.next()
    return context.route(match, "rewrite", compact(uri=d.val))


def method(context: Context) -> dict[str, Any]:
    """``method <method>``."""
    context.d.next()
    return compact(method=context.d.only())


def uri(context: Context) -> dict[str, Any]:
    """``uri strip_prefix|strip_suffix|replace|path_regexp|query …``."""
    d = context.d
    d.next()
    args = d.some()
    word, rest = args[0], args[1:]
    if word in {"strip_prefix", "strip_suffix"}:
        _expect(d, rest, 1)
        return compact(**{word.replace("strip_", "strip_path_"): rest[0]})
    if word == "replace":
        if len(rest) not in {2, 3}:
            raise d.arg_error()
        found = compact(find=rest[0], replace=rest[1], limit=_limit(d, rest[2:]))
        return {"uri_substring": [found]}
    if word == "path_regexp":
        _expect(d, rest, 2)
        return {"path_regexp": [compact(find=rest[0], replace=rest[1])]}
    if word == "query":
        return _query(d, rest)
    raise d.error(f"unrecognized URI manipulation '{word}'")


def _expect(d: Dispenser, args: list[str], count: int) -> None:
    if len(args) != count:
        raise d.arg_error()


def _limit(d: Dispenser, args: list[str]) -> int:
    if not args or not args[0]:
        return 0
    try:
        return numbers.parse_int(args[0])
    except CaddyfileError as error:
        raise d.error(f"limit must be an integer; invalid: {error.problem}") from None


def _query(d: Dispenser, args: list[str]) -> dict[str, Any]:
    if len(args) > 3:
        raise d.arg_error()
    ops: dict[str, list[Any]] = {}
    if args:
        _query_op(d, ops, args)
    for word in d.block():
        if args:
            raise d.error("Cannot specify uri query rewrites in both argument and block")
        _query_op(d, ops, [word, *d.rest()])
    return {"query": ops}


def _query_op(d: Dispenser, ops: dict[str, list[Any]], args: list[str]) -> None:
    key = args[0]
    if key.startswith("-"):
        _expect(d, args, 1)
        ops.setdefault("delete", []).append(key.lstrip("-"))
    elif key.startswith("+"):
        _expect(d, args, 2)
        ops.setdefault("add", []).append(compact(key=key.lstrip("+"), val=args[1]))
    elif ">" in key:
        _expect(d, args, 1)
        old, new = key.split(">")[:2]
        ops.setdefault("rename", []).append(compact(key=old, val=new))
    elif len(args) == 3:
        found = compact(key=key, search_regexp=args[1], replace=args[2])
        ops.setdefault("replace", []).append(found)
    else:
        _expect(d, args, 2)
        ops.setdefault("set", []).append(compact(key=key, val=args[1]))


def handle_path(context: Context) -> list[Value]:
    """``handle_path <path> { … }``: handle without the path's prefix."""
    d = context.d
    d.next()
    path = d.arg()
    if not path.startswith("/"):
        raise d.error(f"path matcher must begin with '/', got {path}")
    prefix = path.removesuffix("/*") if path.endswith("/*") else path.removesuffix("*")
    d.reset()
    d.next()
    subroute = context.subroute()
    strip = make_route(None, "rewrite", compact(strip_path_prefix=prefix))
    subroute.routes.insert(0, strip)
    return [Value("route", Route([{"path": [path]}], [subroute.handler()]))]


def try_files(context: Context) -> list[Value]:
    """``try_files <files…> { policy }``."""
    d = context.d
    d.next()
    files, policy = d.some(), ""
    for word in d.block():
        if word == "policy":
            if policy:
                raise d.error("try policy already configured")
            policy = d.arg()
            if policy not in POLICIES:
                raise d.error(f"unrecognized try policy: {policy}")
    values: list[Value] = []
    waiting: list[str] = []
    for item in files:
        path, question, query = item.partition("?")
        if not question:
            waiting.append(item)
            continue
        # A file with a query is rewritten to differently, so it has a route of its own.
        if waiting:
            values.append(_try(waiting, policy, ""))
            waiting = []
        values.append(_try([path], policy, "?" + query))
    if waiting:
        values.append(_try(waiting, policy, ""))
    context.groups.join(values)
    return values


def _try(files: list[str], policy: str, query: str) -> Value:
    match = {"file": compact(try_files=files, try_policy=policy)}
    handler = {"uri": "{http.matchers.file.relative}" + query}
    return Value("route", make_route(match, "rewrite", handler))
