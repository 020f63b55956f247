"""Runs the tree of a template over data, with bounds: a template must not hold the server up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from quantum.errors import HttpError
from services.edge.templates.syntax import (
    Action,
    Branch,
    Chain,
    Command,
    Constant,
    Dot,
    Function,
    Invoke,
    Leave,
    Pipe,
    Range,
    TemplateError,
    Text,
    Variable,
)
from services.edge.templates.values import Struct, field_of, is_true, shown, sorted_items

MAX_STEPS = 1_000_000
"""Nodes and calls: about a second of one core, in a thread."""
MAX_OUTPUT = 16 * 1024 * 1024
"""Characters that a page may have with all it includes."""
MAX_INVOKED = 30
"""Templates within templates; Go allows 100,000, whose stack is not Python's."""

Functions = Mapping[str, Callable[..., Any]]
LAZY = frozenset({"and", "or"})
GROWING = frozenset({
    "cat", "html", "join", "js", "print", "printf", "println", "quote", "sortAlpha", "squote", "toJson",
    "toPrettyJson", "toRawJson", "toString", "urlquery",
})  # fmt: skip
"""Functions that write all their arguments: what they are given is weighed before."""


class Budget:
    """What a page may use, shared by all that it includes."""

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.output = MAX_OUTPUT
        self.depth = 0

    def step(self, count: int = 1) -> None:
        """Count steps; TemplateError when there are none left."""
        self.steps -= count
        if self.steps < 0:
            raise TemplateError(f"more than {MAX_STEPS} steps")

    def write(self, count: int) -> None:
        """Count characters; TemplateError when there is no room left."""
        self.output -= count
        if self.output < 0:
            raise TemplateError(f"more than {MAX_OUTPUT} characters")


class _Left(Exception):
    def __init__(self, kind: str) -> None:
        self.kind = kind


def execute(
    templates: Mapping[str, tuple[Any, ...]], data: Any, functions: Functions, budget: Budget
) -> str:
    """Return what the template "" writes. TemplateError, or HttpError when the template says so.

    ``templates`` may grow while it runs (``import``).
    """
    output: list[str] = []
    try:
        _Execution(templates, functions, budget, output).invoke("", data, 0)
    except RecursionError:
        raise TemplateError("nested too deeply") from None
    return "".join(output)


class _Execution:
    def __init__(
        self,
        templates: Mapping[str, tuple[Any, ...]],
        functions: Functions,
        budget: Budget,
        output: list[str],
    ) -> None:
        self._templates = templates
        self._functions = functions
        self._budget = budget
        self._output = output
        self._variables: list[tuple[str, Any]] = []

    def invoke(self, name: str, data: Any, line: int) -> None:
        body = self._templates.get(name)
        if body is None:
            raise TemplateError(f"template {name!r} not defined", line)
        self._budget.depth += 1
        if self._budget.depth > MAX_INVOKED:
            raise TemplateError(f"templates nested deeper than {MAX_INVOKED}", line)
        outside, self._variables = self._variables, [("$", data)]
        self._walk(body, data)
        self._variables = outside
        self._budget.depth -= 1

    def _walk(self, nodes: Iterable[Any], dot: Any) -> None:
        for node in nodes:
            self._budget.step()
            _RUN[type(node)](self, node, dot)

    def _write(self, text: str) -> None:
        self._budget.write(len(text))
        self._output.append(text)

    def _text(self, node: Text, dot: Any) -> None:
        self._write(node.text)

    def _action(self, node: Action, dot: Any) -> None:
        value = self._pipe(node.pipe, dot)
        if not node.pipe.variables:
            self._write(shown(value))

    def _branch(self, node: Branch, dot: Any) -> None:
        known = len(self._variables)
        value = self._pipe(node.pipe, dot)
        if is_true(value):
            self._walk(node.body, value if node.kind == "with" else dot)
        else:
            self._walk(node.otherwise, dot)
        del self._variables[known:]

    def _range(self, node: Range, dot: Any) -> None:
        known = len(self._variables)
        value = self._pipe(node.pipe, dot, assigns=False)
        items = _items(value, node.pipe.line)
        if not items:
            self._walk(node.otherwise, dot)
            return
        for index, item in items:
            self._budget.step()
            self._bind(node.pipe, index, item)
            try:
                self._walk(node.body, item)
            except _Left as left:
                if left.kind == "break":
                    break
            finally:
                del self._variables[known:]
        del self._variables[known:]

    def _bind(self, pipe: Pipe, index: Any, item: Any) -> None:
        values = [item] if len(pipe.variables) == 1 else [index, item]
        for name, value in zip(pipe.variables, values, strict=False):
            self._set(name, value, declares=pipe.declares)

    def _invoked(self, node: Invoke, dot: Any) -> None:
        data = None if node.pipe is None else self._pipe(node.pipe, dot)
        self.invoke(node.name, data, node.line)

    def _leave(self, node: Leave, dot: Any) -> None:
        raise _Left(node.kind)

    def _set(self, name: str, value: Any, *, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        for place in range(len(self._variables) - 1, -1, -1):
            if self._variables[place][0] == name:
                self._variables[place] = (name, value)
                return

    def _pipe(self, pipe: Pipe, dot: Any, *, assigns: bool = True) -> Any:
        value: Any = None
        for number, command in enumerate(pipe.commands):
            value = self._command(command, dot, [] if number == 0 else [value])
        if assigns:
            for name in pipe.variables:
                self._set(name, value, declares=pipe.declares)
        return value

    def _command(self, command: Command, dot: Any, piped: list[Any]) -> Any:
        self._budget.step()
        first, *rest = command.operands
        if isinstance(first, Function):
            return self._call_function(first.name, rest, dot, piped, command.line)
        if isinstance(first, Chain):
            return self._chain(first, dot, rest, piped, command.line)
        if rest or piped:
            raise TemplateError("a value that is no function has arguments", command.line)
        return self._operand(first, dot, command.line)

    def _operand(self, node: Any, dot: Any, line: int) -> Any:
        kind = type(node)
        if kind is Constant:
            return node.value
        if kind is Dot:
            return dot
        if kind is Variable:
            for name, value in reversed(self._variables):
                if name == node.name:
                    return value
            raise TemplateError(f"undefined variable {node.name!r}", line)
        if kind is Chain:
            return self._chain(node, dot, [], [], line)
        if kind is Function:
            return self._call_function(node.name, [], dot, [], line)
        return self._pipe(node, dot)

    def _chain(self, node: Chain, dot: Any, rest: list[Any], piped: list[Any], line: int) -> Any:
        value = self._operand(node.operand, dot, line)
        for name in node.names[:-1]:
            value = field_of(value, name, line)
            if callable(value):
                value = self._call(value, [], name, line)
        value = field_of(value, node.names[-1], line)
        arguments = [self._operand(argument, dot, line) for argument in rest] + piped
        if callable(value):
            return self._call(value, arguments, node.names[-1], line)
        if arguments:
            raise TemplateError(f"{node.names[-1]} is no method and has arguments", line)
        return value

    def _call_function(
        self, name: str, rest: list[Any], dot: Any, piped: list[Any], line: int
    ) -> Any:
        if name in LAZY:
            return self._decide(name, rest, dot, piped, line)
        arguments = [self._operand(argument, dot, line) for argument in rest] + piped
        return self._call(self._functions[name], arguments, name, line)

    def _decide(self, name: str, rest: list[Any], dot: Any, piped: list[Any], line: int) -> Any:
        """``and`` and ``or`` evaluate their arguments up to the one that decides."""
        value: Any = None
        if not rest and not piped:
            raise TemplateError(f"{name} takes an argument", line)
        for argument in rest:
            value = self._operand(argument, dot, line)
            if is_true(value) is (name == "or"):
                return value
        return piped[0] if piped else value

    def _call(
        self, function: Callable[..., Any], arguments: list[Any], name: str, line: int
    ) -> Any:
        self._budget.step()
        if name in GROWING and _weight(arguments) > MAX_OUTPUT:
            raise TemplateError(f"{name} makes more than {MAX_OUTPUT} characters", line)
        try:
            value = function(*arguments)
        except TemplateError as error:
            if error.line:
                raise
            raise TemplateError(f"{name}: {error}", line) from None
        except HttpError:
            raise
        except (
            TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError,
        ) as error:  # fmt: skip
            raise TemplateError(f"error calling {name}: {error}", line) from None
        if isinstance(value, str | list) and len(value) > MAX_OUTPUT:
            raise TemplateError(f"{name} makes more than {MAX_OUTPUT} characters", line)
        return value


def _weight(values: Iterable[Any]) -> int:
    return sum(
        len(value) if isinstance(value, str) else _weight(value) if isinstance(value, list) else 1
        for value in values
    )


def _items(value: Any, line: int) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    if isinstance(value, list):
        return list(enumerate(value))
    if isinstance(value, dict):
        return sorted_items(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value > MAX_STEPS:
            raise TemplateError(f"range over more than {MAX_STEPS}", line)
        return [(number, number) for number in range(value)]
    if isinstance(value, Struct | datetime | timedelta | str | float | bool):
        raise TemplateError("range can't iterate over this value", line)
    return []


_RUN: dict[type, Callable[[_Execution, Any, Any], None]] = {
    Text: _Execution._text,  # noqa: SLF001 - the table of the class's own methods
    Action: _Execution._action,  # noqa: SLF001
    Branch: _Execution._branch,  # noqa: SLF001
    Range: _Execution._range,  # noqa: SLF001
    Invoke: _Execution._invoked,  # noqa: SLF001
    Leave: _Execution._leave,  # noqa: SLF001
}
