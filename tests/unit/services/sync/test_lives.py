"""A share that fails in a way nobody foresaw begins anew, and so it does with another log."""

import asyncio
import json

import pytest

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.errors import BusUnavailable
from quantum.wire.websocket import Opcode
from services.sync.rules.operations import created, paths_of
from services.sync.rules.tree import Node, ShareTree
from services.sync.share import lives, log
from tests.unit.services.sync.conftest import make_entry


async def until(question, what):
    for _ in range(2000):  # 20 seconds: more than a busy machine takes
        if question():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came: {what}")


async def parted(client):
    """Wait until the server has closed the connection, after whatever it has to say."""
    while (await client.receive_frame())[0] != Opcode.CLOSE:
        pass


async def put(share, path, data=b"x"):
    return (await share.ask("PUT", f"/api/files/{path}", data)).status


@pytest.fixture
def planted(monkeypatch):
    """A defect: the operation on ``bad`` fails in the share that is named, so many times."""
    apply, plan = ShareTree.apply, {}

    def apply_or_fail(self, seq, operation):
        share = plan.get("share")
        if share and plan["times"] and "bad" in paths_of(operation) and self is share.tree:
            plan["times"] -= 1
            apply(self, seq, operation)  # in part: the tree has it, nothing else
            raise RuntimeError("planted")
        return apply(self, seq, operation)

    monkeypatch.setattr(ShareTree, "apply", apply_or_fail)
    return plan


async def test_a_writer_that_dies_costs_an_answer_and_no_write(deploy, planted):
    async with deploy() as share:
        inner = share.handler._share
        assert await put(share, "before", b"1") == 201
        client = await share.subscriber()
        planted.update(share=inner, times=1)
        assert await put(share, "bad", b"content") == 503
        await parted(client)
        await until(lambda: inner.restarts and inner.is_ready, "another life")
        answer = await share.ask("GET", "/api/files/bad")
        assert (answer.status, (share.root / "bad").read_bytes()) == (200, b"content")
        assert await put(share, "after", b"2") == 201
        (share.root / "by hand").write_text("found")
        await until(lambda: inner.tree.get("by hand"), "what another program wrote")
        assert inner.restarts == 1
        assert sorted(inner.tree.nodes) == ["after", "bad", "before", "by hand"]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_replica_that_cannot_read_the_log_is_not_ready_until_it_can(
    deploy, planted, tmp_path, monkeypatch, times
):
    monkeypatch.setattr(lives, "FIRST_PAUSE", 0.02)
    server = MemoryServer()
    one, two = MemoryBus(server), MemoryBus(server)
    options = {"share": "s", "content": "bus"}
    async with (
        deploy("one", one, root=str(tmp_path / "1"), **options) as share,
        deploy("two", two, root=str(tmp_path / "2"), **options) as other,
    ):
        there = other.handler._share
        await put(share, "before", b"1")
        assert await there.reach(1)
        planted.update(share=there, times=times)
        await put(share, "bad", b"content")
        await until(lambda: there.restarts, "the end of its life")
        await until(lambda: there.restarts == times and there.is_ready, "another life")
        await until((tmp_path / "2/bad").exists, "the file")
        assert await put(other, "there", b"2") == 201
        assert await share.handler._share.reach(3)
        assert share.handler._share.tree.nodes == there.tree.nodes
        assert json.loads((await other.ask("GET", "/api/status")).body)["restarts"] == times
    for each in (one, two, server):
        await each.aclose()


async def test_replicas_whose_bus_lost_everything_begin_a_log_of_what_they_have(deploy, tmp_path):
    server = MemoryServer()
    one, two = MemoryBus(server), MemoryBus(server)
    options = {"share": "s", "content": "bus"}
    async with (
        deploy("one", one, root=str(tmp_path / "1"), **options) as share,
        deploy("two", two, root=str(tmp_path / "2"), **options) as other,
    ):
        here, there = share.handler._share, other.handler._share
        for number in range(5):
            await put(share, f"d/f{number}", f"content {number}".encode())
        await until((tmp_path / "2/d/f4").exists, "the files at the other one")
        client, log = await share.subscriber(), here.log_id
        server.wipe()
        await parted(client)
        await until(lambda: here.restarts and there.restarts, "the end of both lives")
        await until(lambda: here.is_ready and there.is_ready, "another life of both")
        assert here.log_id == there.log_id != log
        assert await put(share, "here", b"1") == 201
        assert await put(other, "there", b"2") == 201
        await here.reach(there.tree.head)
        await there.reach(here.tree.head)
        assert {p: n.hash for p, n in here.tree.nodes.items()} == {
            p: n.hash for p, n in there.tree.nodes.items()
        }
        names = {"d", "here", "there", *(f"d/f{number}" for number in range(5))}
        assert set(here.tree.nodes) == names
        await until((tmp_path / "1/there").exists, "the file of the other")
        await until((tmp_path / "2/here").exists, "the file of this one")
        for root in (tmp_path / "1", tmp_path / "2"):
            assert (root / "d/f3").read_bytes() == b"content 3"
        fresh = MemoryBus(server)
        async with deploy("three", fresh, root=str(tmp_path / "3"), **options) as third:
            # what was published before the loss was published again
            answer = await third.ask("GET", "/api/files/d/f3")
            assert answer.status == 200
        await fresh.aclose()
    for each in (one, two, server):
        await each.aclose()


async def test_nothing_is_applied_on_top_of_what_was_applied_in_part(deploy, planted):
    async with deploy() as share:
        inner = share.handler._share
        planted.update(share=inner, times=1)
        entries = [
            (make_entry(created(Node(path, 0, "", "", True, 0))), None) for path in ("bad", "d")
        ]
        async with inner.lock:
            with pytest.raises(RuntimeError, match="planted"):
                await inner.apply(0, entries[:1])
            with pytest.raises(BusUnavailable):
                await inner.apply(1, entries[1:])
        assert await put(share, "d/x") == 503
        inner._lives.fail(RuntimeError("as the task would have"))
        await until(lambda: inner.restarts and inner.is_ready, "another life")
        assert inner.tree.head == inner.index.first() - 1 == 0
        assert await put(share, "d/x") == 201


async def test_files_stay_when_the_log_has_lost_its_end(deploy, tmp_path, monkeypatch):
    monkeypatch.setattr(log, "LOOKS_FOR_END", 1)
    server = MemoryServer()
    bus = MemoryBus(server)
    root = tmp_path / "1"
    async with deploy("one", bus, root=str(root), share="s") as share:
        await put(share, "a", b"old")
        await put(share, "b", b"kept")
        await put(share, "a", b"new")
        await put(share, "c", b"late")
    (stream,) = server.streams.values()
    del stream.entries[2:]
    async with deploy("one", bus, root=str(root), share="s") as share:
        found = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
        assert b"new" in found.values()
        assert (found["b"], found["c"]) == (b"kept", b"late")
        assert set(found) <= set(share.handler._share.tree.nodes)
        assert await put(share, "d", b"goes on") == 201
    for each in (bus, server):
        await each.aclose()
