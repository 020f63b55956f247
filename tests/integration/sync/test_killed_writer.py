import asyncio
import hashlib
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.sync.writer import make_desk

ROUNDS = 6


def names(root: Path) -> set[str]:
    return {path.name for path in (root / "d").glob("*")} if (root / "d").exists() else set()


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_killed_process_leaves_whole_files_and_none_that_it_had_answered_is_missing(
    tmp_path, nats, seed
):
    root, answered = tmp_path / "share", tmp_path / "answered"
    root.mkdir()
    writer = Path(__file__).with_name("writer.py")
    content = "bus" if seed % 2 else "disk"
    arguments = [str(root), str(tmp_path / "data"), nats.server.url, nats.server.token, content]
    with answered.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(writer), *arguments],
            stdout=out,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        for _ in range(2000):
            if names(root):
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(random.Random(seed).uniform(0, 0.3))
        process.kill()
        process.wait()
    promised = set(re.findall(r"^[0-9a-f]{64}$", answered.read_text(), re.MULTILINE))
    assert names(root) >= promised
    assert all(is_whole(root, name) for name in names(root))
    # Another process starts where that one was killed; with contents on the bus even without its disk.
    place = tmp_path / "elsewhere" if content == "bus" else root
    desk = make_desk(str(place), str(tmp_path / "fresh"), await nats.connect(), content)
    assert await desk.share.wait_ready(20)
    logged = {path.removeprefix("d/") for path in desk.share.tree.nodes if path.startswith("d/")}
    assert logged >= promised
    assert logged
    assert names(place) == logged
    assert all(is_whole(place, name) for name in logged)
    await desk.share.aclose()


def is_whole(root: Path, name: str) -> bool:
    return hashlib.sha256((root / "d" / name).read_bytes()).hexdigest() == name
