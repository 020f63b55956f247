"""How much one client may do: requests and messages each second, and deletions without a second look."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from quantum.clock import Clock

REMEMBERED = 10_000
"""Clients whose rate is remembered; who is forgotten begins with a full allowance again."""

WINDOW_SECONDS = 60.0
"""Deletions within this time are one batch: a client that has lost its folder deletes file by file."""

CONFIRM_SECONDS = 600
"""How long a confirmation counts, at most; at least half of it."""


class TooFast(Exception):
    """More than the allowance; ``retry_after`` in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many requests")
        self.retry_after = retry_after


class NeedsConfirmation(Exception):
    """So many files would go that somebody has to say it is meant."""

    def __init__(self, confirm: str, affected: int) -> None:
        super().__init__(f"{affected} files would be deleted: confirm it")
        self.confirm = confirm
        self.affected = affected


class Rates:
    """A token bucket for each client: ``rate`` each second, twice that at once. 0: no limit."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Take one from the client's allowance; raises TooFast."""
        if not self._rate:
            return
        now = self._clock.monotonic()
        left, since = self._left.pop(client, (2.0 * self._rate, now))
        left = min(2.0 * self._rate, left + (now - since) * self._rate)
        self._left[client] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        if left < 1:
            raise TooFast((1 - left) / self._rate)


class DeletionGuard:
    """Counts the files that each client deletes; asks before it is most of a share.

    The confirmation is made of the client, the share's log and the time, so that any replica takes it:
    it protects from accidents, not from somebody who may write.
    """

    def __init__(self, files: int, percent: int, clock: Clock) -> None:
        """More than ``files``, or more than ``percent`` of the share and 20: 0 for no limit."""
        self._files = files
        self._percent = percent
        self._clock = clock
        self._recent: OrderedDict[str, dict[str, tuple[float, int]]] = OrderedDict()

    def check(
        self, client: str, log: str, path: str, affected: int, total: int, confirm: str | None
    ) -> None:
        """Raise NeedsConfirmation unless ``affected`` of ``total`` files at ``path`` may go without one.

        A deletion that is decided again, since others were faster, counts once.
        """
        now = self._clock.monotonic()
        recent = self._recent.setdefault(client, {})
        recent.pop(path, None)
        for old in [old for old, (at, _) in recent.items() if now - at > WINDOW_SECONDS]:
            del recent[old]
        before = sum(count for _, count in recent.values())
        gone = before + affected
        share_limit = max(20, (total + before) * self._percent // 100)
        is_much = bool(self._files and gone > self._files)
        is_most = bool(self._percent and gone > share_limit)
        if (is_much or is_most) and confirm not in self._confirmations(client, log):
            raise NeedsConfirmation(self._confirmations(client, log)[0], gone)
        recent[path] = (now, affected)
        self._recent.move_to_end(client)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def _confirmations(self, client: str, log: str) -> list[str]:
        half = int(self._clock.now().timestamp()) // (CONFIRM_SECONDS // 2)
        return [
            hashlib.sha256(f"{log}\0{client}\0{each}".encode()).hexdigest()[:24]
            for each in (half, half - 1)
        ]
