"""Chunks: the same twice is stored once, and only what is missing travels."""

import hashlib
import io
import json
import random

from services.sync.content.cutting import LARGEST, cut
from services.sync.content.directory import ChunkDirectory

from .conftest import read


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


async def put(share, path, data=b"x", **fields):
    return await share.ask("PUT", f"/api/files/{path}", data, **fields)


def test_cuts_do_not_depend_on_what_is_before():
    data = noise(6_000_000)
    whole = list(cut(io.BytesIO(data)))
    assert b"".join(whole) == data
    assert max(map(len, whole)) <= LARGEST
    shifted = list(cut(io.BytesIO(b"one more line\n" + data)))
    assert len(set(whole) - set(shifted)) <= 2
    assert list(cut(io.BytesIO(b""))) == []


async def test_a_change_in_a_large_file_moves_one_chunk(deploy):
    async with deploy() as share:
        data = noise(5_000_000)
        await put(share, "large", data)
        manifest = json.loads((await share.ask("GET", "/api/manifests/large")).body)
        assert manifest["hash"] == hashlib.sha256(data).hexdigest()
        changed = data[:2_000_000] + b"!" + data[2_000_001:]
        pieces = {hashlib.sha256(c).hexdigest(): c for c in cut(io.BytesIO(changed))}
        body = json.dumps({"chunks": list(pieces)}).encode()
        missing = json.loads((await share.ask("POST", "/api/chunks", body)).body)["missing"]
        assert 1 <= len(missing) <= 2
        wanted = {
            "hash": hashlib.sha256(changed).hexdigest(), "size": len(changed),
            "chunks": [[name, len(chunk)] for name, chunk in pieces.items()],
        }  # fmt: skip
        early = await share.ask("PUT", "/api/manifests/large", json.dumps(wanted).encode())
        assert (early.status, json.loads(early.body)["missing"]) == (409, missing)
        for name in missing:
            assert (await share.ask("PUT", f"/api/chunks/{name}", pieces[name])).status == 201
        stale = await share.ask(
            "PUT", "/api/manifests/large", json.dumps(wanted).encode(), if_match='"v9"'
        )
        assert stale.status == 412
        done = await share.ask(
            "PUT", "/api/manifests/large", json.dumps(wanted).encode(), if_match='"v1"'
        )
        assert (done.status, done.headers.get(b"sync-version")) == (200, b"2")
        assert (share.root / "large").read_bytes() == changed
        assert await read(await share.ask("GET", "/api/files/large?version=1")) == data


async def test_a_chunk_is_what_its_name_says_or_nothing(deploy):
    async with deploy() as share:
        name = hashlib.sha256(b"right").hexdigest()
        assert (await share.ask("PUT", f"/api/chunks/{name}", b"wrong")).status == 400
        assert (await share.ask("GET", f"/api/chunks/{name}")).status == 404
        assert (await share.ask("PUT", f"/api/chunks/{name}", b"right")).status == 201
        assert (await share.ask("PUT", f"/api/chunks/{name}", b"right")).status == 200
        answer = await share.ask("GET", f"/api/chunks/{name}")
        assert (answer.body, answer.status) == (b"right", 200)
        assert b"immutable" in answer.headers.get(b"cache-control")
        assert (await share.ask("PUT", "/api/chunks/../../x", b"x")).status in (400, 404)
        assert (await share.ask("PUT", f"/api/chunks/{name}", b"x" * (LARGEST + 1))).status == 413


def together(*pieces):
    return b"".join(
        json.dumps({"hash": hashlib.sha256(data).hexdigest(), "size": len(data)}).encode()
        + b"\n"
        + data
        for data in pieces
    )


async def test_chunks_that_come_together_make_a_content(deploy):
    async with deploy() as share:
        pieces = [noise(200_000, seed) for seed in range(30)]
        answer = await share.ask("PUT", "/api/chunks", together(*pieces))
        assert (answer.status, json.loads(answer.body)) == (200, {"stored": 30, "new": 30})
        again = await share.ask("PUT", "/api/chunks", together(*pieces[:2], b"new"))
        assert json.loads(again.body) == {"stored": 3, "new": 1}
        whole = b"".join(pieces)
        wanted = {
            "hash": hashlib.sha256(whole).hexdigest(), "size": len(whole),
            "chunks": [[hashlib.sha256(data).hexdigest(), len(data)] for data in pieces],
        }  # fmt: skip
        done = await share.ask("PUT", "/api/manifests/large", json.dumps(wanted).encode())
        assert done.status == 201
        assert (share.root / "large").read_bytes() == whole


async def test_a_bad_chunk_among_others_is_refused_by_its_name(deploy):
    async with deploy() as share:
        name = hashlib.sha256(b"right").hexdigest()
        bad = json.dumps({"hash": name, "size": 5}).encode() + b"\nwrong"
        answer = await share.ask("PUT", "/api/chunks", bad)
        assert (answer.status, name in json.loads(answer.body)["error"]) == (400, True)
        for body, status in (
            (together(b"x")[:-1], 400),
            (b"no json\n", 400),
            (together(b""), 413),
            (together(b"x" * (LARGEST + 1)), 413),
        ):
            assert (await share.ask("PUT", "/api/chunks", body)).status == status
        assert (await share.ask("GET", f"/api/chunks/{name}")).status == 404


async def test_a_chunk_that_was_spoiled_since_it_came_is_asked_for_again(deploy):
    async with deploy() as share:
        pieces = [noise(100_000, seed) for seed in (1, 2)]
        await share.ask("PUT", "/api/chunks", together(*pieces))
        names = [hashlib.sha256(data).hexdigest() for data in pieces]
        (file,) = (share.root / ".quantum" / "chunks").rglob(names[1])
        file.write_bytes(bytes(100_000))
        whole = b"".join(pieces)
        wanted = {
            "hash": hashlib.sha256(whole).hexdigest(), "size": len(whole),
            "chunks": [[name, 100_000] for name in names],
        }  # fmt: skip
        answer = await share.ask("PUT", "/api/manifests/a", json.dumps(wanted).encode())
        assert (answer.status, json.loads(answer.body)["missing"]) == (409, names[1:])
        await share.ask("PUT", "/api/chunks", together(pieces[1]))
        done = await share.ask("PUT", "/api/manifests/a", json.dumps(wanted).encode())
        assert done.status == 201
        assert (share.root / "a").read_bytes() == whole


async def test_chunks_that_do_not_make_the_content_are_refused(deploy):
    async with deploy() as share:
        name = hashlib.sha256(b"right").hexdigest()
        await share.ask("PUT", f"/api/chunks/{name}", b"right")
        for wanted in (
            {"hash": "0" * 64, "size": 5, "chunks": [[name, 5]]},
            {"hash": name, "size": 6, "chunks": [[name, 5]]},
            {"hash": name, "size": -1, "chunks": []},
            {"hash": name, "size": 5, "chunks": [["../../etc/passwd", 5]]},
        ):
            answer = await share.ask("PUT", "/api/manifests/a", json.dumps(wanted).encode())
            assert answer.status == 400
        assert not (share.root / "a").exists()


async def test_ranges_across_chunks(deploy):
    async with deploy() as share:
        data = noise(2_000_000)
        await put(share, "a", data)
        for first, last in [(0, 0), (262_000, 900_000), (1_999_999, 1_999_999), (0, 1_999_999)]:
            answer = await share.ask("GET", "/api/files/a", range=f"bytes={first}-{last}")
            assert (answer.status, await read(answer)) == (206, data[first : last + 1])
        two = await share.ask("GET", "/api/files/a", range="bytes=1900000-1900003,5-8")
        body = await read(two)
        assert data[1_900_000:1_900_004] in body
        assert data[5:9] in body


def test_a_chunk_that_a_power_cut_spoiled_is_missing_and_can_come_again(tmp_path):
    chunks = ChunkDirectory(str(tmp_path))
    name = hashlib.sha256(b"right").hexdigest()
    chunks.add_chunk(name, b"right")
    (file,) = (tmp_path / "chunks").rglob(name)
    file.write_bytes(b"\0\0\0\0\0")
    assert chunks.chunk(name) is None
    assert chunks.add_chunk(name, b"right")
    assert chunks.chunk(name) == b"right"


def test_what_came_before_is_counted_as_saved(tmp_path):
    chunks = ChunkDirectory(str(tmp_path))
    for number in range(2):
        file = tmp_path / f"f{number}"
        file.write_bytes(noise(1_000_000))
        with file.open("rb") as opened:
            chunks.add_file(opened.fileno())
    assert chunks.saved >= 1_000_000
