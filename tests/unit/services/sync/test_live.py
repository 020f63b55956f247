"""Messages as the specification spells them."""

import asyncio
import json
import os
import shutil
import zlib

import pytest

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.errors import HttpError
from quantum.testing.clock import ManualClock
from quantum.wire.websocket import Opcode

from .conftest import WebSocket, make_entry, make_request

FIELDS = {"path", "size", "hash", "modified", "is_directory"}


async def put(share, path, data, **fields):
    return await share.ask("PUT", f"/api/files/{path}", data, **fields)


async def test_a_subscriber_hears_of_a_put_exactly_as_specified(deploy):
    async with deploy() as share:
        client = await share.subscriber("browser-client-123")
        answer = await put(share, "new-file.txt", b"x" * 1024, x_client_id="somebody")
        assert await client.receive() == {
            "type": "FileOperation",
            "operation": {"Create": {"metadata": json.loads(answer.body)}},
            "source_client": "somebody",
        }


async def test_every_operation_has_its_shape(deploy):
    async with deploy() as share:
        client = await share.subscriber()
        await put(share, "a", b"1")
        await put(share, "a", b"2")
        await share.ask("POST", "/api/move", b'{"from": "a", "to": "b"}')
        await share.ask("DELETE", "/api/files/b")
        await share.ask("PUT", "/api/dirs/d")
        operations = [(await client.receive())["operation"] for _ in range(5)]
        assert [list(o) for o in operations] == [
            ["Create"],
            ["Update"],
            ["Move"],
            ["Delete"],
            ["Create"],
        ]
        assert set(operations[1]["Update"]["metadata"]) == FIELDS
        assert operations[2]["Move"]["from"] == "a"
        assert operations[2]["Move"]["to"] == "b" == operations[2]["Move"]["metadata"]["path"]
        assert operations[3] == {"Delete": {"path": "b"}}
        assert operations[4]["Create"]["metadata"]["is_directory"] is True


async def test_ping_is_answered_before_and_after_subscribing(deploy):
    async with deploy() as share:
        client = await share.connect()
        client.send({"type": "Ping"})
        assert await client.receive() == {"type": "Pong"}
        await client.subscribe()
        client.send({"type": "Pong"})
        client.send({"type": "Ping"})
        assert await client.receive() == {"type": "Pong"}


@pytest.mark.parametrize(
    "message",
    [
        b"not json", b"[]", b"{}", b'{"type": "Nothing"}', b'{"type": "Subscribe"}',
        b'{"type": "Subscribe", "client_id": 7}', b'{"type": "Subscribe", "client_id": ""}',
        b'{"type": "FileOperation", "operation": {}, "source_client": "x"}',
        b'{"type": "FileOperation", "operation": {"Create": {}}, "source_client": "x"}',
        b'{"type": "Ack", "operation_id": "subscribe"}',
    ],
)  # fmt: skip
async def test_a_message_that_is_none_is_answered_with_an_error(deploy, message):
    async with deploy() as share:
        client = await share.connect()
        client.send(message)
        answer = await client.receive()
        assert set(answer) == {"type", "message"}
        assert answer["type"] == "Error"
        client.send({"type": "Ping"})
        assert await client.receive() == {"type": "Pong"}


async def test_unknown_fields_of_newer_clients_are_ignored(deploy):
    async with deploy() as share:
        client = await share.connect()
        client.send({"type": "Subscribe", "client_id": "x", "colour": "red"})
        assert await client.receive() == {"type": "Ack", "operation_id": "subscribe"}


async def test_who_did_not_subscribe_hears_nothing(deploy):
    async with deploy() as share:
        silent = await share.connect()
        client = await share.subscriber()
        await put(share, "a", b"1")
        await client.receive()
        assert not silent.stream.outgoing


async def test_a_change_on_the_disk_reaches_every_subscriber(deploy):
    async with deploy() as share:
        await asyncio.sleep(0.3)  # until the watch stands
        clients = [await share.subscriber(f"c{n}") for n in range(3)]
        (share.root / "x").write_text("from a shell\n")
        for client in clients:
            message = await client.receive()
            metadata = message["operation"]["Create"]["metadata"]
            assert (metadata["path"], metadata["size"]) == ("x", 13)
        (share.root / "x").write_text("again")
        assert "Update" in (await clients[0].receive())["operation"]
        (share.root / "x").unlink()
        assert (await clients[0].receive())["operation"] == {"Delete": {"path": "x"}}


async def test_a_directory_that_appears_and_goes_is_told_file_by_file(deploy, tmp_path):
    async with deploy() as share:
        await asyncio.sleep(0.3)
        client = await share.subscriber()
        (tmp_path / "d/e").mkdir(parents=True)
        (tmp_path / "d/e/f").write_text("1")
        (tmp_path / "d").rename(share.root / "d")
        told = [
            (await client.receive())["operation"]["Create"]["metadata"]["path"] for _ in range(3)
        ]
        assert told == ["d", "d/e", "d/e/f"]
        shutil.rmtree(share.root / "d")
        told = [(await client.receive())["operation"]["Delete"]["path"] for _ in range(3)]
        assert told == ["d/e/f", "d/e", "d"]


async def test_own_writes_are_told_once(deploy):
    async with deploy() as share:
        await asyncio.sleep(0.3)
        client = await share.subscriber()
        for number in range(5):
            await put(share, f"f{number}", b"x")
        await asyncio.sleep(0.7)  # longer than the longest batch of the watcher
        told = [
            (await client.receive())["operation"]["Create"]["metadata"]["path"] for _ in range(5)
        ]
        assert told == [f"f{number}" for number in range(5)]
        assert not client.stream.outgoing


async def test_touching_a_known_file_is_no_update(deploy):
    async with deploy() as share:
        await asyncio.sleep(0.3)
        client = await share.subscriber()
        await put(share, "a", b"1")
        await client.receive()
        os.utime(share.root / "a")
        await asyncio.sleep(0.7)
        assert not client.stream.outgoing


async def test_an_emptied_mount_point_is_not_a_thousand_deletions(deploy):
    async with deploy() as share:
        await asyncio.sleep(0.3)
        await put(share, "a", b"1")
        client = await share.subscriber()
        shutil.rmtree(share.root / ".quantum")
        (share.root / "a").unlink()
        await asyncio.sleep(0.7)
        assert not client.stream.outgoing


async def test_announced_bytes_can_be_fetched_at_once(deploy):
    async with deploy() as share:
        client = await share.subscriber()
        writing = asyncio.get_running_loop().create_task(
            share.handler.handle(make_request("PUT", "/api/files/a", b"x"))
        )
        metadata = (await client.receive())["operation"]["Create"]["metadata"]
        fetched = await share.ask("GET", "/api/files/a")
        assert fetched.headers.get(b"etag").decode() == f'"{metadata["hash"]}"'
        await writing


async def test_a_client_may_delete_move_and_make_directories(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        client = await share.subscriber("me")
        directory = {
            "path": "d",
            "size": 0,
            "hash": "",
            "modified": "2024-01-15T10:30:00Z",
            "is_directory": True,
        }
        for operation, ack in [
            ({"Create": {"metadata": directory}}, "Create:d"),
            ({"Delete": {"path": "a"}}, "Delete:a"),
        ]:
            client.send({"type": "FileOperation", "operation": operation, "source_client": "me"})
            told = await client.receive()
            assert (told["type"], told["source_client"]) == ("FileOperation", "me")
            assert await client.receive() == {"type": "Ack", "operation_id": ack}
        assert not (share.root / "a").exists()
        assert (share.root / "d").is_dir()


async def test_metadata_never_comes_before_content(deploy):
    async with deploy() as share:
        client, other = await share.subscriber("me"), await share.subscriber("other")
        metadata = {
            "path": "ghost", "size": 1, "hash": "0" * 64, "modified": "2024-01-15T10:30:00Z", "is_directory": False,
        }  # fmt: skip
        operation = {"Create": {"metadata": metadata}}
        client.send({"type": "FileOperation", "operation": operation, "source_client": "me"})
        assert (await client.receive())["type"] == "Error"
        assert not other.stream.outgoing


async def test_a_read_only_share_refuses_operations(deploy):
    async with deploy(enable_upload=False) as share:
        (share.root / "a").write_text("1")
        client = await share.connect()
        operation = {"Delete": {"path": "a"}}
        client.send({"type": "FileOperation", "operation": operation, "source_client": "me"})
        assert (await client.receive())["type"] == "Error"
        assert (share.root / "a").exists()


async def test_a_slow_client_is_cut_and_the_others_hear_on(deploy):
    async with deploy() as share:
        slow, good = await share.subscriber("slow"), await share.subscriber("good")
        slow.stream.is_open.clear()
        hub = share.handler._hub
        operation = {"Delete": {"path": "p" * 1000}}
        for number in range(1100):
            hub.announce(number, make_entry(operation))
        assert slow.stream.is_aborted
        await asyncio.wait([slow.task], timeout=5)
        assert hub.clients == {c for c in hub.clients if c.client_id == "good"}
        assert (await good.receive())["operation"] == operation


async def test_a_silent_client_is_probed_and_then_cut(deploy, tmp_path):
    clock = ManualClock()
    async with deploy(clock=clock) as share:
        client = await share.subscriber()
        await clock.advance(150)
        assert await client.receive_frame() == (Opcode.PING, b"")
        client.send_frame(Opcode.PONG)
        await asyncio.sleep(0)
        await clock.advance(200)
        assert not client.stream.is_aborted
        await clock.advance(200)
        assert client.stream.is_aborted
        await client.task
        assert not share.handler._hub.clients


async def test_a_broken_frame_closes_with_its_code(deploy):
    async with deploy() as share:
        client = await share.connect()
        client.stream.incoming.put_nowait(b"\x81\x01x")  # not masked
        opcode, payload = await client.receive_frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (Opcode.CLOSE, 1002)


async def test_a_close_is_answered_and_the_client_forgotten(deploy):
    async with deploy() as share:
        client = await share.subscriber()
        client.send_frame(Opcode.CLOSE, (1000).to_bytes(2, "big"))
        assert await client.receive_frame() == (Opcode.CLOSE, (1000).to_bytes(2, "big"))
        await client.close()
        assert client.stream.is_ended
        assert not share.handler._hub.clients


async def test_stopping_says_goodbye(deploy):
    async with deploy() as share:
        client = await share.subscriber()
        stopping = asyncio.get_running_loop().create_task(share.service.stop(1))
        opcode, payload = await client.receive_frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (Opcode.CLOSE, 1001)
        await client.close()
        await stopping


async def test_clients_stay_when_the_configuration_changes_around_them(deploy):
    async with deploy() as share:
        client = await share.subscriber()
        old = share.handler
        for number in range(2, 9):
            await share.use(f"r{number}", enable_upload=bool(number % 2))
        assert share.handler is not old
        (share.root / "x").write_text("1")
        await asyncio.sleep(0)
        assert (await client.receive())["operation"]["Create"]["metadata"]["path"] == "x"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"upgrade": None}, 426),
        ({"upgrade": "websocket", "origin": "https://evil.example"}, 403),
        ({"upgrade": "websocket", "sec_websocket_version": "8"}, 426),
    ],
)
async def test_who_may_not_connect_gets_no_101(deploy, fields, status):
    async with deploy() as share:
        with pytest.raises(HttpError) as info:
            await share.ask("GET", "/ws", **fields)
        assert info.value.status == status


async def test_clients_beyond_the_limit_are_turned_away(deploy):
    async with deploy(max_clients=1) as share:
        await share.subscriber()
        with pytest.raises(HttpError) as info:
            await share.connect()
        assert info.value.status == 503


async def test_what_one_process_does_is_heard_in_the_other(deploy):
    server = MemoryServer()
    one, two = MemoryBus(server), MemoryBus(server)
    async with deploy("one", one) as first, deploy("two", two) as second:
        await asyncio.sleep(0.3)
        client = await second.subscriber()
        await put(first, "a", b"1", x_client_id="me")
        assert (await client.receive())["operation"]["Create"]["metadata"]["path"] == "a"
        await asyncio.sleep(0.7)  # the watcher of the second process saw it too
        assert not client.stream.outgoing
    await one.aclose()
    await two.aclose()
    await server.aclose()


async def test_the_same_rename_back_and_forth_is_told_each_time(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        client = await share.subscriber()
        for source, to in [("a", "b"), ("b", "a"), ("a", "b")]:
            await share.ask("POST", "/api/move", json.dumps({"from": source, "to": to}).encode())
            assert (await client.receive())["operation"]["Move"]["to"] == to


async def test_a_write_while_the_bus_is_away_is_refused_and_done_when_it_is_repeated(deploy):
    server = MemoryServer()
    bus = MemoryBus(server)
    async with deploy("one", bus) as share:
        await put(share, "before", b"1")
        bus.cut()
        answer = await put(share, "a", b"1")
        assert answer.status == 503
        assert answer.headers.get(b"retry-after") == b"1"
        assert (await share.ask("GET", "/api/files/before")).status == 200
        assert not (share.root / "a").exists()
        await bus.restore()
        assert (await put(share, "a", b"1")).status == 201
    await bus.aclose()
    await server.aclose()


async def test_large_messages_are_compressed_for_who_can_read_it(deploy):
    async with deploy() as share:
        offer = {"sec_websocket_extensions": "permessage-deflate; client_max_window_bits"}
        answer = await share.ask("GET", "/ws", upgrade="websocket", **offer)
        assert b"no_context_takeover" in answer.headers.get(b"sec-websocket-extensions")
        modern = WebSocket(answer)
        share.clients.append(modern)
        await modern.subscribe()
        plain = await share.subscriber()
        path = "/".join(["name" * 50] * 4)
        source = "p" * 128
        share.handler._hub.announce(1, make_entry({"Move": {"from": path, "to": path}}, source))
        told = await plain.receive()
        first = modern.stream.outgoing[0]
        _, data = await modern.receive_frame()
        assert (first, len(data) < 500) == (0xC1, True)
        inflated = zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")
        assert json.loads(inflated) == told
