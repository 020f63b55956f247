"""Writes files into a share as fast as it can, until it is killed. Each is named for its content.

Prints a name once its write was answered: that file must survive whatever happens next.
"""

import asyncio
import hashlib
import os
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from quantum.bus.nats import NatsBus
from quantum.clock import SystemClock
from services.sync.access.limits import DeletionGuard
from services.sync.api.call import Desk
from services.sync.api.writing import Wish, receive, write
from services.sync.config import FileSyncConfig
from services.sync.live.metrics import LiveMetrics
from services.sync.rules.conditions import ALWAYS
from services.sync.shares import Shares


def make_desk(root: str, data_dir: str, bus: NatsBus, content: str) -> Desk:
    config = FileSyncConfig(root=root, share="share", content=content, enable_upload=True)
    registry = CollectorRegistry()
    opened = Shares(bus, SystemClock(), Path(data_dir), registry).open(config)
    guard = DeletionGuard(0, 0, SystemClock())
    return Desk(opened.share, config, guard, LiveMetrics(CollectorRegistry()))


async def main(root: str, data_dir: str, url: str, token: str, content: str) -> None:
    bus = NatsBus(url, token=token, clock=SystemClock(), metrics=CollectorRegistry())
    bus.start()
    desk = make_desk(root, data_dir, bus, content)
    assert await desk.share.wait_ready(20)
    while True:
        data = os.urandom(700_000)
        name = hashlib.sha256(data).hexdigest()
        wish = Wish(f"d/{name}", "2026-01-01T00:00:00Z", ALWAYS, "writer")
        await write(desk, wish, await receive(desk, data))
        sys.stdout.write(name + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
