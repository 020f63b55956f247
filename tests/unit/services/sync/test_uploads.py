"""Uploads that break off and go on: tus 1.0.0 and the IETF draft on one store."""

import base64
import hashlib
import json

import pytest

from quantum.errors import BodyAborted


def encode(**metadata):
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in metadata.items())


class BrokenBody:
    """A body whose sender goes away."""

    length = None
    trailers = None

    def __init__(self, *chunks):
        self._chunks = list(chunks)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self._chunks:
            raise BodyAborted("gone")
        return self._chunks.pop(0)

    async def aclose(self):
        self._chunks.clear()


class Tus:
    """A tus client."""

    def __init__(self, share):
        self.share = share

    async def ask(self, method, target, body=b"", **fields):
        return await self.share.ask(method, target, body, tus_resumable="1.0.0", **fields)

    async def create(self, path="d/a", length=10, **fields):
        metadata = encode(path=path, **fields.pop("metadata", {}))
        answer = await self.ask("POST", "/api/uploads", upload_metadata=metadata,
                                **({} if length is None else {"upload_length": str(length)}), **fields)  # fmt: skip
        assert answer.status == 201, answer.body
        return answer.headers.get(b"location").decode()

    async def patch(self, place, offset, data, **fields):
        content = {"content_type": "application/offset+octet-stream"}
        return await self.ask("PATCH", place, data, upload_offset=str(offset), **content, **fields)

    async def offset(self, place):
        return int((await self.ask("HEAD", place)).headers.get(b"upload-offset"))


async def test_an_upload_in_pieces_appears_when_it_is_whole(deploy):
    async with deploy() as share:
        tus = Tus(share)
        place = await tus.create()
        assert (await tus.patch(place, 0, b"01234")).status == 204
        assert not (share.root / "d").exists()
        head = await tus.ask("HEAD", place)
        assert (head.headers.get(b"upload-offset"), head.headers.get(b"upload-length")) == (
            b"5",
            b"10",
        )
        assert (await tus.patch(place, 4, b"x")).status == 409
        done = await tus.patch(place, 5, b"56789")
        assert (
            done.headers.get(b"etag").decode() == f'"{hashlib.sha256(b"0123456789").hexdigest()}"'
        )
        assert (share.root / "d/a").read_bytes() == b"0123456789"
        assert (await tus.ask("HEAD", place)).status == 404
        assert share.handler._share.tree.get("d/a").version == int(
            done.headers.get(b"sync-version")
        )


async def test_what_came_before_the_connection_broke_is_kept(deploy):
    async with deploy() as share:
        tus = Tus(share)
        place = await tus.create()
        with pytest.raises(BodyAborted):
            await tus.patch(place, 0, BrokenBody(b"012", b"34"))
        assert await tus.offset(place) == 5
        assert (await tus.patch(place, 5, b"56789")).status == 204
        assert (share.root / "d/a").read_bytes() == b"0123456789"


async def test_a_wrong_checksum_keeps_nothing_of_its_piece(deploy):
    async with deploy() as share:
        tus = Tus(share)
        place = await tus.create()
        wrong = "sha256 " + base64.b64encode(hashlib.sha256(b"x").digest()).decode()
        assert (await tus.patch(place, 0, b"01234", upload_checksum=wrong)).status == 460
        assert await tus.offset(place) == 0
        right = "sha1 " + base64.b64encode(hashlib.sha1(b"01234").digest()).decode()
        assert (await tus.patch(place, 0, b"01234", upload_checksum=right)).status == 204
        with pytest.raises(BodyAborted):
            await tus.patch(place, 5, BrokenBody(b"5"), upload_checksum=right)
        assert await tus.offset(place) == 5
        assert (await tus.patch(place, 5, b"x", upload_checksum="md5 eA==")).status == 400


async def test_a_conflict_at_the_end_leaves_the_upload_to_be_tried_again(deploy):
    async with deploy() as share:
        tus = Tus(share)
        await share.ask("PUT", "/api/files/a", b"1")
        place = await tus.create("a", metadata={"if_match": '"v1"'})
        await share.ask("PUT", "/api/files/a", b"2")
        assert (await tus.patch(place, 0, b"0123456789")).status == 412
        assert await tus.offset(place) == 10
        assert (share.root / "a").read_bytes() == b"2"
        assert (await tus.ask("DELETE", place)).status == 204
        assert (await tus.ask("HEAD", place)).status == 404
        copying = await tus.create("a", metadata={"if_match": '"v1"', "on_conflict": "copy"})
        done = await tus.patch(copying, 0, b"0123456789")
        assert b"conflict%20of" in done.headers.get(b"content-location")


async def test_creation_with_bytes_deferred_length_and_parts(deploy):
    async with deploy() as share:
        tus = Tus(share)
        whole = await tus.ask("POST", "/api/uploads", b"abc", upload_length="3", upload_metadata=encode(path="w"),
                              content_type="application/offset+octet-stream")  # fmt: skip
        assert (whole.status, whole.headers.get(b"upload-offset")) == (201, b"3")
        assert (share.root / "w").read_bytes() == b"abc"
        later = await tus.create("l", None, upload_defer_length="1")
        assert (await tus.ask("HEAD", later)).headers.get(b"upload-defer-length") == b"1"
        await tus.patch(later, 0, b"abc")
        assert (await tus.patch(later, 3, b"d", upload_length="4")).status == 204
        assert (share.root / "l").read_bytes() == b"abcd"
        parts = []
        for data in (b"one", b"two"):
            made = await tus.ask("POST", "/api/uploads", upload_length="3", upload_concat="partial")
            parts.append(made.headers.get(b"location").decode())
            await tus.patch(parts[-1], 0, data)
        final = "final;" + " ".join(f"https://host{part}" for part in parts)
        done = await tus.ask(
            "POST", "/api/uploads", upload_concat=final, upload_metadata=encode(path="c")
        )
        assert done.status == 201
        assert (share.root / "c").read_bytes() == b"onetwo"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"upload_length": "-1"}, 400),
        ({"upload_length": "x"}, 400),
        ({}, 400),
        ({"upload_length": "5", "upload_metadata": "path !!!"}, 400),
        ({"upload_length": "5", "upload_metadata": encode(path="../escape")}, 400),
        ({"upload_length": "101", "upload_metadata": encode(path="large")}, 413),
        (
            {"upload_length": "5", "upload_metadata": encode(path="x"), "tus_resumable": "0.2.2"},
            412,
        ),
    ],
)
async def test_what_is_no_creation_is_refused(deploy, fields, status):
    async with deploy(max_file_size=100) as share:
        answer = await share.ask("POST", "/api/uploads", **{"tus_resumable": "1.0.0", **fields})
        assert answer.status == status


async def test_more_bytes_than_announced_are_refused(deploy):
    async with deploy() as share:
        tus = Tus(share)
        place = await tus.create(length=3)
        assert (await tus.patch(place, 0, b"0123")).status == 413
        assert await tus.offset(place) == 0


async def test_options_tell_what_is_spoken(deploy):
    async with deploy(max_file_size=100) as share:
        answer = await share.ask("OPTIONS", "/api/uploads")
        assert (answer.status, answer.headers.get(b"tus-max-size")) == (204, b"100")
        assert b"concatenation" in answer.headers.get(b"tus-extension")


async def test_an_upload_expires(deploy):
    async with deploy() as share:
        place = await Tus(share).create()
        record = next((share.root / ".quantum/uploads").glob("*.json"))
        text = json.loads(record.read_text())
        record.write_text(json.dumps({**text, "expires": "2020-01-01T00:00:00Z"}))
        assert (await Tus(share).ask("HEAD", place)).status == 404
        assert not list((share.root / ".quantum/uploads").iterdir())


async def test_the_draft_goes_on_where_it_was(deploy):
    async with deploy() as share:
        told = []
        first = await share.ask(
            "POST", "/api/uploads?path=d/a", b"01234", upload_complete="?0", upload_length="10"
        )
        assert (first.status, first.headers.get(b"upload-complete")) == (201, b"?0")
        place = first.headers.get(b"location").decode()
        head = await share.ask("HEAD", place)
        assert (head.status, head.headers.get(b"upload-offset")) == (204, b"5")
        partial = {"content_type": "application/partial-upload", "upload_complete": "?1"}
        assert (await share.ask("PATCH", place, b"5", upload_offset="3", **partial)).status == 409
        early = await share.ask("PATCH", place, b"5", upload_offset="5", **partial)
        assert early.status == 400  # said to be complete, and is not
        done = await share.ask("PATCH", place, b"6789", upload_offset="6", **partial)
        assert (done.status, json.loads(done.body)["path"]) == (201, "d/a")
        assert (share.root / "d/a").read_bytes() == b"0123456789"
        assert told == []


async def test_either_dialect_goes_on_with_an_upload_of_the_other(deploy):
    async with deploy() as share:
        tus = Tus(share)
        place = await tus.create()
        await tus.patch(place, 0, b"01234")
        partial = {"content_type": "application/partial-upload", "upload_complete": "?1"}
        assert (
            await share.ask("PATCH", place, b"56789", upload_offset="5", **partial)
        ).status == 201
        assert (share.root / "d/a").read_bytes() == b"0123456789"


async def test_who_may_not_write_may_not_upload(deploy):
    async with deploy(enable_upload=False) as share:
        answer = await share.ask("POST", "/api/uploads", tus_resumable="1.0.0", upload_length="1",
                                 upload_metadata=encode(path="a"))  # fmt: skip
        assert answer.status == 403
