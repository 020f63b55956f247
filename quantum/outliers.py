"""Which of several equals does clearly worse than the others: pure, for whoever has figures of them.

The proxy asks it of its own figures, the health room of all proxies' figures together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Figures:
    """What was seen of one upstream: attempts, those that failed or were 5xx, answers and their seconds."""

    requests: int = 0
    errors: int = 0
    answers: int = 0
    seconds: float = 0.0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.requests + other.requests,
            self.errors + other.errors,
            self.answers + other.answers,
            self.seconds + other.seconds,
        )

    def __sub__(self, other: Figures) -> Figures:
        return Figures(
            self.requests - other.requests,
            self.errors - other.errors,
            self.answers - other.answers,
            self.seconds - other.seconds,
        )


class Series:
    """Counters that only grow, noted from time to time: gives what came in the last seconds."""

    def __init__(self, keep: float) -> None:
        """``keep`` in seconds: the longest span that will be asked for."""
        self._keep = keep
        self._notes: deque[tuple[float, Figures]] = deque()

    def note(self, now: float, total: Figures) -> None:
        """Keep the counters as they are now."""
        notes = self._notes
        notes.append((now, total))
        while len(notes) > 2 and notes[1][0] <= now - self._keep:
            notes.popleft()

    def since(self, start: float) -> Figures:
        """Return what was counted after ``start``, as exactly as the notes allow."""
        if not self._notes:
            return Figures()
        first = Figures() if self._notes[0][0] > start else self._notes[0][1]
        for at, total in self._notes:
            if at > start:
                break
            first = total
        return self._notes[-1][1] - first


class Rules(Protocol):
    """When an upstream is an outlier, and for how long it is left out (``health_checks.outlier``)."""

    @property
    def window(self) -> float:
        """Seconds that are looked at."""

    @property
    def min_requests(self) -> int:
        """Fewer requests say nothing."""

    @property
    def max_error_rate(self) -> float:
        """The part of requests that may fail."""

    @property
    def latency_factor(self) -> float:
        """Mean latency over the median of the others'; 0: not looked at."""

    @property
    def min_latency(self) -> float:
        """Seconds below which nobody is slow."""

    @property
    def max_ejected(self) -> float:
        """The share of all that may be out at the same time; one always may."""

    @property
    def eject_for(self) -> float:
        """Seconds out, the first time; twice as long each time it comes back no better."""

    @property
    def max_eject_for(self) -> float:
        """Seconds out at most; who was in for as long is forgiven."""


def find_outliers(figures: Mapping[str, Figures], rules: Rules) -> dict[str, str]:
    """Return the outliers with the reason, the worst first; those with too few requests are no measure."""
    known = {k: f for k, f in figures.items() if f.requests >= rules.min_requests}
    found: dict[str, tuple[float, str]] = {}
    for name, figure in known.items():
        rate = figure.errors / figure.requests
        if rate > rules.max_error_rate:
            found[name] = (1 + rate, f"{rate:.0%} of {figure.requests} requests failed")
    if rules.latency_factor:
        for name, reason in _slow(known, rules).items():
            found.setdefault(name, reason)
    ranked = sorted(found.items(), key=lambda item: -item[1][0])
    return {name: reason for name, (_, reason) in ranked}


def room_for(total: int, ejected: int, max_ejected: float) -> int:
    """Return how many more of ``total`` may be left out; one always may, the last never."""
    most = max(1, int(total * max_ejected + 1e-9))
    return max(0, min(most, total - 1) - ejected)


def _slow(known: Mapping[str, Figures], rules: Rules) -> dict[str, tuple[float, str]]:
    means = {name: f.seconds / f.answers for name, f in known.items() if f.answers}
    found = {}
    for name, mean in means.items():
        others = [value for other, value in means.items() if other != name]
        if not others or mean < rules.min_latency:
            continue
        usual = max(median(others), 1e-6)
        if mean > rules.latency_factor * usual:
            share = 1 - usual / mean
            found[name] = (share, f"{mean:.3f} s on average, the others {usual:.3f} s")
    return found


class Ejections:
    """Who is left out, why, and until when."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._times: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self._returned: dict[str, float] = {}
        self.out: dict[str, str] = {}
        """The reasons against those that are out."""

    def counts_from(self, name: str, now: float) -> float:
        """Return from when on figures of ``name`` count: the window, but nothing before it came back."""
        return max(now - self._rules.window, self._returned.get(name, float("-inf")))

    def consider(self, total: int, figures: Mapping[str, Figures], now: float) -> bool:
        """Let back whose time is over, leave out new outliers; return whether anything changed.

        ``total`` is the number of all upstreams, ``figures`` hold what is to be judged of them.
        """
        changed = self._readmit(now)
        candidates = {k: f for k, f in figures.items() if k not in self.out}
        room = room_for(total, len(self.out), self._rules.max_ejected)
        for name, reason in list(find_outliers(candidates, self._rules).items())[:room]:
            self._eject(name, reason, now)
            changed = True
        return changed

    def _eject(self, name: str, reason: str, now: float) -> None:
        rules = self._rules
        if now - self._returned.get(name, float("-inf")) > rules.max_eject_for:
            self._times[name] = 0
        times = self._times.get(name, 0)
        self._times[name] = times + 1
        self._until[name] = now + min(rules.eject_for * 2 ** min(times, 16), rules.max_eject_for)
        self.out[name] = reason

    def _readmit(self, now: float) -> bool:
        over = [name for name in self.out if self._until[name] <= now]
        for name in over:
            del self.out[name], self._until[name]
            self._returned[name] = now
        return bool(over)
