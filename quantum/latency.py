"""Latencies in buckets that grow by a fifth: quantiles within a tenth of the truth, from a few dozen integers.

Digests of several processes add up, bucket by bucket.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

GROWTH = 1.2
SMALLEST = 1e-4
"""Seconds; what is faster counts as this."""
LARGEST_BUCKET = 76
"""About a hundred seconds; what is slower counts as that."""
_BOUNDS = tuple(SMALLEST * GROWTH**n for n in range(LARGEST_BUCKET))
"""The longest latency of each bucket; the last bucket has none."""


def bucket_of(seconds: float) -> int:
    """Return the bucket of a latency."""
    return bisect_left(_BOUNDS, seconds)


class LatencyDigest:
    """Counts since it was made, and those of the recent past: two windows, the older is dropped whole."""

    __slots__ = ("_began", "_older", "_past", "_window", "_younger")

    def __init__(self, now: float, window: float = 60.0) -> None:
        """``window`` in seconds: quantiles speak of the last one to two windows."""
        self._began = now
        self._window = window
        self._past, self._older, self._younger = _empty(), _empty(), _empty()

    def note(self, seconds: float, now: float) -> None:
        """Count one."""
        if now - self._began > self._window:
            self._turn(now)
        self._younger[bisect_left(_BOUNDS, seconds)] += 1

    def buckets(self, now: float) -> dict[int, int]:
        """Return the counts of the recent past."""
        if now - self._began > self._window:
            self._turn(now)
        return _sum(self._older, self._younger)

    def total(self) -> dict[int, int]:
        """Return the counts since it was made."""
        return _sum(self._past, self._older, self._younger)

    def _turn(self, now: float) -> None:
        dropped = [self._older]
        is_stale = now - self._began > 2 * self._window
        if is_stale:
            dropped.append(self._younger)
        for counts in dropped:
            self._past = [a + b for a, b in zip(self._past, counts, strict=True)]
        self._older = _empty() if is_stale else self._younger
        self._younger = _empty()
        self._began = now


def _empty() -> list[int]:
    return [0] * (LARGEST_BUCKET + 1)


def _sum(*windows: list[int]) -> dict[int, int]:
    """Return the buckets that hold anything."""
    return {
        n: total for n, counts in enumerate(zip(*windows, strict=True)) if (total := sum(counts))
    }


def merged(digests: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return the sum of several digests."""
    total: dict[int, int] = {}
    for digest in digests:
        for bucket, count in digest.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return the latency in seconds that ``share`` of the requests did not exceed; None without any."""
    rank = share * sum(buckets.values())
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= rank and seen:
            return float(SMALLEST * GROWTH ** (bucket - 0.5)) if bucket else SMALLEST
    return None


def count_up_to(buckets: Mapping[int, int], seconds: float) -> int:
    """Return how many were not slower than ``seconds``, to the precision of a bucket."""
    last = bucket_of(seconds)
    return sum(count for bucket, count in buckets.items() if bucket <= last)
