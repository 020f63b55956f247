"""Sprig's functions of lists, maps, defaults and kinds. Maps are changed in place by ``set`` and ``unset``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.edge.templates.functions.numbers import whole
from services.edge.templates.syntax import TemplateError
from services.edge.templates.values import equal, is_true, kind_of, shown

MAX_ITEMS = 1_000_000


def _same(one: Any, other: Any) -> bool:
    try:
        return equal(one, other)
    except TemplateError:
        return False


def _dict(*pairs: Any) -> dict[str, Any]:
    keys = [shown(key) for key in pairs[::2]]
    values = [*pairs[1::2], *([""] if len(pairs) % 2 else [])]
    return dict(zip(keys, values, strict=True))


def _set(target: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    target[key] = value
    return target


def _unset(target: dict[str, Any], key: str) -> dict[str, Any]:
    target.pop(key, None)
    return target


def _merged(target: dict[str, Any], *others: dict[str, Any], over: bool = False) -> dict[str, Any]:
    for other in others:
        for key, value in other.items():
            held = target.get(key)
            if isinstance(held, dict) and isinstance(value, dict):
                _merged(held, value, over=over)
            elif over or not is_true(held):
                target[key] = value
    return target


def _dig(*given: Any) -> Any:
    *path, default, target = given
    for key in path:
        if not isinstance(target, dict) or key not in target:
            return default
        target = target[key]
    return target


def _unique(items: list[Any]) -> list[Any]:
    kept: list[Any] = []
    seen: set[Any] = set()
    for item in items:
        try:
            known = (type(item), item) in seen
            seen.add((type(item), item))
        except TypeError:
            known = any(_same(item, other) for other in kept)
        if not known:
            kept.append(item)
    return kept


def _concat(*lists: list[Any]) -> list[Any]:
    if sum(map(len, lists)) > MAX_ITEMS:
        raise TemplateError(f"a list of more than {MAX_ITEMS} items")
    return [item for items in lists for item in items]


def _chunks(size: Any, items: list[Any]) -> list[list[Any]]:
    step = max(1, whole(size))
    return [items[start : start + step] for start in range(0, len(items), step)]


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if is_true(value)), None)


def _has(wanted: Any, items: list[Any] | None) -> bool:
    return any(_same(wanted, item) for item in items or ())


def _fail(message: str) -> Any:
    raise TemplateError(message)


COLLECTIONS: dict[str, Callable[..., Any]] = {
    "list": lambda *items: list(items),
    "tuple": lambda *items: list(items),
    "first": lambda items: items[0] if items else None,
    "last": lambda items: items[-1] if items else None,
    "rest": lambda items: items[1:],
    "initial": lambda items: items[:-1],
    "append": lambda items, *more: _concat(items, list(more)),
    "push": lambda items, *more: _concat(items, list(more)),
    "prepend": lambda items, item: _concat([item], items),
    "concat": _concat,
    "reverse": lambda items: items[::-1],
    "uniq": _unique,
    "without": lambda items, *drop: [item for item in items if not _has(item, list(drop))],
    "compact": lambda items: [item for item in items if is_true(item)],
    "has": _has,
    "chunk": _chunks,
    "dict": _dict,
    "get": lambda target, key: target.get(key, ""),
    "set": _set,
    "unset": _unset,
    "hasKey": lambda target, key: key in target,
    "pluck": lambda key, *maps: [target[key] for target in maps if key in target],
    "keys": lambda *maps: [key for target in maps for key in target],
    "values": lambda target: list(target.values()),
    "pick": lambda target, *keys: {key: target[key] for key in keys if key in target},
    "omit": lambda target, *keys: {key: value for key, value in target.items() if key not in keys},
    "merge": _merged,
    "mergeOverwrite": lambda target, *others: _merged(target, *others, over=True),
    "dig": _dig,
    "deepCopy": _copied,
    "default": lambda default, value=None: value if is_true(value) else default,
    "empty": lambda value: not is_true(value),
    "coalesce": _coalesce,
    "all": lambda *values: all(map(is_true, values)),
    "any": lambda *values: any(map(is_true, values)),
    "ternary": lambda yes, no, condition: yes if condition else no,
    "fail": _fail,
    "kindOf": kind_of,
    "kindIs": lambda kind, value: kind == kind_of(value),
    "typeOf": kind_of,
    "typeIs": lambda kind, value: kind == kind_of(value),
    "deepEqual": lambda one, other: bool(one == other),
}
