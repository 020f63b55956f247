"""Changes made on the disk by other programs, gathered in short batches.

A batch only says where to look: what happened is found out by looking. So an event too many or too
early does no harm, and events for what is not shared are dropped here.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import structlog
from watchfiles import Change, awatch

from quantum.clock import Clock
from services.sync.share.paths import HIDDEN, PathRefused, parse_path

QUIET_MS = 40
"""A batch ends when nothing happened for so long: a program that writes in several steps is read once."""

LONGEST_MS = 400
"""A batch ends after this time even if changes go on, so that a busy folder is still live."""

RETRY_SECONDS = 2.0
"""Between attempts to watch a root that cannot be watched (it was removed, or inotify is exhausted)."""

OnChanges = Callable[[set[str]], Awaitable[None]]


class Watcher:
    """Watches one root, for ever, and starts again when watching fails."""

    def __init__(self, root: str, clock: Clock, on_changes: OnChanges) -> None:
        """``on_changes`` gets the paths to look at; a path stands for all below it."""
        self._root = os.path.realpath(root)
        self._hidden = f"{self._root}/{HIDDEN}/"
        self._clock = clock
        self._on_changes = on_changes
        self._log = structlog.get_logger("quantum.sync").bind(root=root)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                async for batch in awatch(
                    self._root,
                    watch_filter=self._is_shared,
                    debounce=LONGEST_MS,
                    step=QUIET_MS,
                    recursive=True,
                    ignore_permission_denied=True,
                ):
                    await self._on_changes({self._relative(path) for _, path in batch})
            except (OSError, RuntimeError) as error:
                self._log.warning("share_not_watched", reason=str(error))
            await self._clock.sleep(RETRY_SECONDS)
            await self._on_changes({""})  # whatever happened unseen

    def _relative(self, path: str) -> str:
        return path[len(self._root) + 1 :]

    def _is_shared(self, change: Change, path: str) -> bool:
        if path.startswith(self._hidden):  # most of what happens, and none of anyone's business
            return False
        relative = self._relative(path)
        try:
            return parse_path(relative) == relative
        except PathRefused:
            return False
