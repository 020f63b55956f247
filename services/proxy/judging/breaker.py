"""A circuit breaker: closed, open, half open. Pure: time is handed in."""

from __future__ import annotations

import enum

from services.proxy.judging.config import CircuitBreaker


class State(enum.Enum):
    """What becomes of requests: all pass, none pass, one trial at a time passes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """The breaker of one upstream, as one handler sees it."""

    __slots__ = (
        "_began", "_config", "_errors", "_good", "_next_trial", "_open_for", "_requests", "reason",
        "state", "until",
    )  # fmt: skip

    def __init__(self, config: CircuitBreaker) -> None:
        self._config = config
        self.state = State.CLOSED
        self.reason = ""
        self.until = 0.0
        self._open_for = config.open_for
        self._began = 0.0
        self._requests = 0
        self._errors = 0
        self._good = 0
        self._next_trial = 0.0

    def look(self, now: float) -> None:
        """Become half open when the time has come."""
        if self.state is State.OPEN and now >= self.until:
            self.state = State.HALF_OPEN
            self._good, self._next_trial = 0, now

    def admits(self, now: float) -> bool:
        """Whether a request may be sent."""
        if self.state is State.HALF_OPEN:
            return now >= self._next_trial
        return self.state is State.CLOSED

    def chosen(self, now: float) -> None:
        """Hear that a request is sent. A trial that never ends makes room for another after a while."""
        if self.state is State.HALF_OPEN:
            self._next_trial = now + self._config.open_for

    def note(self, now: float, *, ok: bool) -> bool:
        """Count an outcome; return whether the state changed."""
        if self.state is State.HALF_OPEN:
            return self._tried(now, ok=ok)
        if self.state is State.OPEN:
            return False  # sent before it opened: known already
        config = self._config
        if now - self._began > config.window:
            self._began, self._requests, self._errors = now, 0, 0
        self._requests += 1
        if ok:
            return False
        self._errors += 1
        rate = self._errors / self._requests
        if self._requests < config.min_requests or rate < config.max_error_rate:
            return False
        self._trip(now, f"{rate:.0%} of {self._requests} requests failed")
        return True

    def _tried(self, now: float, *, ok: bool) -> bool:
        if not ok:
            self._open_for = min(2 * self._open_for, self._config.max_open_for)
            self._trip(now, "a trial failed")
            return True
        self._good += 1
        self._next_trial = now
        if self._good < self._config.trials:
            return False
        self.state, self.reason = State.CLOSED, ""
        self._open_for = self._config.open_for
        self._began, self._requests, self._errors = now, 0, 0
        return True

    def _trip(self, now: float, reason: str) -> None:
        self.state, self.reason = State.OPEN, f"circuit open: {reason}"
        self.until = now + self._open_for
