"""What was written stays: versions, trash, restoring, reasons."""

import asyncio
import json
import os
from urllib.parse import quote

import pytest

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.wire.websocket import Opcode
from services.sync.share import retention


async def put(share, path, data=b"x", **fields):
    return await share.ask("PUT", f"/api/files/{path}", data, **fields)


async def get(share, target):
    answer = await share.ask("GET", target)
    return answer.status, answer.body


async def restore(share, **body):
    answer = await share.ask("POST", "/api/restore", json.dumps(body).encode())
    return answer.status, json.loads(answer.body)


async def test_every_version_can_be_fetched_also_under_earlier_names(deploy):
    async with deploy() as share:
        await put(share, "a", b"one", x_client_id="me")
        await put(share, "a", b"two")
        await share.ask("POST", "/api/move", b'{"from": "a", "to": "d/b"}')
        await put(share, "d/b", b"three")
        await share.ask("POST", "/api/move", b'{"from": "d", "to": "e"}')
        history = json.loads((await get(share, "/api/history/e/b"))[1])["versions"]
        assert [(v["operation"], v["path"]) for v in history] == [
            ("Move", "e/b"), ("Update", "d/b"), ("Move", "d/b"), ("Update", "a"), ("Create", "a"),
        ]  # fmt: skip
        assert history[-1]["source_client"] == "me"
        assert all(v["is_available"] for v in history if "hash" in v)
        assert await get(share, "/api/files/e/b?version=1") == (200, b"one")
        assert await get(share, "/api/files/e/b?version=2") == (200, b"two")
        assert await get(share, "/api/files/e/b") == (200, b"three")
        assert (await get(share, "/api/files/a"))[0] == 404


async def test_a_deleted_file_is_in_the_trash_and_comes_back(deploy):
    async with deploy() as share:
        await put(share, "d/a", b"one")
        await put(share, "d/b", b"two")
        await share.ask("DELETE", "/api/dirs/d?recursive=true")
        trash = json.loads((await get(share, "/api/trash"))[1])
        assert sorted(entry["path"] for entry in trash) == ["d/a", "d/b"]
        status, said = await restore(share, path="d/a", seq=trash[0]["seq"] - 1)
        assert (status, [next(iter(o)) for o in said["operations"]]) == (200, ["Create", "Create"])
        assert (share.root / "d/a").read_bytes() == b"one"
        assert [e["path"] for e in json.loads((await get(share, "/api/trash"))[1])] == ["d/b"]


async def test_a_whole_share_becomes_what_it_was(deploy):
    async with deploy() as share:
        await put(share, "keep", b"1")
        await put(share, "change", b"1")
        await put(share, "d/gone", b"1")
        await share.ask("PUT", "/api/dirs/empty")
        before = await get(share, "/api/list")
        seq = share.handler._share.tree.head
        await put(share, "change", b"2")
        await share.ask("DELETE", "/api/dirs/d?recursive=true")
        await share.ask("DELETE", "/api/dirs/empty")
        await put(share, "empty", b"a file now")
        await put(share, "new/file", b"1")
        dry = await restore(share, seq=seq, dry_run=True)
        assert share.handler._share.tree.get("new/file") is not None
        status, said = await restore(share, seq=seq)
        assert (status, said["operations"]) == (200, dry[1]["operations"])
        after = await get(share, "/api/list")
        names = [[(e["path"], e["hash"]) for e in json.loads(body)] for _, body in (before, after)]
        assert names[0] == names[1]
        on_disk = {
            str(p.relative_to(share.root))
            for p in share.root.rglob("[!.]*")
            if ".quantum" not in p.parts
        }
        assert on_disk == {path for path, _ in names[0]}
        assert (await restore(share, seq=seq))[1]["operations"] == []


async def test_restoring_to_a_time(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        time = share.handler._share.now().isoformat()
        await put(share, "a", b"2")
        assert (await restore(share, path="a", time=time))[0] == 200
        assert (share.root / "a").read_bytes() == b"1"
        assert (await restore(share, path="a", seq=99))[0] == 410
        assert (await restore(share, path="a"))[0] == 400


async def test_why_tells_who_knew_what_by_which_rule(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        await put(share, "a", b"2", if_match='"v1"', x_client_id="me")
        answer = await put(share, "a?on_conflict=copy", b"3", if_match='"v1"', x_client_id="you")
        copy = json.loads(answer.body)["path"]
        said = json.loads((await get(share, "/api/why/a"))[1])
        assert said["current"]["version"] == 2
        assert [(e["who"], e["base_version"]) for e in said["events"]] == [
            ("me", 1),
            ("server", None),
        ]
        target = "/api/why/" + copy.replace(" ", "%20")
        (event,) = json.loads((await get(share, target))[1])["events"]
        assert (event["who"], event["rule"]) == ("you", "conflict: another version was first")


async def test_what_may_be_repeated_by_its_op_id_is_not_dropped_yet(deploy):
    async with deploy(history_operations=1) as share:
        await put(share, "a", b"1", sync_op_id="once")
        await put(share, "a", b"2")
        await put(share, "a", b"3")
        await share.handler._share.trim()
        again = await put(share, "a", b"1", sync_op_id="once")
        assert again.headers.get(b"sync-version") == b"1"
        assert await get(share, "/api/files/a") == (200, b"3")


async def test_what_retention_dropped_is_gone_and_said_to_be(deploy, tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "REPEATED_SECONDS", 0.0)
    server = MemoryServer()
    one, two = MemoryBus(server), MemoryBus(server)
    options = {"share": "s", "content": "bus", "history_operations": 4}
    async with deploy("one", one, root=str(tmp_path / "1"), **options) as share:
        for number in range(10):
            await put(share, "a", f"content {number}".encode())
        await put(share, "d/b", b"b")
        inner = share.handler._share
        for old in (tmp_path / "1/.quantum/chunks").rglob("*"):
            os.utime(old, (0, 0))
        await inner.trim()
        assert inner.index.first() == 9
        client = await share.connect()
        for cursor, code in ((7, "rescan"), (8, None)):
            client.send(
                {"type": "Subscribe", "client_id": "x", "protocol": 2, "resume_from": cursor}
            )
            await client.receive()
            message = await client.receive()
            assert message.get("code") == code
        assert (await get(share, "/api/files/a?version=3"))[0] == 404
        assert await get(share, "/api/files/a?version=9") == (200, b"content 8")
        kept = [p for p in (tmp_path / "1/.quantum/chunks").rglob("*") if p.is_file()]
        assert len(kept) == 4  # "content 7", 8, 9 and "b"
        assert (await restore(share, path="a", seq=3))[0] == 410
        assert (await restore(share, path="a", seq=8))[0] == 200
        assert (tmp_path / "1/a").read_bytes() == b"content 7"
        async with deploy("two", two, root=str(tmp_path / "2"), **options) as fresh:
            assert fresh.handler._share.tree.nodes == inner.tree.nodes
            assert (tmp_path / "2/a").read_bytes() == b"content 7"
            assert (tmp_path / "2/d/b").read_bytes() == b"b"
    async with deploy("one", one, root=str(tmp_path / "1"), **options) as again:
        assert again.handler._share.index.first() >= 9
    for each in (one, two, server):
        await each.aclose()


async def test_a_replica_that_missed_what_was_dropped_goes_on_from_the_snapshot(
    deploy, tmp_path, monkeypatch
):
    monkeypatch.setattr(retention, "REPEATED_SECONDS", 0.0)
    server = MemoryServer()
    one, two = MemoryBus(server), MemoryBus(server)
    options = {"share": "s", "content": "bus", "history_operations": 2}
    async with (
        deploy("one", one, root=str(tmp_path / "1"), **options) as share,
        deploy("two", two, root=str(tmp_path / "2"), **options) as other,
    ):
        here, there = share.handler._share, other.handler._share
        await put(share, "gone", b"1")
        await there.reach(1)
        client = await other.connect()
        client.send({"type": "Subscribe", "client_id": "x", "protocol": 2, "resume_from": 1})
        await client.receive()
        async with there.lock:  # it hears nothing more for a while
            await share.ask("DELETE", "/api/files/gone")
            for number in range(5):
                await put(share, f"d/f{number}", b"x")
            await here.trim()
        assert here.index.first() > 3
        await there.reach(here.tree.head)
        assert there.tree.nodes == here.tree.nodes
        assert (await client.receive())["operation"] == {"Delete": {"path": "gone"}}
        assert (await client.receive_frame())[0] == Opcode.CLOSE
        for _ in range(2000):
            if not there.keeper.pending and there.is_ready:
                break
            await asyncio.sleep(0.01)
        names = {path.name for path in (tmp_path / "2").iterdir()} - {".quantum"}
        assert names == {"d"}
        assert (await put(other, "d/f0", b"from there")).status == 200
    for each in (one, two, server):
        await each.aclose()


@pytest.mark.parametrize("number", ["", "x", "-1", "\u00b2", "9" * 19, "9" * 5000])
async def test_a_version_that_is_no_number_is_refused(deploy, number):
    async with deploy() as share:
        await put(share, "a", b"1")
        for place in ("files", "manifests"):
            answer = await share.ask("GET", f"/api/{place}/a?version={quote(number)}")
            assert answer.status == 400
