"""Who loses keeps everything: conflict copies, edits and deletions, names."""

import asyncio
import json

import pytest


async def put(share, path, data=b"x", **fields):
    return await share.ask("PUT", f"/api/files/{path}", data, **fields)


async def test_a_loser_gets_a_copy_beside_named_for_it(deploy):
    async with deploy() as share:
        await put(share, "docs/report.txt", b"base")
        await put(share, "docs/report.txt", b"mine", if_match='"v2"')
        answer = await put(
            share, "docs/report.txt?on_conflict=copy", b"theirs", if_match='"v2"', x_client_id="lap top"[:3]
        )  # fmt: skip
        metadata = json.loads(answer.body)
        assert answer.status == 201
        assert metadata["path"].startswith("docs/report (conflict of lap, 20")
        assert metadata["path"].endswith(").txt")
        assert answer.headers.get(b"sync-conflict") == b"docs/report.txt"
        assert (share.root / "docs/report.txt").read_bytes() == b"mine"
        assert (share.root / metadata["path"]).read_bytes() == b"theirs"


async def test_the_same_content_is_no_conflict(deploy):
    async with deploy() as share:
        await put(share, "a", b"base")
        await put(share, "a", b"same", if_match='"v1"')
        answer = await put(share, "a", b"same", if_match='"v1"')
        assert (answer.status, answer.headers.get(b"sync-version")) == (200, b"2")


async def test_an_edit_beats_a_deletion_in_either_order(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        await put(share, "a", b"2")
        assert (await share.ask("DELETE", "/api/files/a", if_match='"v1"')).status == 412
        await share.ask("DELETE", "/api/files/a", if_match='"v2"')
        assert (await put(share, "a", b"3", if_match='"v2"')).status == 412
        again = await put(share, "a?on_conflict=copy", b"3", if_match='"v2"')
        assert (again.status, json.loads(again.body)["path"]) == (201, "a")


async def test_a_folder_is_deleted_only_as_the_client_knew_it(deploy):
    async with deploy() as share:
        await put(share, "d/a", b"1")
        await put(share, "d/b", b"2")
        stale = await share.ask("DELETE", "/api/dirs/d?recursive=true", sync_base="2")
        assert stale.status == 412
        assert (await share.ask("DELETE", "/api/dirs/d")).status == 409
        assert (
            await share.ask("DELETE", "/api/dirs/d?recursive=true", sync_base="3")
        ).status == 204
        assert not (share.root / "d").exists()


async def test_a_renamed_folder_is_one_operation_and_keeps_the_versions_below(deploy):
    async with deploy() as share:
        for number in range(50):
            await put(share, f"d/{number}")
        head = share.handler._share.tree.head
        assert (await share.ask("POST", "/api/move", b'{"from": "d", "to": "e/f"}')).status == 200
        assert share.handler._share.tree.head == head + 2  # "e" was made
        assert (share.root / "e/f/49").exists()
        assert share.handler._share.tree.get("e/f/49").version == 51


async def test_two_moves_cannot_make_a_cycle(deploy):
    async with deploy() as share:
        await share.ask("PUT", "/api/dirs/a")
        await share.ask("PUT", "/api/dirs/b")
        assert (await share.ask("POST", "/api/move", b'{"from": "a", "to": "b/a"}')).status == 200
        assert (await share.ask("POST", "/api/move", b'{"from": "b", "to": "b/a/b"}')).status == 409
        assert (await share.ask("POST", "/api/move", b'{"from": "b", "to": "a/b"}')).status == 200
        listed = [e["path"] for e in json.loads((await share.ask("GET", "/api/list")).body)]
        assert listed == ["a", "a/b", "a/b/a"]


@pytest.mark.parametrize("path", ["A", "FILE/x", "dir"])
async def test_what_cannot_have_its_name_becomes_a_copy_if_it_asks(deploy, path):
    async with deploy() as share:
        await put(share, "a", b"1")
        await put(share, "file", b"1")
        await share.ask("PUT", "/api/dirs/dir")
        assert (await put(share, path, b"2")).status == 409
        answer = await put(share, f"{path}?on_conflict=copy", b"2")
        assert answer.status == 201
        assert "(conflict of server" in json.loads(answer.body)["path"]


async def test_a_write_below_a_deleted_folder_makes_it_again(deploy):
    async with deploy() as share:
        await put(share, "d/a", b"1")
        await share.ask("DELETE", "/api/dirs/d?recursive=true")
        assert (await put(share, "d/a", b"2")).status == 201
        assert (share.root / "d/a").read_bytes() == b"2"


async def test_an_operation_repeated_with_its_id_is_done_once(deploy):
    async with deploy() as share:
        for _ in range(2):
            answer = await put(share, "a", b"1", sync_op_id="once")
        await put(share, "a", b"2")
        again = await put(share, "a", b"1", sync_op_id="once")
        assert answer.headers.get(b"sync-version") == again.headers.get(b"sync-version") == b"1"
        assert (share.root / "a").read_bytes() == b"2"


async def test_of_writers_that_come_in_one_moment_one_wins_whatever_they_knew(deploy):
    async with deploy() as share:
        await put(share, "a", b"base")
        for field, base in (("if_match", '"v{}"'), ("sync_base", "{}"), ("if_match", '"{}"')):
            node = share.handler._share.tree.get("a")
            known = base.format(node.hash if base == '"{}"' else node.version)
            writes = [
                put(share, "a", f"{field} {n} {base}".encode(), **{field: known}) for n in range(8)
            ]
            answers = await asyncio.gather(*writes)
            assert sorted(a.status for a in answers) == [200] + [412] * 7


async def test_many_writers_at_once_are_in_one_order_and_all_there(deploy):
    async with deploy() as share:
        await asyncio.gather(*(put(share, f"d{n % 5}/{n}", str(n).encode()) for n in range(100)))
        moves = [{"from": f"d{n}", "to": f"e{n}"} for n in range(5)]
        await asyncio.gather(
            *(share.ask("POST", "/api/move", json.dumps(move).encode()) for move in moves),
            *(put(share, f"d{n}/late", b"x") for n in range(5)),
        )
        listed = {e["path"]: e for e in json.loads((await share.ask("GET", "/api/list")).body)}
        assert sum(path.count("/") for path in listed) == 105
        for path, entry in listed.items():
            there = share.root / path
            assert (
                there.is_dir() if entry["is_directory"] else there.stat().st_size == entry["size"]
            )
