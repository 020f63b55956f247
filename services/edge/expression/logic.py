"""``&&``, ``||``, ``!``, ``?:`` and comparison: what decides, and what is decided in spite of a failure.

As in the standard, ``a || b`` is true when either is, even where the other one has no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.edge.expression.code import UNKNOWN, Code, Run, constant
from services.edge.expression.syntax import ExpressionError
from services.edge.expression.values import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    LIST,
    MAP,
    STRING,
    UINT,
    EvaluationError,
    contains,
    equals,
    no_overload,
)

if TYPE_CHECKING:
    from quantum.http.message import Request

_PLAIN = frozenset({BOOL, INT, UINT, DOUBLE, STRING, BYTES})
"""Types whose values Python compares as CEL does when both are of that type."""


def need_bool(column: int, code: Code) -> Code:
    """Return ``code`` if it is, or may turn out to be, a boolean."""
    if code.type not in {BOOL, DYN}:
        raise ExpressionError(column, f"expected bool, found {code.type}")
    return code


def join(name: str, parts: Sequence[Code]) -> Code:
    """Return the code of ``_&&_`` or ``_||_`` over boolean parts."""
    decisive = name == "_||_"
    if any(part.constant is decisive for part in parts):
        return constant(BOOL, decisive)
    fails = any(part.fails or part.type != BOOL for part in parts)
    runs = [part.run for part in parts]
    if fails:
        return Code(BOOL, _careful(runs, decisive=decisive), fails=True)
    if len(runs) == 2:
        first, second = runs
        if decisive:
            return Code(BOOL, lambda request: first(request) or second(request))
        return Code(BOOL, lambda request: first(request) and second(request))
    if decisive:
        return Code(BOOL, lambda request: any(run(request) for run in runs))
    return Code(BOOL, lambda request: all(run(request) for run in runs))


def _careful(runs: Sequence[Run], *, decisive: bool) -> Run:
    def careful(request: Request) -> bool:
        value: object
        failure: EvaluationError | None = None
        for run in runs:
            try:
                value = run(request)
            except EvaluationError as error:
                failure = failure or error
                continue
            if value is decisive:
                return decisive
            if value.__class__ is not bool:
                failure = failure or no_overload("|| or &&", value)
        if failure is not None:
            raise failure
        return not decisive

    return careful


def negate(code: Code) -> Code:
    """Return the code of ``!``."""
    run = code.run
    if code.type == BOOL:
        if code.constant is not UNKNOWN:
            return constant(BOOL, not code.constant)
        return Code(BOOL, lambda request: not run(request), fails=code.fails)

    def negated(request: Request) -> bool:
        value = run(request)
        if value.__class__ is not bool:
            raise no_overload("!", value)
        return value is False

    return Code(BOOL, negated, fails=True)


def choose(column: int, condition: Code, then: Code, otherwise: Code) -> Code:
    """Return the code of ``?:``; both values are of one type, or one is not known yet."""
    if DYN not in (then.type, otherwise.type) and then.type != otherwise.type:
        raise ExpressionError(column, f"?: has values of two types, {then.type} and {otherwise.type}")  # fmt: skip
    kind = then.type if then.type == otherwise.type else DYN
    ask, first, second = condition.run, then.run, otherwise.run
    fails = condition.type != BOOL or condition.fails or then.fails or otherwise.fails
    if condition.type == BOOL:
        return Code(kind, lambda request: first(request) if ask(request) else second(request), fails=fails)  # fmt: skip

    def chosen(request: Request) -> object:
        value = ask(request)
        if value.__class__ is not bool:
            raise no_overload("?:", value)
        return first(request) if value else second(request)

    return Code(kind, chosen, fails=True)


def compare(column: int, left: Code, right: Code) -> Code:
    """Return the code of ``==``; types that are known and differ are refused."""
    if DYN not in (left.type, right.type) and left.type != right.type:
        raise ExpressionError(column, f"no overload of == takes ({left.type}, {right.type})")
    fails = left.fails or right.fails
    one, other = left.run, right.run
    if left.constant is not UNKNOWN and right.constant is not UNKNOWN:
        return constant(BOOL, equals(left.constant, right.constant))
    if left.type == right.type and left.type in _PLAIN:
        if right.constant is not UNKNOWN:
            wanted = right.constant
            return Code(BOOL, lambda request: one(request) == wanted, fails=fails)
        return Code(BOOL, lambda request: one(request) == other(request), fails=fails)
    for code, run in ((left, other), (right, one)):
        if code.constant is not UNKNOWN and code.type in {STRING, BYTES}:
            text = code.constant  # nothing but a text equals a text
            return Code(BOOL, _equal_to(run, text), fails=fails)
    return Code(BOOL, lambda request: equals(one(request), other(request)), fails=fails)


def _equal_to(run: Run, text: object) -> Run:
    kind = text.__class__
    # A Type is a str to Python and no string to CEL.
    return lambda request: (value := run(request)) == text and value.__class__ is kind


def membership(column: int, item: Code, items: Code) -> Code:
    """Return the code of ``in``: an element of a list, a key of a map."""
    if items.type not in {LIST, MAP, DYN}:
        raise ExpressionError(column, f"in looks into a list or a map, not into {items.type}")
    wanted, among = item.run, items.run
    fails = item.fails or items.fails or items.type == DYN
    known = items.constant
    if known is not UNKNOWN and item.constant is not UNKNOWN:
        return constant(BOOL, contains(known, item.constant))
    if known is not UNKNOWN and all(each.__class__ is str for each in known):
        texts = frozenset(known)

        def is_among(request: Request) -> bool:
            value = wanted(request)
            return value.__class__ is str and value in texts

        return Code(BOOL, is_among, fails=item.fails)
    return Code(BOOL, lambda request: contains(among(request), wanted(request)), fails=fails)
