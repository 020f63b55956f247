"""The zones of a process: what was counted for each key, whichever configuration is in force.

Counts outlive a change of the configuration: a reload gives nobody a fresh allowance. How much is
allowed is never kept here, it is said with each question, so that a revision that is prepared and
given up has changed nothing.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

from services.edge.limiting.window import SlidingWindow

MAX_KEYS = 100_000
"""Keys that a zone remembers. Whoever has more addresses than this makes it forget who asked longest ago,
which is no worse than not to know them; a key costs some 300 bytes and 100 for each entry of its window."""
SWEPT = 2
"""Old keys that are looked at for each new one: a zone shrinks while it is used, without a timer."""
UNTOLD_KEYS = 10_000
"""Keys counted for the other processes between two tellings; a flood of new keys is then this process's alone."""


class Zone:
    """One zone. Times are the caller's clock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds = 0.0
        """Its window, as last configured: how events of other processes are put together."""
        self.untold: Counter[str] = Counter()
        self._windows: OrderedDict[str, SlidingWindow] = OrderedDict()
        self._running: Counter[str] = Counter()

    def wait(self, key: str, now: float, events: int, seconds: float) -> float:
        """Return how long ``key`` must wait; 0: it may come now."""
        window = self._windows.get(key)
        if window is None:
            return 0.0 if events > 0 else seconds
        return window.wait(now, events, seconds)

    def note(self, key: str, now: float, seconds: float, count: int = 1) -> None:
        """Count events of ``key``."""
        window = self._windows.get(key)
        if window is None:
            self._sweep(now, seconds)
            window = self._windows[key] = SlidingWindow()
        else:
            self._windows.move_to_end(key)
        window.add(now, seconds, count)

    def tell(self, key: str) -> None:
        """Remember an event for the other processes."""
        if key in self.untold or len(self.untold) < UNTOLD_KEYS:
            self.untold[key] += 1

    def _sweep(self, now: float, seconds: float) -> None:
        windows = self._windows
        for _ in range(SWEPT):
            oldest = next(iter(windows), None)
            if oldest is None:
                return
            if len(windows) < MAX_KEYS and not windows[oldest].is_over(now, seconds):
                return
            del windows[oldest]

    def enter(self, key: str, limit: int) -> Slot | None:
        """Return a place among the ``limit`` of ``key`` that may run at a time; None when there is none."""
        if self._running[key] >= limit:
            return None
        self._running[key] += 1
        return Slot(self._running, key)


class Slot:
    """A running request's place; ``leave`` when it has ended. One that is forgotten leaves by itself."""

    __slots__ = ("_key", "_running")

    def __init__(self, running: Counter[str], key: str) -> None:
        self._running: Counter[str] | None = running
        self._key = key

    def leave(self) -> None:
        """Give the place back. Idempotent."""
        running, self._running = self._running, None
        if running is None:
            return
        running[self._key] -= 1
        if running[self._key] <= 0:
            del running[self._key]

    __del__ = leave
    """An answer whose client has gone before its body was pulled is dropped without being closed."""


class Zones:
    """The zones by name."""

    def __init__(self) -> None:
        self._zones: dict[str, Zone] = {}

    def get(self, name: str) -> Zone:
        """Return the zone, made when it is new. Zones are as many as configurations ever named."""
        zone = self._zones.get(name)
        if zone is None:
            zone = self._zones[name] = Zone(name)
        return zone

    def untold(self) -> dict[str, dict[str, int]]:
        """Take what the other processes have not heard of: events by zone and key."""
        told: dict[str, dict[str, int]] = {}
        for zone in self._zones.values():
            if zone.untold:
                told[zone.name], zone.untold = dict(zone.untold), Counter()
        return told

    def hear(self, name: str, counts: dict[str, int], now: float) -> None:
        """Count what another process let through; a zone that is not here counts nothing."""
        zone = self._zones.get(name)
        if zone is not None:
            for key, count in counts.items():
                if count > 0:
                    zone.note(key, now, zone.seconds, count)
