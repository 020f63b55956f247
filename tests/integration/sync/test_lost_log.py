"""A NATS server that loses a share's log under running replicas: they begin another one of what they have."""

import asyncio
import os
import shutil
import signal

import pytest

from quantum.bus.subjects import SHARES
from services.sync.api.writing import Wish, receive, write
from services.sync.rules.conditions import ALWAYS
from tests.integration.sync.test_replicas import open_replica

FILES = 8


async def put(desk, path, data):
    wish = Wish(path, "2026-01-01T00:00:00Z", ALWAYS, "me")
    return await write(desk, wish, await receive(desk, data))


async def until(question, what):
    for _ in range(600):  # a minute
        if question():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"never came: {what}")


def on_disk(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".quantum" not in path.parts
    }


async def wipe(nats, bus):
    """Kill the server and delete its storage; its supervisor starts it again."""
    shutil.rmtree(nats.server._directory / "jetstream")
    os.kill(nats.server.pid, signal.SIGKILL)


async def delete(nats, bus):
    """Delete the stream and nothing else, on a connection that stays."""
    session = await bus._link.wait_session()
    await session.jetstream.delete_stream(f"{SHARES.name}_share")


@pytest.mark.parametrize("lose", [wipe, delete])
async def test_no_file_is_lost_with_the_log_and_writing_goes_on(nats, tmp_path, lose):
    buses = [await nats.connect() for _ in range(2)]
    desks = [await open_replica(tmp_path / str(n), bus) for n, bus in enumerate(buses)]
    roots = [tmp_path / str(n) / "root" for n in range(2)]
    shares = [desk.share for desk in desks]
    for number in range(FILES):
        await put(desks[number % 2], f"d/f{number}", b"%d" % number)
    expected = {f"d/f{number}": b"%d" % number for number in range(FILES)}
    await until(lambda: all(on_disk(root) == expected for root in roots), "the files everywhere")
    log = shares[0].log_id
    await lose(nats, buses[0])
    await until(lambda: all(share.restarts for share in shares), "the end of both lives")
    await until(lambda: all(share.is_ready for share in shares), "another life of both")
    assert shares[0].log_id == shares[1].log_id != log
    for number, desk in enumerate(desks):  # beyond the head that the old log had
        for more in range(FILES):
            await put(desk, f"{number}/{more}", b"new")
            expected[f"{number}/{more}"] = b"new"
    await until(lambda: all(on_disk(root) == expected for root in roots), "all files everywhere")
    heads = [share.tree.head for share in shares]
    await asyncio.gather(*(share.reach(max(heads)) for share in shares))
    assert shares[0].tree.nodes == shares[1].tree.nodes
    for share in shares:
        await share.aclose()
