"""Two protocols joined in memory: what one writes, the other receives in the next turn of the loop."""

from __future__ import annotations

import asyncio


class MemoryTransport(asyncio.Transport):
    """One end. ``hold`` keeps what is written from arriving, as a full socket or a cut cable does."""

    def __init__(self, loop):
        super().__init__()
        self.loop = loop
        self.peer = None
        self.other = None
        self.is_closed = False
        self.is_held = False
        self.is_reading = True
        self.written = 0

    def write(self, data):
        self.written += len(data)
        if not self.is_closed and not self.is_held:
            self.loop.call_soon(self._deliver, bytes(data))

    def _deliver(self, data):
        if not self.other.is_closed:
            self.peer.data_received(data)

    def pause_reading(self):
        self.is_reading = False

    def can_write_eof(self):
        return True

    def write_eof(self):
        if not self.is_closed and not self.is_held:
            self.loop.call_soon(self._end)

    def _end(self):
        if not self.other.is_closed and not self.peer.eof_received():
            self.other.close()

    def close(self):
        if not self.is_closed:
            self.is_closed = True
            self.loop.call_soon(self._lost, None)

    abort = close

    def is_closing(self):
        return self.is_closed

    def get_extra_info(self, name, default=None):
        return default

    def _lost(self, error):
        self.own.connection_lost(error)
        if not self.is_held:
            self.other.close()


def join(one, two):
    """Connect two protocols; returns their transports."""
    loop = asyncio.get_running_loop()
    first, second = MemoryTransport(loop), MemoryTransport(loop)
    first.own, first.peer, first.other = one, two, second
    second.own, second.peer, second.other = two, one, first
    one.connection_made(first)
    two.connection_made(second)
    return first, second


async def settle(turns=30):
    """Let everything that is due happen."""
    for _ in range(turns):
        await asyncio.sleep(0)
