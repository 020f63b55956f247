"""The query operations of a rewrite, in Caddy's order; the result is written out with sorted keys."""

from __future__ import annotations

from collections.abc import Callable

from quantum.config.pattern import Pattern
from quantum.http.message import Request
from quantum.http.placeholders import Mode, compile_template
from quantum.http.query import Values, encode_query, parse_query
from services.edge.handlers.config import (
    QueryOperationsConfig,
    QueryPairConfig,
    QueryReplacementConfig,
)

Operation = Callable[[Values, Request], None]


def compile_query_operations(config: QueryOperationsConfig) -> Callable[[Request], None]:
    """Return what changes the query of a request."""
    operations: list[Operation] = [
        *(_pair(pair, _rename) for pair in config.rename),
        *(_pair(pair, _set) for pair in config.set),
        *(_pair(pair, _add) for pair in config.add),
        *(_replacement(change) for change in config.replace),
        *(_deletion(key) for key in config.delete),
    ]

    def change(request: Request) -> None:
        values = parse_query(request.query)[0]
        for operation in operations:
            operation(values, request)
        set_query(request, encode_query(values))

    return change


def set_query(request: Request, query: str) -> None:
    """Set the query; an empty one takes the question mark away, unless it was all there was."""
    request.query = query or ("" if request.query == "" else None)


def _pair(config: QueryPairConfig, apply: Callable[[Values, str, str], None]) -> Operation:
    key, value = compile_template(config.key), compile_template(config.val)

    def operation(values: Values, request: Request) -> None:
        name = key(request)
        if name:
            apply(values, name, value(request))

    return operation


def _rename(values: Values, old: str, new: str) -> None:
    if new and old != new and old in values:
        values[new] = values.pop(old)


def _set(values: Values, key: str, value: str) -> None:
    values[key] = [value]


def _add(values: Values, key: str, value: str) -> None:
    values.setdefault(key, []).append(value)


def _replacement(config: QueryReplacementConfig) -> Operation:
    key = compile_template(config.key)
    search = compile_template(config.search, Mode.KNOWN)
    replace = compile_template(config.replace, Mode.KNOWN)
    pattern = Pattern(config.search_regexp) if config.search_regexp else None

    def operation(values: Values, request: Request) -> None:
        name, old, new = key(request), search(request), replace(request)
        for each in list(values) if name == "*" else [name] if name in values else []:
            values[each] = [
                pattern.replace(value, new) if pattern is not None else value.replace(old, new)
                for value in values[each]
            ]

    return operation


def _deletion(text: str) -> Operation:
    key = compile_template(text)

    def operation(values: Values, request: Request) -> None:
        values.pop(key(request), None)

    return operation
