"""An event loop whose time passes only when nobody has anything to do."""

import asyncio
import selectors
from typing import Any


class Stuck(Exception):
    """Everybody waits and no timer is set: a deadlock."""


class _Selector(selectors.SelectSelector):
    """Waits by moving the loop's clock. No socket is ever waited for."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self.loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.now
