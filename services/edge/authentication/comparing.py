"""Comparing passwords off the event loop: few at a time, equal ones once, right ones perhaps remembered.

A comparison is meant to be slow, and whoever can connect can ask for one. So the threads are
bounded, and so is who waits for them: beyond that a request is refused at once (503), before it
costs anything. Requests with equal credentials share one comparison; a page's fifty resources ask once.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from quantum.errors import HttpError
from services.edge.authentication.hashes import Hash

MAX_WAITING = 64
"""Different credentials that are compared or wait for it; each wait may be a second long already."""
REMEMBERED = 1000
"""Right passwords that a cache holds (Caddy's number)."""
RETRY_AFTER = ((b"retry-after", b"5"),)


class Comparisons:
    """The comparisons of one server. ``aclose`` when its configuration retires."""

    def __init__(self) -> None:
        threads = max(1, (os.cpu_count() or 2) - 1)  # one core stays with the event loop
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._key = secrets.token_bytes(32)

    async def is_right(
        self, algorithm: Hash, hashed: str, password: bytes, *, cached: bool
    ) -> bool:
        """Whether ``hashed`` is a hash of ``password``; HttpError 503 when too many wait already.

        ValueError when ``hashed`` is no hash. Only what was right is ``cached``: a guess leaves nothing.
        """
        digest = hmac.digest(self._key, hashed.encode() + b"\0" + password, hashlib.sha256)
        if cached and digest in self._right:
            self._right.move_to_end(digest)
            return True
        running = self._running.get(digest)
        if running is None:
            if len(self._running) >= MAX_WAITING:
                raise HttpError(503, "too many passwords are being compared", RETRY_AFTER)
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._threads, algorithm.is_of, hashed, password)
            self._running[digest] = running
            running.add_done_callback(lambda _: self._running.pop(digest, None))
        # Shielded: a client that leaves does not end the comparison that others wait for.
        is_right = await asyncio.shield(running)
        if is_right and cached:
            self._right[digest] = None
            if len(self._right) > REMEMBERED:
                self._right.popitem(last=False)
        return is_right

    async def aclose(self) -> None:
        """Take no more; what runs may end."""
        self._threads.shutdown(wait=False)
