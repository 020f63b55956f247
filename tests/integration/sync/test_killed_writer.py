import asyncio
import hashlib
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.clock import SystemClock
from services.sync.share.share import Share

ROUNDS = 6


def names(root: Path) -> set[str]:
    return {path.name for path in (root / "d").glob("*")} if (root / "d").exists() else set()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_killed_process_leaves_whole_files_and_none_that_it_had_answered_is_missing(
    tmp_path, seed
):
    root, answered = tmp_path / "share", tmp_path / "answered"
    root.mkdir()
    writer = Path(__file__).with_name("writer.py")
    with answered.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(writer), str(root), str(tmp_path / "data")],
            stdout=out,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        deadline = time.monotonic() + 20
        while not names(root) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0, 0.2))
        process.kill()
        process.wait()
    found = names(root)
    promised = set(re.findall(r"^[0-9a-f]{64}$", answered.read_text(), re.MULTILINE))
    assert found >= promised
    assert found
    for name in found:
        assert hashlib.sha256((root / "d" / name).read_bytes()).hexdigest() == name
    assert asyncio.run(logged(root, tmp_path / "data")) >= promised


async def logged(root: Path, data_dir: Path) -> set[str]:
    """Start again over what was left; return the names that reach the log."""
    server = MemoryServer()
    share = Share(str(root), "share", MemoryBus(server), SystemClock(), data_dir)
    share.start()
    while not share.is_ready or share.status()["backlog"]:
        await asyncio.sleep(0.01)
    await share.aclose()
    entries = [entry for stream in server.streams.values() for entry in stream.entries]
    await server.aclose()
    return {name for name in names(root) if any(name.encode() in entry for entry in entries)}
