"""Request matchers: ``@name`` definitions, and the set that a matcher token stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.language.tokens import HEREDOC, Token
from quantum.caddyfile.modules.headers import canonical
from quantum.caddyfile.values.encoding import compact

MatcherSet = dict[str, Any]
PRIVATE_RANGES = (
    "192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1",
)  # fmt: skip


def define(d: Dispenser, known: dict[str, MatcherSet]) -> None:
    """Read ``@name …`` and add it to ``known``."""
    d.next()
    name = d.val
    if name in known:
        raise CaddyfileError(f"matcher is defined more than once: {name}")
    known[name] = {}
    if d.next_arg():
        if d.token.is_quoted:
            expression = d.token.but("expression")
            known[name] = _make({"expression": [expression, d.token]}, name[1:])
            return
        d.prev()
    known[name] = _make(_by_name(d), name[1:])


def nested(d: Dispenser) -> MatcherSet:
    """Read the matchers that follow on this line or in the block."""
    return _make(_by_name(d), "", d)


def _by_name(d: Dispenser) -> dict[str, list[Token]]:
    """Return the tokens of each matcher; several of one kind are put together."""
    found: dict[str, list[Token]] = {}
    nesting = d.nesting
    while d.next_arg() or d.next_block(nesting):
        name = d.val
        found.setdefault(name, []).extend(d.segment())
    return found


def _make(tokens: dict[str, list[Token]], name: str, within: Dispenser | None = None) -> MatcherSet:
    made = {}
    for kind, found in tokens.items():
        read = MATCHERS.get(kind)
        if read is None:
            problem = (
                f"getting matcher module '{kind}': module not registered: http.matchers.{kind}"
            )
            raise CaddyfileError(problem) if within is None else within.error(problem)
        made[kind] = read(Dispenser(found, name))
    return made


def of_token(token: Token, known: dict[str, MatcherSet]) -> tuple[MatcherSet | None, bool]:
    """Return the set that ``token`` stands for, and whether it is a matcher at all."""
    text = token.text
    if text == "*":
        return None, True
    if text.startswith("/"):
        return {"path": [text]}, True
    if text.startswith("@"):
        if text not in known:
            raise CaddyfileError(f"unrecognized matcher name: {text}")
        return known[text], True
    return None, False


def no_block(d: Dispenser, name: str) -> None:
    """Refuse a block."""
    if d.next_block(0):
        raise d.error(f"malformed {name} matcher: blocks are not supported")


def _list(name: str, change: Callable[[str], str] = str) -> Callable[[Dispenser], list[str]]:
    def read(d: Dispenser) -> list[str]:
        found: list[str] = []
        while d.next():
            found += [change(value) for value in d.rest()]
            no_block(d, name)
        return found

    return read


def _path_regexp(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    while d.next():
        if made:
            raise d.error("regular expression can only be used once per named matcher")
        args = d.rest()
        if len(args) not in {1, 2}:
            raise d.arg_error()
        made = regexp(args[0] if len(args) > 1 else d.matcher, args[-1])
        no_block(d, "path_regexp")
    return made


def regexp(name: str, pattern: str) -> dict[str, Any]:
    """Return a named pattern."""
    return {**compact(name=name), "pattern": pattern}


def _query(d: Dispenser) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    while d.next():
        for pair in d.rest():
            if not pair:
                continue
            key, equals, value = pair.partition("=")
            if not equals:
                raise d.error(
                    f"malformed query matcher token: {d.val}; must be in param=val format"
                )
            found.setdefault(key, []).append(value)
        no_block(d, "query")
    return dict(sorted(found.items()))


def _header(d: Dispenser) -> dict[str, list[str] | None]:
    found: dict[str, list[str] | None] = {}
    while d.next():
        if not d.next_arg():
            raise d.error("malformed header matcher: expected field")
        name = d.val
        if name.startswith("!"):
            if name == "!":
                raise d.error(
                    "malformed header matcher: must have field name following ! character"
                )
            found[name[1:]] = None
            if d.next_arg():
                raise d.error(
                    "malformed header matcher: null matching headers cannot have a field value"
                )
        else:
            if not d.next_arg():
                raise d.error("malformed header matcher: expected both field and value")
            found[canonical(name)] = [*(found.get(canonical(name)) or []), d.val]
        no_block(d, "header")
    return dict(sorted(found.items()))


def _regexps(kind: str, thing: str) -> Callable[[Dispenser], dict[str, Any]]:
    def read(d: Dispenser) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while d.next():
            first, second = d.arg(), d.arg()
            name, field, pattern = d.matcher, first, second
            if d.next_arg():
                name, field, pattern = first, second, d.val
            if field in found:
                raise d.error(
                    f"{kind} matcher can only be used once per named matcher, per {thing}: {field}"
                )
            found[field] = regexp(name or d.matcher, pattern)
            no_block(d, kind)
        return dict(sorted(found.items()))

    return read


def _protocol(d: Dispenser) -> str:
    protocol = ""
    while d.next():
        if not d.next_arg():
            raise d.error("expected exactly one protocol")
        protocol = d.val
    return protocol


def _ranges(name: str) -> Callable[[Dispenser], dict[str, Any]]:
    def read(d: Dispenser) -> dict[str, Any]:
        d.next()
        found: list[str] = []
        while d.next_arg():
            if d.val == "forwarded" and name == "remote_ip":
                raise d.error(
                    "the 'forwarded' option is no longer supported; "
                    "use the 'client_ip' matcher instead"
                )
            found += PRIVATE_RANGES if d.val == "private_ranges" else [d.val]
        no_block(d, name)
        return compact(ranges=found)

    return read


def _vars(d: Dispenser) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    while d.next():
        if not d.next_arg():
            raise d.error("malformed vars matcher: expected field name")
        field, values = d.val, d.rest()
        if not values:
            raise d.error("malformed vars matcher: expected at least one value to match against")
        found.setdefault(field, []).extend(values)
        no_block(d, "vars")
    return dict(sorted(found.items()))


def _not(d: Dispenser) -> list[MatcherSet]:
    found = []
    while d.next():
        found.append(nested(d))
    return found


def raw(token: Token) -> str:
    """Return a token as it was written, with its quotes."""
    if token.quote == '"':
        return '"' + token.text.replace('"', '\\"') + '"'
    if token.quote == "`":
        return f"`{token.text}`"
    if token.quote == HEREDOC:
        return f"<<EOF\n{token.text}\nEOF"
    return token.text


def _expression(d: Dispenser) -> str | dict[str, str]:
    d.next()
    if d.count_rest() > 1:
        return " ".join(raw(token) for token in d.rest_tokens())
    text = d.arg()
    return {"expr": text, "name": d.matcher} if d.matcher else text


def _file(d: Dispenser) -> dict[str, Any]:
    root = policy = ""
    files: list[str] = []
    split: list[str] = []
    while d.next():
        files += d.rest()
        for word in d.block():
            if word == "root":
                root = d.arg()
            elif word == "try_files":
                files += d.rest()
                if not files:
                    raise d.arg_error()
            elif word == "try_policy":
                policy = d.arg()
            elif word == "split_path":
                split = d.some()
            else:
                raise d.error(f"unrecognized subdirective: {word}")
    return compact(root=root, try_files=files, try_policy=policy, split_path=split)


def _tls(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    while d.next():
        if d.next_arg():
            if d.val != "early_data":
                raise d.error(f"unrecognized option '{d.val}'")
            made["handshake_complete"] = False
            d.no_more()
        no_block(d, "tls")
    return made


def _url_pattern(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    while d.next():
        args = d.rest()
        if len(args) not in {1, 2}:
            raise d.arg_error()
        made = dict(zip(("pattern", "base_url"), args, strict=False))
        for word in d.block():
            if word != "ignore_case":
                raise d.error(f"unrecognized subdirective: {word}")
            made["ignore_case"] = True
    return made


MATCHERS: dict[str, Callable[[Dispenser], Any]] = {
    "host": _list("host"),
    "path": _list("path"),
    "method": _list("method"),
    "path_regexp": _path_regexp,
    "query": _query,
    "header": _header,
    "header_regexp": _regexps("header_regexp", "header field"),
    "protocol": _protocol,
    "remote_ip": _ranges("remote_ip"),
    "client_ip": _ranges("client_ip"),
    "vars": _vars,
    "vars_regexp": _regexps("vars_regexp", "variable"),
    "not": _not,
    "expression": _expression,
    "file": _file,
    "tls": _tls,
    "url_pattern": _url_pattern,
}
