"""The tree of a template, as in Go's text/template/parse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class TemplateError(Exception):
    """A template that cannot be parsed or executed; ``line`` counts from 1, 0 when unknown."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {problem}" if line else problem)
        self.line = line


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    value: Any


@dataclass(frozen=True, slots=True)
class Dot:
    """The current value."""


@dataclass(frozen=True, slots=True)
class Variable:
    """``$x``; ``$`` alone is the data of the template."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields of an operand: ``.Req.Header.Get``, ``$x.Name``, ``(f).Name``."""

    operand: Any
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """An operand and its arguments."""

    line: int
    operands: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each given the value of the one before; ``variables`` are set to the last value."""

    line: int
    variables: tuple[str, ...]
    declares: bool
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """What is written as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is written, unless it sets variables."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """``if`` or ``with``."""

    kind: str
    pipe: Pipe
    body: tuple[Any, ...]
    otherwise: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """``range``."""

    pipe: Pipe
    body: tuple[Any, ...]
    otherwise: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Invoke:
    """``template`` and ``block``: another template with a value as its dot."""

    line: int
    name: str
    pipe: Pipe | None


@dataclass(frozen=True, slots=True)
class Leave:
    """``break`` or ``continue``."""

    kind: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A template and the ones that it defines, itself among them as ""."""

    templates: dict[str, tuple[Any, ...]]
