"""Changes of the local folder as the system reports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from watchfiles import Change, awatch

from quantum.clock import Clock
from services.sync.client.disk.folder import STORE

QUIET_MS = 15
"""A batch ends when nothing happened for so long: most programs save in one burst."""

LONGEST_MS = 250
"""A batch ends after this time even if changes go on."""

RETRY_SECONDS = 5.0
"""Between attempts to watch when the system refuses (its limit of watches is reached)."""


async def watch(root: str, clock: Clock, changed: Callable[[Iterable[str]], None]) -> None:
    """Report paths below ``root``, for ever; after a failure everything may have changed."""
    log = structlog.get_logger("quantum.sync.client")
    own = f"{root}/{STORE}"

    def is_shared(_: Change, path: str) -> bool:
        return path != own and not path.startswith(own + "/")

    while True:
        try:
            async for batch in awatch(
                root, watch_filter=is_shared, step=QUIET_MS, debounce=LONGEST_MS,
                ignore_permission_denied=True,
            ):  # fmt: skip
                changed({path[len(root) + 1 :] for _, path in batch})
        except (OSError, RuntimeError) as error:
            log.warning("folder_not_watched", reason=str(error))
        await clock.sleep(RETRY_SECONDS)
        changed({""})
