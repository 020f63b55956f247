"""A lease: one request's hold on an upstream. It has one owner and is released exactly once.

Released where the attempt ends: in the ``finally`` of ``exchange.attempt``, or, when the answer
streams on after it, by the end of that stream, however it comes.
"""

from __future__ import annotations

import asyncio

from services.proxy.transports.connection import Connection
from services.proxy.upstreams import Member


class Lease:
    """Counts the request at its upstream and owns its connection and the task that sends its body."""

    __slots__ = ("_is_open", "connection", "is_lent", "member", "sender")

    def __init__(self, member: Member) -> None:
        member.upstream.in_flight += 1
        member.upstream.requests += 1
        self.member = member
        self.connection: Connection | None = None
        self.sender: asyncio.Task[None] | None = None
        self.is_lent = False
        self._is_open = True

    def lend_to_answer(self) -> None:
        """The answer streams on: its end releases the lease, the attempt does not."""
        assert self.connection is not None
        self.is_lent = True
        self.connection.when_ended(self.release)

    def replace_connection(self, connection: Connection) -> None:
        """Give the present connection back and hold ``connection`` instead."""
        self._give_back()
        self.connection = connection

    def release(self) -> None:
        """End it. Idempotent."""
        if self._is_open:
            self._is_open = False
            upstream = self.member.upstream
            upstream.in_flight -= 1
            self._give_back()
            if upstream.freed:
                for freed in upstream.freed:
                    freed()

    def _give_back(self) -> None:
        if self.sender is not None:
            self.sender.cancel()  # does nothing to one that has sent everything
            self.sender = None
        if self.connection is not None:
            self.member.pool.give_back(self.connection)
            self.connection = None
