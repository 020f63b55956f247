"""What an expression can ask of a request: placeholders, and every matcher as a function.

``path('/a*', '/b')`` is the matcher ``path`` with those patterns, made once and asked per request.
An argument is a text: quoted, a placeholder, or several joined with ``+``; a placeholder in it is
expanded by the matcher, which is why it cannot stand where the matcher takes none (in a regular expression).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from services.edge.expression.code import Code, Run
from services.edge.expression.compiler import Compiler
from services.edge.expression.parser import parse
from services.edge.expression.syntax import (
    Call,
    ExpressionError,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Placeholder,
)
from services.edge.expression.values import BOOL, DYN

MakeMatcher = Callable[[Call, Any], Run]
"""Makes the matcher that a call names, with its JSON configuration. ExpressionError, ConfigError."""


def compile_expression(
    text: str, find: Callable[[str], Run], make_matcher: MakeMatcher, name: str = ""
) -> Run:
    """Return the closure of a boolean expression; ExpressionError says where it is wrong.

    ``name`` is the expression's, under which regular expressions without one leave their groups.
    """
    try:
        tree = parse(text)
        code = Compiler(_Request(find, make_matcher, name)).compile(tree)
    except RecursionError:
        raise ExpressionError(1, "nested too deeply") from None
    if code.type != BOOL:
        raise ExpressionError(1, f"gives {code.type}; a matcher needs a bool, such as a comparison")
    return code.run


class _Request:
    """The surroundings of an expression about requests."""

    def __init__(self, find: Callable[[str], Run], make_matcher: MakeMatcher, name: str) -> None:
        self.placeholder = find
        self._make_matcher = make_matcher
        self._name = name

    def function(self, node: Call) -> Code | None:
        if node.target is not None:
            return None
        if node.name == "ph":
            return Code(DYN, self.placeholder(_key(node)))
        read = _MATCHERS.get(node.name)
        if read is None:
            return None
        run = self._make_matcher(node, read(node, self._name))
        return Code(BOOL, run)


def _key(node: Call) -> str:
    """Return the key of ``ph(req, "key")``, which is how Caddy spells a placeholder inside."""
    match node.arguments:
        case (Name(name="req"), Literal(value=str() as key)):
            return key
    raise ExpressionError(node.column, "write a placeholder as {its.name}")


def _text(node: Node) -> str:
    match node:
        case Literal(value=str() as text):
            return text
        case Placeholder(key=key):
            return f"{{{key}}}"
        case Call(name="ph", target=None):
            return f"{{{_key(node)}}}"
        case Call(name="_+_", arguments=parts):
            return "".join(_text(part) for part in parts)
    raise ExpressionError(
        node.column, "a matcher takes texts: in quotes, placeholders, or joined with +"
    )


def _fixed(node: Node) -> str:
    match node:
        case Literal(value=str() as text):
            return text
        case Call(name="_+_", arguments=parts):
            return "".join(_fixed(part) for part in parts)
    raise ExpressionError(node.column, "a text in quotes expected: no placeholder is expanded here")


def _counted(node: Call, least: int, most: int) -> tuple[Node, ...]:
    count = len(node.arguments)
    if not least <= count <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise ExpressionError(node.column, f"{node.name}() takes {wanted} arguments, not {count}")
    return node.arguments


def _texts(node: Call, name: str) -> list[str]:
    if not node.arguments:
        raise ExpressionError(node.column, f"{node.name}() takes at least one argument")
    return [_text(argument) for argument in node.arguments]


def _fixed_texts(node: Call, name: str) -> list[str]:
    _texts(node, name)
    return [_fixed(argument) for argument in node.arguments]


def _ranges(node: Call, name: str) -> dict[str, Any]:
    return {"ranges": _texts(node, name)}


def _fixed_text(node: Call, name: str) -> str:
    return _fixed(_counted(node, 1, 1)[0])


def _mapped(node: Call, name: str) -> dict[str, list[str]]:
    (argument,) = _counted(node, 1, 1)
    if not isinstance(argument, MapOf):
        raise ExpressionError(argument.column, f"{node.name}() takes a map: {{'name': ['value']}}")
    found: dict[str, list[str]] = {}
    for key, value in argument.entries:
        items = value.items if isinstance(value, ListOf) else (value,)
        found[_text(key)] = [_text(item) for item in items]
    return found


def _path_regexp(node: Call, name: str) -> dict[str, str]:
    *own, pattern = _counted(node, 1, 2)
    return _regexp(own, pattern, name)


def _field_regexp(node: Call, name: str) -> dict[str, dict[str, str]]:
    *own, field, pattern = _counted(node, 2, 3)
    return {_text(field): _regexp(own, pattern, name)}


def _regexp(own: Sequence[Node], pattern: Node, name: str) -> dict[str, str]:
    given = _fixed(own[0]) if own else ""
    return {"name": given or name, "pattern": _fixed(pattern)}


def _url_pattern(node: Call, name: str) -> dict[str, str]:
    """Read ``url_pattern('/a/:id')``."""
    return {"pattern": _fixed_text(node, name)}


def _file(node: Call, name: str) -> dict[str, Any]:
    """Read ``file()``, ``file('a', 'b')`` or ``file({'root': …, 'try_files': […]})``."""
    if not node.arguments:
        return {}
    if not isinstance(node.arguments[0], MapOf):
        return {"try_files": _texts(node, name)}
    given = _mapped(node, name)
    single = {"root", "try_policy", "fs"}
    return {key: values[0] if key in single and values else values for key, values in given.items()}


_MATCHERS: dict[str, Callable[[Call, str], Any]] = {
    "client_ip": _ranges,
    "file": _file,
    "header": _mapped,
    "header_regexp": _field_regexp,
    "host": _texts,
    "method": _fixed_texts,
    "path": _texts,
    "path_regexp": _path_regexp,
    "protocol": _fixed_text,
    "query": _mapped,
    "remote_ip": _ranges,
    "url_pattern": _url_pattern,
    "vars": _mapped,
    "vars_regexp": _field_regexp,
}
"""What makes a matcher's JSON of a call."""
