"""The tree of an expression. Operators are calls, named as in the standard (``_==_``, ``_&&_``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class ExpressionError(ValueError):
    """An expression that cannot be used; ``column`` counts characters from 1."""

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    column: int
    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or the name of a type."""

    column: int
    name: str


@dataclass(frozen=True, slots=True)
class Placeholder:
    """``{http.request.host}``."""

    column: int
    key: str


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``; with ``test`` the question whether it is there (``has``)."""

    column: int
    operand: Node
    field: str
    test: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function, with ``target`` a method."""

    column: int
    name: str
    arguments: tuple[Node, ...]
    target: Node | None = None


@dataclass(frozen=True, slots=True)
class ListOf:
    """``[a, b]``."""

    column: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """``{a: b}``."""

    column: int
    entries: tuple[tuple[Node, Node], ...]


Node = Literal | Name | Placeholder | Select | Call | ListOf | MapOf
