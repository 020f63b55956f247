"""Writes files into a share as fast as it can, until it is killed. Each is named for its content.

Prints a name once its write was answered: that file must survive whatever happens next.
"""

import asyncio
import hashlib
import os
import sys
from pathlib import Path

from quantum.bus.memory import MemoryBus
from quantum.clock import SystemClock
from services.sync.share.incoming import Incoming
from services.sync.share.share import Share


async def main(root: str, data_dir: str) -> None:
    bus = MemoryBus()
    bus.cut()  # so that the log has nothing but the spool when the process dies
    share = Share(root, "share", bus, SystemClock(), Path(data_dir))
    share.start()
    while True:
        content = os.urandom(700_000)
        name = hashlib.sha256(content).hexdigest()
        incoming = Incoming(share.folder)
        for start in range(0, len(content), 50_000):
            await incoming.write(content[start : start + 50_000])
        await share.write(f"d/{name}", await incoming.finish(), lambda current: None, "writer")
        sys.stdout.write(name + "\n")
        sys.stdout.flush()


asyncio.run(main(*sys.argv[1:]))
