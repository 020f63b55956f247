"""``http.handlers.timeouts``: how slowly the clients of a route may send their bodies and take their answers.

The handler only says so; who keeps it are the connections, at the looks they take at what moved.
"""

from __future__ import annotations

from collections.abc import Awaitable

from quantum.http.handler import Next
from quantum.http.message import Request, Response
from quantum.modules.lifetime import Provision
from services.edge.bodies.config import TimeoutsConfig
from services.edge.protocols.pace import LOOK_SECONDS, Pace, RoutePace


class RoutePaces:
    """The paces of a server's routes, while its chain is compiled: connections look as often as they ask."""

    def __init__(self) -> None:
        self.shortest = LOOK_SECONDS

    def add(self, pace: RoutePace) -> None:
        """Note one of them."""
        self.shortest = min(self.shortest, pace.read.shortest, pace.write.shortest)


class Timeouts:
    """Sets the pace of a request and goes on."""

    def __init__(self, config: TimeoutsConfig, provision: Provision) -> None:
        self._pace = RoutePace(
            Pace(config.read_timeout, rate=config.read_min_rate),
            Pace(config.write_timeout, rate=config.write_min_rate),
            config.max_write_chunk,
        )
        paces: RoutePaces = provision.get(RoutePaces)
        paces.add(self._pace)

    def link(self, following: Next) -> Next:
        """Return the link."""
        pace = self._pace

        def timed(request: Request) -> Awaitable[Response]:
            request.pace = pace
            return following(request)

        return timed
