"""From samples to a verdict: pure, so that every sequence can be tested.

An upstream is healthy until proven otherwise. ``fails`` bad samples in a row take it down, ``passes``
good ones in a row bring it back; one sample of the other kind starts the count again. One that goes up
and down all the time needs more and more good samples: see ``passes_needed``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FLAP_WINDOW = timedelta(minutes=10)
"""How far back going down is remembered."""
FREE_FALLS = 3
"""Times an upstream may go down within the window like any other: a deployment does it once or twice."""
MAX_FACTOR = 8
"""What ``passes`` is multiplied with at most: with the usual ten seconds, a little over a minute."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The outcome of one check; ``reason`` says what was wrong, ``seconds`` how long it took."""

    ok: bool
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is believed of an upstream. ``streak`` counts samples in a row that speak against it."""

    healthy: bool = True
    streak: int = 0
    reason: str = ""
    is_known: bool = False
    """Whether a sample has confirmed or changed it: before, it is an assumption."""


def judge(verdict: Verdict, sample: Sample, *, passes: int, fails: int) -> Verdict:
    """Return the verdict after ``sample``."""
    if sample.ok == verdict.healthy:
        reason = "" if sample.ok else sample.reason
        return Verdict(verdict.healthy, 0, reason, is_known=True)
    streak = verdict.streak + 1
    if streak >= (passes if sample.ok else fails):
        return Verdict(sample.ok, 0, sample.reason, is_known=True)
    return replace(verdict, streak=streak)


def passes_needed(passes: int, falls: Iterable[datetime], now: datetime) -> int:
    """Return how many good samples bring an upstream back that went down at ``falls``.

    Twice as many for each fall beyond the free ones within the window, ``MAX_FACTOR`` times at most.
    """
    recent = sum(now - at < FLAP_WINDOW for at in falls)
    factor: int = min(2 ** max(0, recent - FREE_FALLS), MAX_FACTOR)
    return passes * factor
