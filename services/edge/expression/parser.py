"""From tokens to a tree, by recursive descent over CEL's grammar."""

from __future__ import annotations

from collections.abc import Callable

from services.edge.expression.lexer import Token, tokens_of
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
from services.edge.expression.values import int64

MAX_DEPTH = 50
"""Brackets within brackets: each is eight calls of Python's stack, here and in the compiler."""
MAX_LENGTH = 100_000
"""Characters (cel-go's limit)."""

_RELATIONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
    "namespace", "package", "return", "var", "void", "while",
})  # fmt: skip
_NAMESPACES = frozenset({"cel", "lists", "math", "strings"})


def parse(text: str) -> Node:
    """Return the tree of an expression; ExpressionError where it is none."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(MAX_LENGTH, f"longer than {MAX_LENGTH} characters")
    parser = _Parser(tokens_of(text))
    tree = parser.expression()
    parser.expect("end")
    return tree


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._token
        self._place += 1
        return token

    def _is(self, *kinds: str) -> bool:
        return self._token.kind in kinds

    def expect(self, kind: str) -> Token:
        """Take a token that must be there."""
        if not self._is(kind):
            raise ExpressionError(self._token.column, f"{_shown(kind)} expected, not {self._met()}")
        return self._take()

    def _met(self) -> str:
        token = self._token
        return _shown(token.kind) if token.kind != "literal" else f"{token.value!r}"

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(self._token.column, f"nested deeper than {MAX_DEPTH}")
        condition = self._disjunction()
        if self._is("?"):
            column = self._take().column
            then = self._disjunction()
            self.expect(":")
            condition = Call(column, "_?_:_", (condition, then, self.expression()))
        self._depth -= 1
        return condition

    def _disjunction(self) -> Node:
        return self._joined("||", self._conjunction)

    def _conjunction(self) -> Node:
        return self._joined("&&", self._relation)

    def _joined(self, operator: str, part: Callable[[], Node]) -> Node:
        """Read a chain of ``&&`` or ``||`` as one call: a hundred of them are no hundred levels."""
        column = self._token.column
        parts = [part()]
        while self._is(operator):
            self._take()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Call(column, f"_{operator}_", tuple(parts))

    def _relation(self) -> Node:
        left = self._sum()
        while self._token.value in _RELATIONS and not self._is("literal", "placeholder"):
            token = self._take()
            name = "@in" if token.value == "in" else f"_{token.value}_"
            left = Call(token.column, name, (left, self._sum()))
        return left

    def _sum(self) -> Node:
        left = self._product()
        while self._is("+", "-"):
            token = self._take()
            left = Call(token.column, f"_{token.kind}_", (left, self._product()))
        return left

    def _product(self) -> Node:
        left = self._unary()
        while self._is("*", "/", "%"):
            token = self._take()
            left = Call(token.column, f"_{token.kind}_", (left, self._unary()))
        return left

    def _unary(self) -> Node:
        if not self._is("!", "-"):
            return self._member()
        sign = self._take()
        count = 1
        while self._is(sign.kind):
            self._take()
            count += 1
        operand = self._signed(sign) if sign.kind == "-" and count == 1 else self._member()
        if count % 2 == 0 or (isinstance(operand, Literal) and operand.column == sign.column):
            return operand
        return Call(sign.column, f"{sign.kind}_", (operand,))

    def _signed(self, sign: Token) -> Node:
        """Read what follows a minus: a number is one with its sign, so that the smallest can be written."""
        number = self._token
        if number.kind == "literal" and number.value.__class__ in {int, float}:
            self._tokens[self._place] = Token("literal", -number.value, sign.column)
        return self._member()

    def _member(self) -> Node:
        node = self._primary()
        while self._is(".", "["):
            token = self._take()
            if token.kind == "[":
                index = self.expression()
                self.expect("]")
                node = Call(token.column, "_[_]", (node, index))
                continue
            name = self.expect("name")
            if not self._is("("):
                node = Select(token.column, node, name.value)
            elif isinstance(node, Name) and node.name in _NAMESPACES:
                node = self._call(name, f"{node.name}.{name.value}", None)
            else:
                node = self._call(name, name.value, node)
        return node

    def _call(self, name: Token, function: str, target: Node | None) -> Node:
        self.expect("(")
        arguments = self._listed(")")
        if function == "has" and target is None:
            field = arguments[0] if len(arguments) == 1 else None
            if not isinstance(field, Select):
                raise ExpressionError(name.column, "has() takes a field: has(map.field)")
            return Select(field.column, field.operand, field.field, test=True)
        return Call(name.column, function, tuple(arguments), target)

    def _listed(self, end: str) -> list[Node]:
        items: list[Node] = []
        while not self._is(end):
            items.append(self.expression())
            if not self._is(","):
                break
            self._take()
        self.expect(end)
        return items

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "literal":
            if token.value.__class__ is int and token.value not in int64:
                raise ExpressionError(token.column, "the number is too large for int")
            return Literal(token.column, token.value)
        if token.kind == "placeholder":
            return Placeholder(token.column, token.value)
        if token.kind == "(":
            inside = self.expression()
            self.expect(")")
            return inside
        if token.kind == "[":
            return ListOf(token.column, tuple(self._listed("]")))
        if token.kind == "{":
            return self._map(token)
        if token.kind == "name" and token.value not in _RESERVED and token.value != "in":
            if self._is("("):
                return self._call(token, token.value, None)
            return Name(token.column, token.value)
        self._place -= 1
        raise ExpressionError(token.column, f"a value expected, not {self._met()}")

    def _map(self, start: Token) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self._is("}"):
            key = self.expression()
            self.expect(":")
            entries.append((key, self.expression()))
            if not self._is(","):
                break
            self._take()
        self.expect("}")
        return MapOf(start.column, tuple(entries))


def _shown(kind: str) -> str:
    names = {"end": "the end", "name": "a name", "placeholder": "a placeholder"}
    return names.get(kind, f"{kind!r}")
