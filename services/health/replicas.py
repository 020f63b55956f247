"""What the proxies of a deployment count, put together: strikes and outliers that none of them sees alone.

A proxy acts on its own requests by itself. Here are concluded only things that at least two processes
saw: one process's broken network must not speak for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from quantum.bus.subjects import UpstreamFigures, UpstreamsMeasured, key_of
from quantum.clock import Clock
from quantum.modules.config import ModuleConfig
from quantum.outliers import Ejections, Figures, Series
from services.health.board import Board, Subject
from services.health.verdict import Verdict

MIN_PROCESSES = 2
MAX_WINDOW = 600.0
"""Seconds of figures that are kept: the longest window and fail_duration that are looked at together."""
FORGET_SECONDS = 30.0
"""Silence after which a process's figures are dropped: proxies speak every few seconds."""
MAX_SERIES = 20_000
"""Pairs of process and upstream that are followed: a hundred proxies with two hundred upstreams each."""
VALID_SECONDS = 30.0


@dataclass
class _Source:
    """One upstream as one process counts it."""

    heard: float
    series: Series = field(default_factory=lambda: Series(MAX_WINDOW))
    strikes: deque[tuple[float, int]] = field(default_factory=deque)
    last_strikes: int = 0


class Replicas:
    """The figures of all proxies, over time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sources: dict[str, dict[str, _Source]] = {}
        self._count = 0

    def note(self, fact: UpstreamsMeasured) -> None:
        """Take up what a process counted."""
        now = self._clock.monotonic()
        for row in fact.figures:
            sources = self._sources.setdefault(row.upstream, {})
            source = sources.get(fact.process)
            if source is None:
                if self._count >= MAX_SERIES:
                    continue
                self._count += 1
                source = sources[fact.process] = _Source(now, last_strikes=row.strikes)
                source.strikes.append((now, row.strikes))
            self._take(source, row, now)

    def figures(self, upstream: str, start: float) -> dict[str, Figures]:
        """Return what each process counted since ``start``, as far as it counted anything."""
        found = {
            process: source.series.since(start)
            for process, source in self._sources.get(upstream, {}).items()
        }
        return {process: figures for process, figures in found.items() if figures.requests}

    def strikes(self, upstream: str, start: float) -> dict[str, int]:
        """Return how many strikes each process noted since ``start``; only those that did."""
        found = {
            process: sum(count for at, count in source.strikes if at > start)
            for process, source in self._sources.get(upstream, {}).items()
        }
        return {process: count for process, count in found.items() if count}

    def forget_silent(self) -> None:
        """Drop what belongs to processes that are gone."""
        end = self._clock.monotonic() - FORGET_SECONDS
        for upstream, sources in list(self._sources.items()):
            for process in [p for p, source in sources.items() if source.heard < end]:
                del sources[process]
                self._count -= 1
            if not sources:
                del self._sources[upstream]

    def _take(self, source: _Source, row: UpstreamFigures, now: float) -> None:
        source.heard = now
        total = Figures(row.requests, row.errors, row.answers, row.seconds)
        source.series.note(now, total)
        fresh = row.strikes - source.last_strikes
        source.last_strikes = row.strikes
        if fresh > 0:
            source.strikes.append((now, fresh))
        while source.strikes and source.strikes[0][0] < now - MAX_WINDOW:
            source.strikes.popleft()


class Together:
    """What follows for the upstreams of one ``reverse_proxy``."""

    def __init__(self, module: ModuleConfig, replicas: Replicas, clock: Clock) -> None:
        self.config = module.config
        self._checks = module.config.health_checks
        self._replicas = replicas
        self._clock = clock
        self._ejections = Ejections(self._checks.outlier) if self._checks.outlier else None
        self._out: dict[str, str] = {}

    def subjects(self) -> Iterable[Subject]:
        """Yield what standings are published about."""
        for upstream in self.config.upstreams:
            checker = self._checks.passive_id(upstream.dial)
            key = key_of(f"{checker}|{upstream.dial}")
            yield Subject(key, checker, upstream.dial, VALID_SECONDS)

    async def publish(self, board: Board, revision: str) -> None:
        """Conclude from what is known now; say what changed, and again what still speaks against one."""
        reasons = self._reasons()
        for subject in self.subjects():
            reason = reasons.get(subject.upstream, "")
            if reason or subject.upstream in self._out:
                verdict = Verdict(not reason, reason=reason, is_known=True)
                if not await board.publish(subject, verdict, revision):
                    continue
                if reason:
                    self._out[subject.upstream] = reason
                else:
                    self._out.pop(subject.upstream)

    def _reasons(self) -> dict[str, str]:
        now, found = self._clock.monotonic(), {}
        passive = self._checks.passive
        dials = [upstream.dial for upstream in self.config.upstreams]
        if passive is not None and passive.fail_duration:
            for dial in dials:
                seen = self._replicas.strikes(dial, now - passive.fail_duration)
                count = sum(seen.values())
                if len(seen) >= MIN_PROCESSES and count >= passive.max_fails:
                    found[dial] = f"{count} failed requests at {len(seen)} proxies"
        if self._ejections is not None:
            found.update(self._outliers(self._ejections, dials, now))
        return found

    def _outliers(self, ejections: Ejections, dials: list[str], now: float) -> dict[str, str]:
        figures = {}
        for dial in dials:
            seen = self._replicas.figures(dial, ejections.counts_from(dial, now))
            if len(seen) >= MIN_PROCESSES:
                figures[dial] = sum(seen.values(), Figures())
        ejections.consider(len(dials), figures, now)
        return {dial: f"{reason} at all proxies" for dial, reason in ejections.out.items()}
