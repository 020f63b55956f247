"""What the compiler makes of each node, and how functions become closures.

A function has overloads by the types of its arguments. Where those are known when the configuration is
loaded, the overload is chosen then; where one is not (a placeholder), its class is asked per request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.edge.expression.syntax import ExpressionError
from services.edge.expression.values import CLASS_OF, DYN, EvaluationError, no_overload, type_of

if TYPE_CHECKING:
    from quantum.http.message import Request

Run = Callable[["Request"], Any]
"""Gives the value for one request."""

UNKNOWN: Final = object()
"""In place of a constant: the value depends on the request."""


@dataclass(frozen=True, slots=True)
class Code:
    """A closure, the type of what it gives, its value where no request makes a difference.

    ``fails``: it may raise EvaluationError, so that ``&&`` and ``||`` must be ready for it.
    """

    type: str
    run: Run
    constant: Any = UNKNOWN
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Overload:
    """One form of a function. ``safe``: it never raises EvaluationError."""

    types: tuple[str, ...]
    result: str
    call: Callable[..., Any]
    safe: bool = False

    def accepts(self, types: Sequence[str]) -> bool:
        """Whether values of these types may fit; ``dyn`` fits everywhere."""
        return len(types) == len(self.types) and all(
            wanted in {DYN, given} or given == DYN
            for wanted, given in zip(self.types, types, strict=True)
        )


def constant(kind: str, value: Any) -> Code:
    """Return the code of a value that is known."""
    return Code(kind, lambda request: value, value)


def call(column: int, name: str, overloads: Sequence[Overload], arguments: Sequence[Code]) -> Code:
    """Return the code of a call; ExpressionError when no overload can take the arguments."""
    types = [argument.type for argument in arguments]
    fitting = [overload for overload in overloads if overload.accepts(types)]
    if not fitting:
        shown = ", ".join(types)
        raise ExpressionError(column, f"no overload of {name} takes ({shown})")
    results = {overload.result for overload in fitting}
    result = results.pop() if len(results) == 1 else DYN
    run, fails = _resolved(name, fitting, arguments)
    fails = fails or any(argument.fails for argument in arguments)
    if arguments and all(argument.constant is not UNKNOWN for argument in arguments):
        return _folded(column, result, run)
    return Code(result, run, fails=fails)


def _folded(column: int, result: str, run: Run) -> Code:
    """Evaluate now what no request changes; what fails always is refused."""
    try:
        value = run(None)  # type: ignore[arg-type]
    except EvaluationError as error:
        raise ExpressionError(column, str(error)) from None
    return constant(type_of(value) if result == DYN else result, value)


def _resolved(
    name: str, fitting: Sequence[Overload], arguments: Sequence[Code]
) -> tuple[Run, bool]:
    """Return the closure of a call, and whether it may fail by itself."""
    if len(fitting) > 1:
        return _dispatching(name, fitting, [a.run for a in arguments]), True
    overload = fitting[0]
    asked = [
        (index, CLASS_OF[wanted])
        for index, (wanted, argument) in enumerate(zip(overload.types, arguments, strict=True))
        if wanted != DYN and argument.type == DYN
    ]
    if not asked:
        return _direct(overload.call, [a.run for a in arguments]), not overload.safe
    return _asking(name, overload.call, [a.run for a in arguments], asked, arguments), True


def _direct(function: Callable[..., Any], runs: Sequence[Run]) -> Run:
    if len(runs) == 1:
        only = runs[0]
        return lambda request: function(only(request))
    if len(runs) == 2:
        first, second = runs
        return lambda request: function(first(request), second(request))
    return lambda request: function(*[run(request) for run in runs])


def _asking(
    name: str,
    function: Callable[..., Any],
    runs: Sequence[Run],
    asked: Sequence[tuple[int, type]],
    arguments: Sequence[Code],
) -> Run:
    """Ask the classes of what was not known before."""
    if len(runs) == 2 and len(asked) == 1 and asked[0][0] == 0:
        first, kind, second = runs[0], asked[0][1], arguments[1].constant
        if second is not UNKNOWN:

            def usual(request: Request) -> Any:
                value = first(request)
                if value.__class__ is not kind:
                    raise no_overload(name, value, second)
                return function(value, second)

            return usual

    def run(request: Request) -> Any:
        values = [run(request) for run in runs]
        for index, kind in asked:
            if values[index].__class__ is not kind:
                raise no_overload(name, *values)
        return function(*values)

    return run


def _dispatching(name: str, fitting: Sequence[Overload], runs: Sequence[Run]) -> Run:
    def run(request: Request) -> Any:
        values = [run(request) for run in runs]
        types = [type_of(value) for value in values]
        for overload in fitting:
            if overload.accepts(types) and DYN not in types:
                return overload.call(*values)
        raise no_overload(name, *values)

    return run
