"""What other programs do in the directory: adopted, never overwritten, never mistaken."""

import asyncio
import json
import os
import shutil
import sqlite3

from quantum.bus.memory import MemoryBus, MemoryServer
from services.sync.disk.seen import SeenTable


async def put(share, path, data=b"x", **fields):
    return await share.ask("PUT", f"/api/files/{path}", data, **fields)


async def eventually(question):
    for _ in range(500):
        if question():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("did not become true in time")


def kinds(server, after=0):
    (stream,) = server.streams.values()
    return [next(iter(json.loads(entry)["operation"])) for entry in stream.entries[after:]]


async def test_changes_made_while_nothing_ran_are_adopted_at_the_start(deploy):
    server = MemoryServer()
    bus = MemoryBus(server)
    async with deploy("one", bus) as share:
        for path in ("kept", "changed", "deleted", "d/moved", "touched"):
            await put(share, path, path.encode())
    root = share.root
    (root / "changed").write_bytes(b"by hand")
    (root / "deleted").unlink()
    (root / "d").rename(root / "e")
    (root / "new").write_bytes(b"new")
    os.utime(root / "touched")
    async with deploy("one", bus) as share:
        tree = share.handler._share.tree
        assert sorted(tree.nodes) == ["changed", "e", "e/moved", "kept", "new", "touched"]
        assert sorted(kinds(server, 6)) == ["Create", "Delete", "Move", "Update"]
        assert tree.get("changed").size == 7
        assert (await share.ask("GET", "/api/files/changed?version=2")).body == b"changed"
    await bus.aclose()
    await server.aclose()


async def test_what_the_log_got_while_this_process_was_away_is_written_at_the_start(
    deploy, tmp_path
):
    server = MemoryServer()
    bus, other = MemoryBus(server), MemoryBus(server)
    here = {"share": "s", "content": "bus", "root": str(tmp_path / "here")}
    async with deploy("one", bus, **here) as share:
        for path in ("kept", "changed", "deleted", "both", "edited"):
            await put(share, path, b"1")
    async with deploy("two", other, **{**here, "root": str(tmp_path / "there")}) as share:
        await put(share, "changed", b"2")
        await put(share, "both", b"theirs")
        await share.ask("DELETE", "/api/files/deleted")
        await share.ask("DELETE", "/api/files/edited")
        await put(share, "d/new", b"3")
    (tmp_path / "here/both").write_bytes(b"ours")
    (tmp_path / "here/edited").write_bytes(b"edited here")
    async with deploy("one", bus, **here) as share:
        root = tmp_path / "here"
        await eventually(lambda: (root / "d/new").exists() and len(list(root.glob("both*"))) == 2)
        found = {p.relative_to(root).as_posix(): p.read_bytes()
                 for p in root.rglob("*") if p.is_file() and ".quantum" not in p.parts}  # fmt: skip
        (copy,) = [path for path in found if "conflict of" in path]
        assert found == {
            "kept": b"1", "changed": b"2", "both": b"theirs", "d/new": b"3", "edited": b"edited here", copy: b"ours",
        }  # fmt: skip
        await eventually(lambda: share.handler._share.tree.get(copy) is not None)
    for each in (bus, other):
        await each.aclose()
    await server.aclose()


async def test_a_renamed_folder_is_one_move(deploy):
    server = MemoryServer()
    bus = MemoryBus(server)
    async with deploy("one", bus) as share:
        await asyncio.sleep(0.3)
        for number in range(20):
            await put(share, f"d/{number}", str(number).encode())
        (share.root / "d").rename(share.root / "renamed")
        await eventually(lambda: share.handler._share.tree.get("renamed/19") is not None)
        assert kinds(server, 21) == ["Move"]
        assert share.handler._share.tree.get("d") is None
    await bus.aclose()
    await server.aclose()


async def test_a_write_never_falls_on_a_change_that_nobody_has_read(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        share.handler._share.keeper.survey.is_current = lambda path: (
            True
        )  # as if it came after the look
        (share.root / "a").write_bytes(b"by hand")
        await put(share, "a", b"2", if_match='"v1"')
        assert (share.root / "a").read_bytes() == b"2"
        (copy,) = share.root.glob("a (conflict of server*")
        assert copy.read_bytes() == b"by hand"
        await eventually(lambda: share.handler._share.tree.get(copy.name) is not None)


async def test_a_request_sees_what_was_just_written_on_the_disk(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        (share.root / "a").write_bytes(b"by hand")
        assert (await share.ask("GET", "/api/files/a")).body == b"by hand"
        (share.root / "a").write_bytes(b"again")
        assert (await put(share, "a", b"2", if_match='"v1"')).status == 412


async def test_a_folder_that_was_just_made_on_the_disk_can_be_listed(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        (share.root / "made").mkdir()
        answer = await share.ask("GET", "/api/list?path=made")
        assert (answer.status, json.loads(answer.body)) == (200, [])
        assert (await share.ask("GET", "/api/list?path=not-made")).status == 404


async def test_names_that_clash_on_the_disk_are_left_alone(deploy):
    async with deploy() as share:
        await asyncio.sleep(0.3)
        await put(share, "a", b"1")
        (share.root / "A").write_bytes(b"other")
        (share.root / "b").write_bytes(b"b")
        await eventually(lambda: share.handler._share.tree.get("b") is not None)
        assert share.handler._share.tree.get("A") is None
        assert (share.root / "A").read_bytes() == b"other"
        assert (share.root / "a").read_bytes() == b"1"


async def test_a_file_is_read_when_it_was_left_alone_for_long_enough(deploy):
    async with deploy(quiet={"*.psd": "700ms"}) as share:
        await asyncio.sleep(0.3)
        (share.root / "slow.psd").write_bytes(b"1")
        (share.root / "fast").write_bytes(b"1")
        tree = share.handler._share.tree
        await eventually(lambda: tree.get("fast") is not None)
        assert tree.get("slow.psd") is None
        await eventually(lambda: tree.get("slow.psd") is not None)


async def test_a_log_that_was_lost_is_begun_anew_from_the_disk(deploy):
    server, fresh = MemoryServer(), MemoryServer()
    bus, again = MemoryBus(server), MemoryBus(fresh)
    async with deploy("one", bus) as share:
        await put(share, "d/a", b"1")
        first = share.handler._share.log_id
    async with deploy("one", again) as share:
        assert share.handler._share.log_id != first
        assert sorted(share.handler._share.tree.nodes) == ["d", "d/a"]
        assert kinds(fresh) == ["Create", "Create"]
        assert (share.root / "d/a").read_bytes() == b"1"
    for each in (bus, again, server, fresh):
        await each.aclose()


async def test_a_lost_index_is_read_again_from_the_log(deploy, tmp_path):
    server = MemoryServer()
    bus = MemoryBus(server)
    async with deploy("one", bus) as share:
        await put(share, "d/a", b"1")
        await put(share, "d/a", b"2")
    shutil.rmtree(tmp_path / "one")
    async with deploy("one", bus) as share:
        assert share.handler._share.tree.head == 3
        assert share.handler._share.tree.get("d/a").version == 3
        assert len(kinds(server)) == 3
    await bus.aclose()
    await server.aclose()


async def test_another_process_takes_the_directory_over(deploy):
    server = MemoryServer()
    one, two = MemoryBus(server), MemoryBus(server)
    async with deploy("two", two) as second:
        keeper = second.handler._share.keeper
        async with deploy("three", one) as third:
            assert keeper.is_keeping
            assert not third.handler._share.keeper.is_keeping
            await put(third, "through-the-other", b"1")
            await eventually((third.root / "through-the-other").exists)
            await second.service.stop(1)
            await eventually(lambda: third.handler._share.keeper.is_keeping)
            await asyncio.sleep(0.3)
            (third.root / "by-hand").write_bytes(b"1")
            await eventually(lambda: third.handler._share.tree.get("by-hand") is not None)
    for each in (one, two, server):
        await each.aclose()


async def test_without_the_bus_the_last_state_can_be_read_after_a_restart(deploy):
    server = MemoryServer()
    bus = MemoryBus(server)
    async with deploy("one", bus) as share:
        await put(share, "a", b"1")
    bus.cut()
    async with deploy("one", bus) as share:
        assert (await share.ask("GET", "/api/files/a")).body == b"1"
        assert (await put(share, "a", b"2")).status == 503
        await bus.restore()
        await eventually(lambda: share.handler._share.keeper.is_keeping)
        assert (await put(share, "a", b"2")).status == 200
    await bus.aclose()
    await server.aclose()


async def test_a_full_disk_keeps_nobody_from_the_share_and_forgets_nothing(deploy, monkeypatch):
    server = MemoryServer()
    bus = MemoryBus(server)
    async with deploy("one", bus) as share:
        await put(share, "kept", b"1")
        await put(share, "deleted", b"2")
    (share.root / "deleted").unlink()
    connect, is_full = SeenTable._connect, True

    def fail(self, *given):
        connect(self, *given)
        if is_full:
            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(SeenTable, "_connect", fail)
    async with deploy("one", bus) as share:
        inner = share.handler._share
        assert inner.is_ready
        assert not inner.keeper.is_keeping
        assert (await share.ask("GET", "/api/files/deleted")).body == b"2"
        is_full = False
        await eventually(lambda: inner.keeper.is_keeping)
        await eventually(lambda: inner.tree.get("deleted") is None)
        assert inner.tree.get("kept") is not None
    await bus.aclose()
    await server.aclose()


async def test_what_could_not_be_done_below_a_directory_is_done_where_it_moved_to(
    deploy, monkeypatch
):
    async with deploy() as share:
        await put(share, "d/kept", b"1")
        await put(share, "d/deleted", b"2")
        plain = share.handler._share.keeper.plain

        def fail(*_):
            raise OSError(5, "the disk says no")

        with monkeypatch.context() as broken:
            for name in ("remove", "put_file"):
                broken.setattr(plain, name, fail)
            assert (await share.ask("DELETE", "/api/files/d/deleted")).status == 204
            assert (await put(share, "d/new", b"3")).status == 201
            answer = await share.ask("POST", "/api/move", b'{"from":"d","to":"e"}')
            assert answer.status == 200
        names = {"e": None, "e/kept": b"1", "e/new": b"3"}
        found = {}

        def converged():
            paths = [p for p in share.root.rglob("*") if ".quantum" not in p.parts]
            found.clear()
            for path in paths:
                is_file = path.is_file()
                found[str(path.relative_to(share.root))] = path.read_bytes() if is_file else None
            return found == names

        await eventually(converged)
