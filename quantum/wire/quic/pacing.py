"""How fast packets leave: aioquic's leaky bucket, with bursts of what a millisecond is worth.

Timers of an event loop have milliseconds. A bucket that holds sixteen packets and wakes for each
single one makes a fast path slow: sixteen a millisecond at most, and a system call for one or two.
"""

from __future__ import annotations

from typing import cast

from aioquic.quic.recovery import QuicPacketPacer

BURST_SECONDS = 0.001
"""What may leave at once, in time at the present rate: the send quantum of BBR, below what the timer can do."""
BURST_PACKETS = 44
"""And in packets: 60 KB, about what the kernel cuts up in one call (BBR: 64 KB)."""


class Pacer(QuicPacketPacer):
    """A QuicPacketPacer. At rates below 16 packets a millisecond it behaves as aioquic's."""

    def update_rate(self, congestion_window: int, smoothed_rtt: float) -> None:
        """Follow the congestion window."""
        super().update_rate(congestion_window, smoothed_rtt)
        burst = min(BURST_SECONDS, BURST_PACKETS * (self.packet_time or 0.0))
        self.bucket_max = max(self.bucket_max, burst)

    def next_send_time(self, now: float) -> float:
        """Return when to try again: once a burst has come together, or a millisecond has passed.

        None, which aioquic's types leave out: go on.
        """
        at: float | None = super().next_send_time(now)
        later = None if at is None else max(at, now + min(self.bucket_max, BURST_SECONDS))
        return cast("float", later)
