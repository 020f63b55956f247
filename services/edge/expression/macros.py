"""Macros: calls whose arguments are not evaluated before, because a variable runs through a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from services.edge.expression.code import Code
from services.edge.expression.logic import need_bool
from services.edge.expression.syntax import Call, ExpressionError, Name
from services.edge.expression.values import BOOL, DYN, LIST, MAP, EvaluationError, no_overload

if TYPE_CHECKING:
    from quantum.http.message import Request
    from services.edge.expression.compiler import Compiler

Each = Callable[["Request"], Iterator[Any]]


def _loop(compiler: Compiler, node: Call, place: int) -> tuple[Each, Code]:
    """Return what sets the variable to each element in turn, and the code of an argument."""
    name = node.arguments[0]
    if not isinstance(name, Name):
        raise ExpressionError(name.column, f"{node.name}() takes the name of a variable first")
    assert node.target is not None
    items = compiler.compile(node.target)
    if items.type not in {LIST, MAP, DYN}:
        raise ExpressionError(node.column, f"{node.name}() runs through a list or a map, not {items.type}")  # fmt: skip
    cell: list[Any] = [None]
    variable = Code(DYN, lambda request: cell[0])
    body = compiler.with_variable(name.name, variable, node.arguments[place])
    among = items.run

    def each(request: Request) -> Iterator[Any]:
        values = among(request)
        if values.__class__ not in {list, dict}:
            raise no_overload(node.name, values)
        for value in list(values):
            cell[0] = value
            yield value

    return each, body


def _asked(
    compiler: Compiler, node: Call, place: int = 1
) -> tuple[Each, Callable[[Request], bool]]:
    each, body = _loop(compiler, node, place)
    need_bool(node.arguments[place].column, body)
    run = body.run

    def ask(request: Request) -> bool:
        value = run(request)
        if value.__class__ is not bool:
            raise no_overload(node.name, value)
        return bool(value)

    return each, ask


def _decided(compiler: Compiler, node: Call, *, decisive: bool) -> Code:
    """``exists`` and ``all``: one element that decides makes up for others that fail."""
    each, ask = _asked(compiler, node)

    def decided(request: Request) -> bool:
        failure: EvaluationError | None = None
        for _ in each(request):
            try:
                if ask(request) is decisive:
                    return decisive
            except EvaluationError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return not decisive

    return Code(BOOL, decided, fails=True)


def _exists_one(compiler: Compiler, node: Call) -> Code:
    each, ask = _asked(compiler, node)
    return Code(BOOL, lambda r: sum(ask(r) for _ in each(r)) == 1, fails=True)


def _filter(compiler: Compiler, node: Call) -> Code:
    each, ask = _asked(compiler, node)
    return Code(LIST, lambda r: [value for value in each(r) if ask(r)], fails=True)


def _map(compiler: Compiler, node: Call) -> Code:
    each, body = _loop(compiler, node, 1)
    run = body.run
    return Code(LIST, lambda r: [run(r) for _ in each(r)], fails=True)


def _filtered_map(compiler: Compiler, node: Call) -> Code:
    each, ask = _asked(compiler, node)
    name, cell = node.arguments[0], [None]
    assert isinstance(name, Name)
    # The same variable for the second body, set from the first loop's.
    variable = Code(DYN, lambda request: cell[0])
    run = compiler.with_variable(name.name, variable, node.arguments[2]).run

    def mapped(request: Request) -> list[Any]:
        made = []
        for value in each(request):
            if ask(request):
                cell[0] = value
                made.append(run(request))
        return made

    return Code(LIST, mapped, fails=True)


def _bind(compiler: Compiler, node: Call) -> Code:
    """``cel.bind(name, value, expression)``."""
    name = node.arguments[0]
    if not isinstance(name, Name):
        raise ExpressionError(name.column, "cel.bind() takes the name of a variable first")
    value = compiler.compile(node.arguments[1])
    cell: list[Any] = [None]
    variable = Code(value.type, lambda request: cell[0])
    body = compiler.with_variable(name.name, variable, node.arguments[2])
    give, run = value.run, body.run

    def bound(request: Request) -> Any:
        cell[0] = give(request)
        return run(request)

    return Code(body.type, bound, fails=value.fails or body.fails)


def _dyn(compiler: Compiler, node: Call) -> Code:
    """``dyn(value)``: the same value, whose type is not checked before."""
    code = compiler.compile(node.arguments[0])
    return Code(DYN, code.run, fails=code.fails)


MACROS: dict[tuple[str, int], Callable[[Compiler, Call], Code]] = {
    (".exists", 2): lambda compiler, node: _decided(compiler, node, decisive=True),
    (".all", 2): lambda compiler, node: _decided(compiler, node, decisive=False),
    (".exists_one", 2): _exists_one,
    (".existsOne", 2): _exists_one,
    (".filter", 2): _filter,
    (".map", 2): _map,
    (".map", 3): _filtered_map,
    ("cel.bind", 3): _bind,
    ("dyn", 1): _dyn,
}
"""By name, a method's with a dot, and the number of arguments."""
