"""Protocol 2: cursors, resuming, filters, acknowledgements."""

import asyncio
import json
import threading

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.wire.websocket import CloseCode, Opcode
from services.sync.share.index import Index

from .conftest import Deployment, make_entry


async def put(share, path, data=b"x", **fields):
    return await share.ask("PUT", f"/api/files/{path}", data, **fields)


async def subscribe(share, client_id="two", **more):
    client = await share.connect()
    client.send({"type": "Subscribe", "client_id": client_id, "protocol": 2, **more})
    ack = await client.receive()
    assert ack["type"] == "Ack", ack
    return client, ack


async def test_every_operation_carries_its_place_in_the_log(deploy):
    async with deploy() as share:
        client, ack = await subscribe(share)
        assert (ack["head"], ack["protocol"], ack["log"]) == (0, 2, share.handler._share.log_id)
        await put(share, "a", b"1", x_client_id="me", sync_op_id="my-op")
        answer = await put(share, "a", b"2", if_match='"v1"')
        first, second = await client.receive(), await client.receive()
        assert {k: first[k] for k in ("seq", "version", "op_id", "source_client")} == {
            "seq": 1, "version": 1, "op_id": "my-op", "source_client": "me",
        }  # fmt: skip
        assert (second["seq"], second["base_version"]) == (2, 1)
        assert answer.headers.get(b"sync-version") == b"2"
        assert second["ts"].endswith("Z")


async def test_a_client_that_was_away_gets_what_it_missed_in_order_and_then_what_comes(deploy):
    async with deploy() as share:
        for number in range(600):  # more than is read from the index at once
            await share.ask("PUT", f"/api/dirs/d{number}")
        client, _ = await subscribe(share, resume_from=10)
        writing = asyncio.get_running_loop().create_task(put(share, "live"))
        seqs = [(await client.receive())["seq"] for _ in range(591)]
        assert seqs == list(range(11, 602))
        await writing
        assert not client.stream.outgoing


async def test_resuming_at_any_point_tells_the_same_operations(deploy):
    async with deploy() as share:
        for number in range(5):
            await put(share, f"f{number}")
        whole, _ = await subscribe(share, resume_from=0)
        told = [await whole.receive() for _ in range(5)]
        for start in range(1, 6):
            client, ack = await subscribe(share, resume_from=start)
            assert [await client.receive() for _ in range(5 - start)] == told[start:]
            assert ack["head"] == 5


async def test_a_cursor_the_log_does_not_reach_is_answered_with_rescan(deploy):
    async with deploy() as share:
        await put(share, "a")
        for head, more in enumerate(({"resume_from": 7}, {"resume_from": 0, "log": "another"}), 1):
            client, _ = await subscribe(share, **more)
            error = await client.receive()
            assert (error["type"], error["code"], error["resume_from"]) == ("Error", "rescan", head)
            await put(share, f"after-{len(share.clients)}")
            assert (await client.receive())["type"] == "FileOperation"
        answer = await share.ask("POST", "/api/sync", b'{"cursor": 99}')
        assert (answer.status, json.loads(answer.body)["code"]) == (410, "rescan")


async def test_patterns_choose_operations_and_the_cursor_moves_on(deploy):
    async with deploy() as share:
        client, _ = await subscribe(share, paths=["docs/**", "*.txt"])
        for path in ("other/x", "docs/deep/y", "z.txt"):
            await put(share, path)
        paths = [
            (await client.receive())["operation"]["Create"]["metadata"]["path"] for _ in range(3)
        ]
        assert paths == ["docs/deep", "docs/deep/y", "z.txt"]
        await put(share, "other/again")
        assert await client.receive() == {"type": "Ack", "operation_id": "head", "head": 7}
        again, _ = await subscribe(share, paths=["nothing"], resume_from=0)
        assert await again.receive() == {"type": "Ack", "operation_id": "head", "head": 7}


async def test_acknowledgements_show_in_the_status_and_are_not_answered(deploy):
    async with deploy() as share:
        client, _ = await subscribe(share, resume_from=0)
        await put(share, "a")
        await client.receive()
        client.send({"type": "Ack", "operation_id": "x", "seq": 1})
        client.send({"type": "Ping"})
        assert await client.receive() == {"type": "Pong"}
        status = json.loads((await share.ask("GET", "/api/status")).body)
        assert status["subscribers"] == [{"client": "two", "applied": 1, "behind": 0}]
        lag = share.context.metrics.get_sample_value("quantum_sync_lag_seconds_count")
        assert lag == 1


async def test_a_subscriber_that_reads_too_slowly_is_told_where_to_resume(deploy):
    async with deploy() as share:
        client, _ = await subscribe(share)
        await put(share, "a")
        await client.receive()
        client.stream.is_open.clear()
        for number in range(2, 1200):
            share.handler._hub.announce(number, make_entry({"Delete": {"path": "p" * 1000}}))
        client.stream.is_open.set()
        messages = []
        for _ in range(3):
            opcode, payload = await client.receive_frame()
            messages.append(payload if opcode == 8 else json.loads(payload))
        assert messages[0]["seq"] == 2  # was handed over before
        assert (messages[1]["code"], messages[1]["resume_from"]) in (("slow", 1), ("slow", 2))
        assert int.from_bytes(messages[2][:2], "big") == 1013


async def test_an_operation_with_a_base_that_is_old_is_a_conflict_with_what_is_there(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        await put(share, "a", b"2")
        client, _ = await subscribe(share)
        operation = {"Delete": {"path": "a"}}
        message = {"type": "FileOperation", "operation": operation, "source_client": "two"}
        client.send({**message, "op_id": "x1", "base_version": 1})
        error = await client.receive()
        assert (error["code"], error["operation_id"]) == ("conflict", "x1")
        assert error["current"]["version"] == 2
        client.send({**message, "op_id": "x2", "base_version": 2})
        assert (await client.receive())["op_id"] == "x2"
        assert await client.receive() == {
            "type": "Ack",
            "operation_id": "x2",
            "seq": 3,
            "version": 3,
        }
        client.send({**message, "op_id": "x2", "base_version": 2})  # the answer was lost
        assert await client.receive() == {
            "type": "Ack",
            "operation_id": "x2",
            "seq": 3,
            "version": 3,
        }


async def test_what_changed_since_a_cursor_comes_in_pages(deploy):
    async with deploy() as share:
        for number in range(5):
            await put(share, f"f{number}")
        cursor, seqs = 0, []
        while cursor < 5:
            body = json.dumps({"cursor": cursor, "limit": 2}).encode()
            page = json.loads((await share.ask("POST", "/api/sync", body)).body)
            seqs += [operation["seq"] for operation in page["operations"]]
            cursor = page["cursor"]
        assert seqs == [1, 2, 3, 4, 5]


async def test_trees_that_are_the_same_are_one_small_question(deploy):
    async with deploy() as share:
        await put(share, "d/e/f", b"1")
        await put(share, "g", b"2")

        async def ask(**trees):
            body = json.dumps({"trees": trees}).encode()
            return json.loads((await share.ask("POST", "/api/sync", body)).body)["trees"]

        first = (await ask(**{"": "unknown"}))[""]
        assert [entry["name"] for entry in first["entries"]] == ["d", "g"]
        assert (await ask(**{"": first["hash"]})) == {"": {"same": True}}
        folder = first["entries"][0]["hash"]
        await put(share, "g", b"3")
        after = await ask(**{"": first["hash"], "d": folder, "nothing": ""})
        assert (after[""]["same"], after["d"], after["nothing"]) == (False, {"same": True}, None)


async def test_a_manifest_is_answered_with_what_makes_it_the_share(deploy):
    async with deploy() as share:
        await put(share, "same", b"1")
        await put(share, "changed", b"2")
        known = json.loads((await share.ask("GET", "/api/list")).body)
        entries = [{**e, "hash": "0" * 64} if e["path"] == "changed" else e for e in known]
        entries.append({"path": "gone", "hash": "1" * 64})
        await put(share, "new", b"3")
        body = json.dumps({"manifest": entries}).encode()
        said = json.loads((await share.ask("POST", "/api/sync", body)).body)
        kinds = [next(iter(o["operation"])) for o in said["operations"]]
        assert (kinds, said["cursor"]) == (["Delete", "Update", "Create"], 3)


async def test_a_replica_on_another_disk_has_the_same_tree_bytes_and_numbers(deploy, tmp_path):
    server = MemoryServer()
    one, two = MemoryBus(server), MemoryBus(server)
    options = {"share": "s", "content": "bus"}
    async with (
        deploy("one", one, root=str(tmp_path / "one-root"), **options) as first,
        deploy("two", two, root=str(tmp_path / "two-root"), **options) as second,
    ):
        client, _ = await subscribe(second)
        large = bytes(range(256)) * 8192  # several chunks
        await put(first, "d/large", large)
        for _ in range(2):
            message = await client.receive()
        assert message["seq"] == 2
        fetched = await second.ask("GET", "/api/files/d/large")
        assert await read(fetched) == large
        for _ in range(200):
            if (tmp_path / "two-root/d/large").exists():
                break
            await asyncio.sleep(0.01)
        assert (tmp_path / "two-root/d/large").read_bytes() == large
    await one.aclose()
    await two.aclose()
    await server.aclose()


async def test_writers_on_two_replicas_with_one_base_never_both_win(deploy, tmp_path):
    server = MemoryServer()
    one, two = MemoryBus(server), MemoryBus(server)
    async with (
        deploy("one", one, share="s", content="bus", root=str(tmp_path / "1")) as first,
        deploy("two", two, share="s", content="bus", root=str(tmp_path / "2")) as second,
    ):
        await put(first, "a", b"base")
        for _ in range(200):
            if second.handler._share.tree.head == 1:
                break
            await asyncio.sleep(0.01)
        for round_ in range(20):
            version = first.handler._share.tree.get("a").version
            answers = await asyncio.gather(
                *(
                    put(share, "a", f"{round_}-{number}".encode(), if_match=f'"v{version}"')
                    for number, share in enumerate([first, second, first, second])
                )
            )
            assert sorted(a.status for a in answers) == [200, 412, 412, 412]
            await put(first, "settle", str(round_).encode())
        assert first.handler._share.log_id == second.handler._share.log_id
    await one.aclose()
    await two.aclose()
    await server.aclose()


async def read(response):
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])


async def test_a_subscriber_that_is_ahead_of_a_replica_is_waited_for_and_told_no_plain_operation(
    deploy,
):
    async with deploy() as share:
        await share.ask("PUT", "/api/dirs/a")
        inner = share.handler._share
        reach, gate = inner.reach, asyncio.Event()

        async def slow(seq):
            await gate.wait()
            return await reach(seq)

        inner.reach = slow
        client = await share.connect()
        client.send({"type": "Subscribe", "client_id": "x", "protocol": 2, "resume_from": 2})
        await asyncio.sleep(0.05)
        await share.ask("PUT", "/api/dirs/b")
        await share.ask("PUT", "/api/dirs/c")
        gate.set()
        assert (await client.receive())["head"] == 3
        assert (await client.receive())["seq"] == 3


async def test_a_cursor_is_judged_only_when_it_is_known_which_log_it_is_of(deploy, monkeypatch):
    server, release = MemoryServer(), threading.Event()
    async with deploy("one", MemoryBus(server)) as share:
        await put(share, "a")
        log = share.handler._share.log_id
    load = Index.load

    def load_slowly(self, tree):
        load(self, tree)
        release.wait(20)

    monkeypatch.setattr(Index, "load", load_slowly)
    again = Deployment(share.root.parent, "one", MemoryBus(server))
    using = asyncio.ensure_future(again.use())
    try:
        while not hasattr(again, "handler"):
            await asyncio.sleep(0)
        client = await again.connect()
        asked = {"type": "Subscribe", "client_id": "c", "protocol": 2, "resume_from": 1, "log": log}
        client.send(asked)
        await asyncio.sleep(0.05)
        assert not client.stream.outgoing
        release.set()
        ack = await client.receive()
        assert (ack["log"], ack["head"]) == (log, 1)
        await using
        await put(again, "b")
        assert (await client.receive())["seq"] == 2, "and no rescan before it"
    finally:
        release.set()
        await using
        await again.service.stop(1)


async def test_clients_come_again_when_the_log_is_another_one_than_they_were_told(deploy):
    async with deploy("one", MemoryBus(MemoryServer())) as share:
        await put(share, "a")
        log = share.handler._share.log_id
    bus = MemoryBus(MemoryServer())
    bus.cut()
    async with deploy("one", bus) as share:
        client, ack = await subscribe(share, resume_from=1, log=log)
        assert ack["log"] == log, "what was true last can be read without the bus"
        await bus.restore()
        opcode, payload = await client.receive_frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (Opcode.CLOSE, CloseCode.TRY_AGAIN)


async def test_a_client_of_version_1_reads_at_a_replica_that_lags_what_another_told_it(
    deploy, tmp_path
):
    server = MemoryServer()
    one, two = MemoryBus(server), MemoryBus(server)
    options = {"share": "s", "content": "bus"}
    async with (
        deploy("one", one, root=str(tmp_path / "1"), **options) as first,
        deploy("two", two, root=str(tmp_path / "2"), **options) as second,
    ):
        client = await first.subscriber()
        slow = second.handler._share.lock
        for path, content in (("a", b"one"), ("a", b"other")):
            await slow.acquire()  # it is busy: a large file of another operation is on its way
            await first.ask("PUT", f"/api/files/{path}", content)
            assert (await client.receive())["type"] == "FileOperation"
            ask = asyncio.get_running_loop().create_task
            reading = ask(second.ask("GET", f"/api/files/{path}"))
            listing = ask(second.ask("GET", "/api/list"))
            for _ in range(20):
                await asyncio.sleep(0)
            slow.release()
            assert await read(await reading) == content
            (entry,) = json.loads((await listing).body)
            assert entry["size"] == len(content)
    for each in (one, two, server):
        await each.aclose()
