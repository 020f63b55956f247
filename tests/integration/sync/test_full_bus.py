"""A NATS server without room: the writer hears that the store is full, and what to do."""

import pytest

from quantum.bus.subjects import SHARE_CONTENTS, SHARES
from services.sync.api.answers import REFUSALS, refused
from services.sync.api.writing import Wish, receive, write
from services.sync.rules.conditions import ALWAYS
from tests.integration.sync.test_replicas import open_replica

ROOM = 100_000
"""Bytes that a stream may hold."""


async def limit(bus, name, size):
    """Let a stream take no more than so many bytes, as an administrator does."""
    session = await bus._link.wait_session()
    config = (await session.jetstream.stream_info(name)).config
    config.max_bytes = size
    config.discard = "new"
    await session.jetstream.update_stream(config)


@pytest.mark.parametrize("stream", [f"OBJ_{SHARE_CONTENTS.name}_share", f"{SHARES.name}_share"])
async def test_a_write_that_the_bus_has_no_room_for_is_answered_507(nats, tmp_path, stream):
    bus = await nats.connect()
    desk = await open_replica(tmp_path / "one", bus)

    async def put(path, data):
        wish = Wish(path, "2026-01-01T00:00:00Z", ALWAYS, "me")
        return await write(desk, wish, await receive(desk, data))

    await put("first", b"there is room")
    await limit(bus, stream, ROOM if stream.startswith("OBJ_") else 1)
    with pytest.raises(REFUSALS) as caught:
        await put("second", b"x" * 2 * ROOM)
    said = refused(caught.value)
    assert (said.status, said.code) == (507, "full")
    assert "max_bytes" in said.problem
    assert desk.share.tree.get("second") is None
    await limit(bus, stream, -1)
    await put("second", b"x" * 2 * ROOM)
    assert (tmp_path / "one/root/second").stat().st_size == 2 * ROOM
    await desk.share.aclose()
