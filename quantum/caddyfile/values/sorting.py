"""Go's stable sort, with the order of its comparisons.

Some of Caddy's orders are no orders (they answer "less" both ways round), so what comes out depends
on which pairs are compared: blocks of twenty by insertion, then merged in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Less = Callable[[T, T], bool]

BLOCK = 20


def stable_sort(items: list[T], less: Less[T]) -> None:
    """Sort ``items`` in place as Go's ``sort.SliceStable`` does."""
    count = len(items)
    for begin in range(0, count, BLOCK):
        _insertion(items, less, begin, min(begin + BLOCK, count))
    size = BLOCK
    while size < count:
        begin = 0
        while begin + size < count:
            _merge(items, less, begin, begin + size, min(begin + 2 * size, count))
            begin += 2 * size
        size *= 2


def _insertion(items: list[T], less: Less[T], begin: int, end: int) -> None:
    for i in range(begin + 1, end):
        j = i
        while j > begin and less(items[j], items[j - 1]):
            items[j], items[j - 1] = items[j - 1], items[j]
            j -= 1


def _merge(items: list[T], less: Less[T], a: int, m: int, b: int) -> None:
    """Merge the sorted ``[a, m)`` and ``[m, b)``, by halving and rotating."""
    if m - a == 1:
        i, j = m, b
        while i < j:
            h = (i + j) // 2
            if less(items[h], items[a]):
                i = h + 1
            else:
                j = h
        items[a:i] = [*items[a + 1 : i], items[a]]
        return
    if b - m == 1:
        i, j = a, m
        while i < j:
            h = (i + j) // 2
            if not less(items[m], items[h]):
                i = h + 1
            else:
                j = h
        items[i : m + 1] = [items[m], *items[i:m]]
        return
    _merge_halves(items, less, a, m, b)


def _merge_halves(items: list[T], less: Less[T], a: int, m: int, b: int) -> None:
    middle = (a + b) // 2
    n = middle + m
    start, r = (n - b, middle) if m > middle else (a, m)
    p = n - 1
    while start < r:
        c = (start + r) // 2
        if not less(items[p - c], items[c]):
            start = c + 1
        else:
            r = c
    end = n - start
    if start < m < end:
        items[start:end] = [*items[m:end], *items[start:m]]
    if a < start < middle:
        _merge(items, less, a, start, middle)
    if middle < end < b:
        _merge(items, less, middle, end, b)
