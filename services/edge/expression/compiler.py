"""From a tree to a closure. Types are checked where they are known: Caddy refuses what this refuses.

Variables of macros (``x`` in ``list.exists(x, …)``) are cells that the macro's loop sets. Evaluation is
synchronous and a loop never meets itself, so that a cell has one user at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from services.edge.expression import logic
from services.edge.expression.code import UNKNOWN, Code, Run, call, constant
from services.edge.expression.functions import FUNCTIONS
from services.edge.expression.macros import MACROS
from services.edge.expression.syntax import (
    Call,
    ExpressionError,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Placeholder,
    Select,
)
from services.edge.expression.values import (
    BOOL,
    DYN,
    INT,
    LIST,
    MAP,
    STRING,
    TYPE,
    TYPES,
    UINT,
    EvaluationError,
    no_overload,
    type_of,
)

if TYPE_CHECKING:
    from quantum.http.message import Request

_KEYS = frozenset({BOOL, DYN, INT, STRING, UINT})


class Surroundings(Protocol):
    """What expressions are about."""

    def placeholder(self, key: str) -> Run:
        """Return what gives the value of a placeholder."""

    def function(self, node: Call) -> Code | None:
        """Return the code of a function of its own, None when it has none of that name."""


class Compiler:
    """Compiles one expression."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._variables: Mapping[str, Code] = {}

    def compile(self, node: Node) -> Code:
        """Return the code of ``node``; ExpressionError with the column of what is wrong."""
        code: Code = _COMPILE[type(node)](self, node)
        return code

    def with_variable(self, name: str, code: Code, node: Node) -> Code:
        """Return the code of ``node``, in which ``name`` is a variable."""
        outside = self._variables
        self._variables = {**outside, name: code}
        try:
            return self.compile(node)
        finally:
            self._variables = outside

    def _literal(self, node: Literal) -> Code:
        return constant(type_of(node.value), node.value)

    def _name(self, node: Name) -> Code:
        variable = self._variables.get(node.name)
        if variable is not None:
            return variable
        if node.name in TYPES:
            return constant(TYPE, TYPES[node.name])
        raise ExpressionError(node.column, f"unknown name {node.name!r}; a text stands in quotes")

    def _placeholder(self, node: Placeholder) -> Code:
        return Code(DYN, self._surroundings.placeholder(node.key))

    def _select(self, node: Select) -> Code:
        if (known := TYPES.get(_dotted(node))) is not None:
            return constant(TYPE, known)
        operand = self.compile(node.operand)
        if operand.type not in {MAP, DYN}:
            raise ExpressionError(node.column, f"{operand.type} has no fields")
        run, field = operand.run, node.field
        if node.test:
            return Code(BOOL, lambda request: field in _as_map(run(request)), fails=True)

        def select(request: Request) -> Any:
            try:
                return _as_map(run(request))[field]
            except KeyError:
                raise EvaluationError(f"no such key: {field}") from None

        return Code(DYN, select, fails=True)

    def _list(self, node: ListOf) -> Code:
        items = [self.compile(item) for item in node.items]
        if all(item.constant is not UNKNOWN for item in items):
            return constant(LIST, [item.constant for item in items])
        runs = [item.run for item in items]
        fails = any(item.fails for item in items)
        return Code(LIST, lambda request: [run(request) for run in runs], fails=fails)

    def _map(self, node: MapOf) -> Code:
        pairs = [(self.compile(key), self.compile(value)) for key, value in node.entries]
        for (key, _), (place, _) in zip(pairs, node.entries, strict=True):
            if key.type not in _KEYS:
                raise ExpressionError(place.column, f"{key.type} cannot be a key")
        if all(code.constant is not UNKNOWN for pair in pairs for code in pair):
            return constant(MAP, {key.constant: value.constant for key, value in pairs})
        runs = [(key.run, value.run) for key, value in pairs]

        def make(request: Request) -> dict[Any, Any]:
            made = {}
            for key, value in runs:
                name = key(request)
                if type_of(name) not in _KEYS:
                    raise no_overload("a key of a map", name)
                made[name] = value(request)
            return made

        return Code(MAP, make, fails=True)

    def _call(self, node: Call) -> Code:
        if (own := self._surroundings.function(node)) is not None:
            return own
        arguments = [node.target, *node.arguments] if node.target is not None else node.arguments
        name = f".{node.name}" if node.target is not None else node.name
        macro = MACROS.get((name, len(node.arguments)))
        if macro is not None:
            return macro(self, node)
        if name in _OPERATORS:
            return _OPERATORS[name](node, [self.compile(argument) for argument in node.arguments])
        overloads = FUNCTIONS.get(name)
        if overloads is None:
            kind = "method" if node.target is not None else "function"
            raise ExpressionError(node.column, f"unknown {kind} {node.name}()")
        return call(
            node.column, node.name.strip("_"), overloads, [self.compile(a) for a in arguments]
        )


def _dotted(node: Node) -> str:
    """Return a qualified name, "" for what is none."""
    if isinstance(node, Name):
        return node.name
    outer = _dotted(node.operand) if isinstance(node, Select) and not node.test else ""
    return f"{outer}.{node.field}" if outer and isinstance(node, Select) else ""


def _as_map(value: Any) -> dict[Any, Any]:
    if value.__class__ is not dict:
        raise no_overload("a field", value)
    found: dict[Any, Any] = value
    return found


def _logical(node: Call, parts: list[Code]) -> Code:
    checked = [
        logic.need_bool(argument.column, part)
        for argument, part in zip(node.arguments, parts, strict=True)
    ]
    return logic.join(node.name, checked)


def _not(node: Call, parts: list[Code]) -> Code:
    return logic.negate(logic.need_bool(node.arguments[0].column, parts[0]))


def _choice(node: Call, parts: list[Code]) -> Code:
    condition = logic.need_bool(node.arguments[0].column, parts[0])
    return logic.choose(node.column, condition, parts[1], parts[2])


_OPERATORS: dict[str, Callable[[Call, list[Code]], Code]] = {
    "_&&_": _logical,
    "_||_": _logical,
    "!_": _not,
    "_?_:_": _choice,
    "_==_": lambda node, parts: logic.compare(node.column, *parts),
    "_!=_": lambda node, parts: logic.negate(logic.compare(node.column, *parts)),
    "@in": lambda node, parts: logic.membership(node.column, *parts),
}

_COMPILE: dict[type, Callable[[Compiler, Any], Code]] = {
    Literal: Compiler._literal,  # noqa: SLF001 - the table of the class's own methods
    Name: Compiler._name,  # noqa: SLF001
    Placeholder: Compiler._placeholder,  # noqa: SLF001
    Select: Compiler._select,  # noqa: SLF001
    Call: Compiler._call,  # noqa: SLF001
    ListOf: Compiler._list,  # noqa: SLF001
    MapOf: Compiler._map,  # noqa: SLF001
}
