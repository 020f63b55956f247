import asyncio
import hashlib
import json
import os

import pytest

from quantum.http.body import StreamBody
from services.sync.access.tokens import Claims, make_token
from services.sync.share.committing import MOST_TOGETHER

from .conftest import read

KEY = "k" * 40


def record(path, content=b"", **more):
    facts = {"path": path, "size": len(content), **more}
    return json.dumps(facts).encode() + b"\n" + content


def records(body):
    found = []
    while body:
        line, _, body = body.partition(b"\n")
        facts = json.loads(line)
        found.append((facts, body[: facts["size"]]))
        body = body[facts["size"] :]
    return found


async def post(share, *parts, **fields):
    answer = await share.ask("POST", "/api/batch", b"".join(parts), **fields)
    told = json.loads(answer.body)
    return answer.status, told.get("results"), told


def sha(data):
    return hashlib.sha256(data).hexdigest()


async def test_many_files_of_one_request_are_there_when_it_is_answered(deploy):
    async with deploy() as share:
        files = {f"d{n % 7}/f{n}": os.urandom(n * 11) for n in range(600)}
        subscriber = await share.subscriber()
        status, results, told = await post(share, *(record(p, c) for p, c in files.items()))
        assert status == 200
        assert [result["path"] for result in results] == list(files)
        assert {result["status"] for result in results} == {201}
        assert [result["hash"] for result in results] == [sha(c) for c in files.values()]
        assert told["cursor"] == 607  # seven folders
        for path, content in files.items():
            assert (share.root / path).read_bytes() == content
        heard = [await subscriber.receive() for _ in range(607)]
        assert sum(not m["operation"]["Create"]["metadata"]["is_directory"] for m in heard) == 600


async def test_each_record_has_a_result_of_its_own(deploy):
    async with deploy(max_file_size="100") as share:
        await post(share, record("a", b"1"), record("c", b"1"))
        status, results, _ = await post(
            share,
            record("a", b"2", if_none_match="*"),
            record("b", b"x", hash="0" * 64),
            record("../c", b"x"),
            record("big", b"x" * 101),
            record("a", b"2", if_match=sha(b"1")),
            record("a", b"3", if_match=sha(b"1"), on_conflict="copy"),
            record("e/f", kind="directory"),
            record("c", kind="delete"),
            record("c", kind="delete"),
        )
        assert status == 200
        statuses = [result["status"] for result in results]
        assert statuses == [412, 400, 400, 413, 200, 201, 201, 204, 404]
        assert results[0]["current"]["hash"] == sha(b"1")
        assert results[5]["stored"].startswith("a (conflict of server, ")
        assert (share.root / "a").read_bytes() == b"2"
        assert (share.root / results[5]["stored"]).read_bytes() == b"3"
        assert (share.root / "e/f").is_dir()
        assert not (share.root / "c").exists()


async def test_a_write_that_is_one_operation_and_nothing_else_is_told_its_place_in_the_log(deploy):
    async with deploy() as share:
        _, results, _ = await post(
            share,
            record("d", kind="directory"),
            record("d/a", b"1"),
            record("made/with/it", b"1"),
            record("d/a", b"1"),
            record("d/a", b"2", if_none_match="*", on_conflict="copy"),
            record("d/a", b"2", if_match="*"),
        )
        assert [result.get("seq") for result in results] == [1, 2, None, None, None, 7]
        asked = await share.ask("POST", "/api/sync", b'{"cursor":0}')
        operations = {o["seq"]: o["operation"] for o in json.loads(asked.body)["operations"]}
        assert operations[2]["Create"]["metadata"]["path"] == "d/a"
        assert operations[7]["Update"]["metadata"]["hash"] == sha(b"2")


async def test_what_came_before_a_broken_record_counts_and_the_answer_says_so(deploy):
    async with deploy() as share:
        status, results, told = await post(
            share, record("a", b"1"), b'{"path":"b","size":9}\nshort'
        )
        assert (status, told["code"]) == (400, "invalid")
        assert [result["status"] for result in results] == [201]
        status, results, told = await post(share, record("c", b"1"), b"no json\n")
        assert (status, len(results)) == (400, 1)
        assert {path.name for path in share.root.iterdir()} == {".quantum", "a", "c"}


async def test_a_batch_that_is_repeated_does_nothing_twice(deploy):
    async with deploy() as share:
        parts = [record(f"f{n}", b"%d" % n, op_id=f"op-{n}") for n in range(20)]
        _, first, _ = await post(share, *parts)
        _, second, told = await post(share, *parts)
        assert [r["version"] for r in first] == [r["version"] for r in second]
        assert told["cursor"] == 20


async def test_a_batch_leaves_no_temporary_file(deploy):
    async with deploy() as share:
        parts = [record("same", b"1"), record("same", b"1"), record("same/below", b"2")]
        _, results, _ = await post(share, *parts, record("x", b"3", if_match="v99"))
        assert [result["status"] for result in results] == [201, 200, 409, 412]
        for _ in range(200):
            left = list((share.root / ".quantum/incoming").iterdir())
            if not left:
                break
            await asyncio.sleep(0.01)
        assert left == []


async def test_a_batch_is_taken_as_it_comes(deploy):
    async with deploy() as share:
        body = StreamBody()
        asking = asyncio.create_task(share.ask("POST", "/api/batch", body))
        data = b"".join(record(f"f{n}", os.urandom(1000)) for n in range(600))
        for start in range(0, len(data), 1000):
            body.feed(data[start : start + 1000])
            await asyncio.sleep(0)
        for _ in range(2000):
            if len(share.handler._share.tree) >= MOST_TOGETHER:
                break
            await asyncio.sleep(0.01)
        assert len(share.handler._share.tree) == MOST_TOGETHER  # the end has not come yet
        body.finish()
        assert len(json.loads((await asking).body)["results"]) == 600


async def test_a_file_changed_on_the_disk_is_not_overwritten_by_a_batch(deploy):
    async with deploy() as share:
        await post(share, record("a", b"1"))
        (share.root / "a").write_bytes(b"by hand")
        (share.root / "link").symlink_to("/etc")
        _, results, _ = await post(
            share, record("a", b"2", if_match=sha(b"1")), record("link/passwd", b"2"), record("link", b"2")
        )  # fmt: skip
        assert [result["status"] for result in results] == [412, 409, 409]
        assert (share.root / "a").read_bytes() == b"by hand"


async def test_deletions_of_a_batch_are_guarded(deploy):
    async with deploy() as share:
        await post(share, *(record(f"f{n}", b"1") for n in range(60)))
        _, results, _ = await post(share, *(record(f"f{n}", kind="delete") for n in range(60)))
        assert [r["status"] for r in results] == [204] * 30 + [428] * 30
        token = results[-1]["confirm"]
        parts = [record(f"f{n}", kind="delete") for n in range(30, 60)]
        _, results, _ = await post(share, *parts, sync_confirm=token)
        assert {r["status"] for r in results} == {204}


@pytest.mark.parametrize("content", ["disk", "bus"])
async def test_many_files_are_fetched_in_one_answer(deploy, content):
    async with deploy(content=content) as share:
        files = {f"f{n}": os.urandom(n * 900) for n in range(200)}
        await post(share, *(record(p, c) for p, c in files.items()))
        await post(share, record("f1", b"new"))
        asked = [{"path": p} for p in files if p != "f1"] + [{"path": "f1", "version": 2}]
        asked += [{"path": "gone"}, {"path": "../x"}]
        answer = await share.ask("POST", "/api/fetch", json.dumps({"files": asked}).encode())
        assert answer.status == 200
        *found, gone, bad = records(await read(answer))
        assert {facts["path"]: data for facts, data in found} == files
        assert all(facts["hash"] == sha(data) for facts, data in found)
        assert (gone[0]["status"], bad[0]["status"]) == (404, 400)


async def test_a_token_for_a_folder_reads_and_writes_there_alone(deploy):
    async with deploy(token_key=KEY) as share:
        everywhere = {"authorization": "Bearer " + make_token(KEY, Claims(write=True))}
        await post(share, record("b/secret", b"1"), record("a/x", b"1"), **everywhere)
        here = {"authorization": "Bearer " + make_token(KEY, Claims(paths=["a"], write=True))}
        _, results, _ = await post(share, record("b/y", b"1"), record("a/y", b"1"), **here)
        assert [result["status"] for result in results] == [403, 201]
        asked = json.dumps({"files": [{"path": "b/secret"}, {"path": "a/x"}]}).encode()
        answer = await share.ask("POST", "/api/fetch", asked, **here)
        assert [facts["status"] for facts, _ in records(await read(answer))] == [403, 200]


async def test_of_equal_writes_that_come_together_none_is_answered_before_one_is_in_the_log(deploy):
    async with deploy() as share:
        stream = share.handler._share._stream
        append, gate = stream.append, asyncio.Event()

        async def slow(entries, expected):
            await gate.wait()
            return await append(entries, expected)

        stream.append = slow
        asking = [asyncio.create_task(share.ask("PUT", "/api/files/a", b"1")) for _ in range(3)]
        await asyncio.sleep(0.3)
        assert not any(each.done() for each in asking)
        gate.set()
        assert sorted([(await each).status for each in asking]) == [200, 200, 201]
        assert share.handler._share.tree.head == 1
