"""The shares of this process, each opened once however many handlers and revisions use it.

That is why clients stay connected when a configuration changes around them: their hub belongs to the
share, and the share stays while any handler in use names it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from quantum.bus.api import Bus
from quantum.clock import Clock
from services.sync.access.patterns import compile_patterns
from services.sync.config import FileSyncConfig
from services.sync.content.bus import BusContents
from services.sync.content.contents import Contents, DiskContents
from services.sync.content.directory import ChunkDirectory
from services.sync.live.hub import Hub
from services.sync.live.metrics import LiveMetrics
from services.sync.share.paths import HIDDEN
from services.sync.share.share import Share


@dataclass
class Opened:
    """A handler's hold on a share; ``aclose`` gives it up."""

    share: Share
    hub: Hub
    aclose: Callable[[], Awaitable[None]]


@dataclass
class _Running:
    share: Share
    hub: Hub
    holders: int = 0


class Shares:
    """Opens shares and closes those that nobody holds."""

    def __init__(self, bus: Bus, clock: Clock, data_dir: Path, metrics: CollectorRegistry) -> None:
        self._bus = bus
        self.clock = clock
        self._data_dir = data_dir
        self.metrics = LiveMetrics(metrics)
        self._running: dict[tuple[str, str], _Running] = {}

    def open(self, config: FileSyncConfig) -> Opened:
        """Return the share of a configuration, made and started when it is new.

        The root is made when it is missing. Raises OSError when it cannot be used.
        """
        root = os.path.realpath(config.root)
        name = config.share or hashlib.sha256(config.root.encode()).hexdigest()[:16]
        key = (root, name)
        running = self._running.get(key)
        if running is None:
            Path(root).mkdir(parents=True, exist_ok=True)
            running = self._start(root, name, config)
            self._running[key] = running
        running.holders += 1
        is_held = True

        async def give_up() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                await self._release(key)

        return Opened(running.share, running.hub, give_up)

    def _start(self, root: str, name: str, config: FileSyncConfig) -> _Running:
        contents = self._contents(root, name, config)
        share = Share(
            root,
            name,
            self._bus,
            self.clock,
            self._data_dir,
            contents,
            _quiet(config),
            (config.history_age, config.history_operations),
        )
        hub = Hub(share, self.clock, self.metrics)
        share.listen(hub.announce, hub.part)
        share.start()
        hub.start()
        return _Running(share, hub)

    def _contents(self, root: str, name: str, config: FileSyncConfig) -> Contents:
        chunks = self._chunks(root, name)
        return (
            BusContents(chunks, self._bus, name, self.clock)
            if config.content == "bus"
            else DiskContents(chunks)
        )

    def _chunks(self, root: str, name: str) -> ChunkDirectory:
        """Return where chunks are: beside the share, so that who shares the one has the other."""
        folder = f"{root}/{HIDDEN}"
        if not os.access(root, os.W_OK):
            folder = str(self._data_dir / name)
        Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        return ChunkDirectory(folder)

    async def _release(self, key: tuple[str, str]) -> None:
        running = self._running[key]
        running.holders -= 1
        if not running.holders:
            del self._running[key]
            await running.hub.aclose()
            await running.share.aclose()


def _quiet(config: FileSyncConfig) -> Callable[[str], float]:
    """Return how many seconds a path must have been left alone; the first pattern that matches counts."""
    rules = [(compile_patterns([glob]), seconds) for glob, seconds in config.quiet.items()]
    return lambda path: next((seconds for matches, seconds in rules if matches(path)), 0.0)
