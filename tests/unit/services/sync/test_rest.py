import asyncio
import base64
import hashlib
import json

import pytest

from quantum.errors import BodyAborted
from quantum.http.body import StreamBody

from .conftest import make_request, read


def sha(data):
    return hashlib.sha256(data).hexdigest()


async def put(share, path, data, **fields):
    return await share.ask("PUT", f"/api/files/{path}", data, **fields)


async def test_a_content_that_was_put_is_listed_and_fetched(deploy):
    async with deploy() as share:
        answer = await put(share, "documents/new-file.txt", b"hello")
        metadata = json.loads(answer.body)
        assert answer.status == 201
        assert set(metadata) == {"path", "size", "hash", "modified", "is_directory"}
        assert (metadata["path"], metadata["size"]) == ("documents/new-file.txt", 5)
        assert metadata["hash"] == sha(b"hello")
        assert metadata["modified"].endswith("Z")
        assert metadata["is_directory"] is False
        listed = json.loads((await share.ask("GET", "/api/list")).body)
        assert [m["path"] for m in listed] == ["documents", "documents/new-file.txt"]
        assert listed[1] == metadata
        fetched = await share.ask("GET", "/api/files/documents/new-file.txt")
        assert await read(fetched) == b"hello"
        assert fetched.headers.get(b"etag") == f'"{sha(b"hello")}"'.encode()


async def test_a_fetched_file_cannot_run_as_a_page_of_this_origin(deploy):
    async with deploy() as share:
        await put(share, "evil.html", b"<script>alert(1)</script>")
        fetched = await share.ask("GET", "/api/files/evil.html")
        assert fetched.headers.get(b"content-security-policy").startswith(b"sandbox")
        assert fetched.headers.get(b"x-content-type-options") == b"nosniff"


async def test_a_second_put_is_an_update_and_the_same_content_is_none(deploy):
    async with deploy() as share:
        assert (await put(share, "a", b"1")).status == 201
        assert (await put(share, "a", b"2")).status == 200
        before = (share.root / "a").stat().st_ino
        assert (await put(share, "a", b"2")).status == 200
        assert (share.root / "a").stat().st_ino == before


async def test_ranges_of_a_file(deploy):
    async with deploy() as share:
        await put(share, "a.bin", b"0123456789")
        part = await share.ask("GET", "/api/files/a.bin", range="bytes=-3")
        assert (part.status, await read(part)) == (206, b"789")


async def test_head_has_no_body(deploy):
    async with deploy() as share:
        await put(share, "a.bin", b"0123456789")
        head = await share.ask("HEAD", "/api/files/a.bin")
        assert (head.body, head.headers.get(b"content-length")) == (b"", b"10")


async def test_writes_are_compare_and_swap(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        old, wrong = f'"{sha(b"1")}"', f'"{sha(b"x")}"'
        assert (await put(share, "a", b"2", if_none_match="*")).status == 412
        assert (await put(share, "a", b"2", if_match=wrong)).status == 412
        assert (await put(share, "a", b"2", if_match=old)).status == 200
        assert (await share.ask("DELETE", "/api/files/a", if_match=old)).status == 412
        assert (share.root / "a").read_bytes() == b"2"


async def test_of_two_writers_with_one_base_exactly_one_wins(deploy):
    async with deploy() as share:
        await put(share, "a", b"base")
        base = f'"{sha(b"base")}"'
        answers = await asyncio.gather(
            *(put(share, "a", b"w%d" % n, if_match=base) for n in range(8))
        )
        assert sorted(a.status for a in answers) == [200] + [412] * 7


async def test_a_digest_that_does_not_match_keeps_nothing(deploy):
    async with deploy() as share:
        right = base64.b64encode(hashlib.sha256(b"data").digest()).decode()
        bad = await put(share, "a", b"date", repr_digest=f"sha-256=:{right}:")
        assert bad.status == 400
        assert (await put(share, "a", b"data", repr_digest="md5")).status == 400
        assert not (share.root / "a").exists()
        assert (await put(share, "a", b"data", repr_digest=f"sha-256=:{right}:")).status == 201
        assert list((share.root / ".quantum/incoming").iterdir()) == []


async def test_delete_and_what_is_not_there(deploy):
    async with deploy() as share:
        await put(share, "d/a", b"1")
        assert (await share.ask("DELETE", "/api/files/d")).status == 409
        assert (await share.ask("DELETE", "/api/files/d/a")).status == 204
        assert (await share.ask("DELETE", "/api/files/d/a")).status == 404
        assert (await share.ask("DELETE", "/api/dirs/d")).status == 204
        assert (await share.ask("GET", "/api/files/d/a")).status == 404


async def test_move(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        await put(share, "taken", b"2")
        move = json.dumps({"from": "a", "to": "new/b"}).encode()
        answer = await share.ask("POST", "/api/move", move)
        assert (answer.status, json.loads(answer.body)["path"]) == (200, "new/b")
        assert (share.root / "new/b").read_bytes() == b"1"
        again = await share.ask("POST", "/api/move", move)
        assert again.status == 404
        onto = json.dumps({"from": "new/b", "to": "taken"}).encode()
        assert (await share.ask("POST", "/api/move", onto)).status == 409
        inside = json.dumps({"from": "new", "to": "new/deeper"}).encode()
        assert (await share.ask("POST", "/api/move", inside)).status == 409
        assert (await share.ask("POST", "/api/move", b"{}")).status == 400


async def test_a_form_brings_several_files(deploy):
    async with deploy() as share:
        form = (
            b'--B\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n'
            b'--B\r\nContent-Disposition: form-data; name="files"; filename="one.txt"\r\n\r\nfirst\r\n'
            b'--B\r\nContent-Disposition: form-data; name="files"; filename="CON"\r\n\r\nno\r\n'
            b'--B\r\nContent-Disposition: form-data; name="files"; filename="two.txt"\r\n\r\n'
            + b"x" * 300_000
            + b"\r\n--B--\r\n"
        )
        body = StreamBody()
        for start in range(0, len(form), 1000):
            body.feed(form[start : start + 1000])
        body.finish()
        answer = await share.ask(
            "POST", "/api/upload?path=docs", body, content_type="multipart/form-data; boundary=B"
        )
        result = json.loads(answer.body)
        assert answer.status == 400
        assert [m["path"] for m in result["uploaded"]] == ["docs/one.txt", "docs/two.txt"]
        assert [f["path"] for f in result["failed"]] == ["docs/CON"]
        assert (share.root / "docs/one.txt").read_bytes() == b"first"
        assert (share.root / "docs/two.txt").stat().st_size == 300_000


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"x", "text/plain"),
        (b"x", "multipart/form-data; boundary=B"),
        (b"--B\r\nnope", "multipart/form-data; boundary=B"),
    ],
)
async def test_a_broken_form_is_refused(deploy, body, kind):
    async with deploy() as share:
        assert (await share.ask("POST", "/api/upload", body, content_type=kind)).status == 400


async def test_without_enable_upload_every_write_is_forbidden(deploy):
    async with deploy(enable_upload=False) as share:
        for method, target in [
            ("PUT", "/api/files/a"), ("DELETE", "/api/files/a"), ("POST", "/api/upload"),
            ("POST", "/api/move"), ("PUT", "/api/dirs/a"),
        ]:  # fmt: skip
            assert (await share.ask(method, target, b"x")).status == 403
        assert (await share.ask("GET", "/api/list")).status == 200


async def test_pages_of_other_origins_may_not_write(deploy):
    async with deploy(allowed_origins=["https://friend.example"]) as share:
        assert (await put(share, "a", b"1", origin="https://evil.example")).status == 403
        assert (await put(share, "a", b"1", origin="null")).status == 403
        assert (await put(share, "a", b"1", sec_fetch_site="cross-site")).status == 403
        assert (await put(share, "a", b"1", origin="http://localhost:8080")).status == 201
        assert (await put(share, "b", b"1", origin="https://friend.example")).status == 201


async def test_a_page_of_an_allowed_origin_is_let_read_and_asks_first(deploy):
    async with deploy(allowed_origins=["https://friend.example"]) as share:
        asked = {
            "access_control_request_method": "PUT",
            "access_control_request_headers": "if-match",
        }
        first = await share.ask("OPTIONS", "/api/files/a", origin="https://friend.example", **asked)
        assert first.status == 204
        assert first.headers.get(b"access-control-allow-origin") == b"https://friend.example"
        assert first.headers.get(b"access-control-allow-methods") == b"PUT"
        assert first.headers.get(b"access-control-allow-headers") == b"if-match"
        missing = await share.ask("GET", "/api/files/none", origin="https://friend.example")
        assert missing.status == 404
        assert missing.headers.get(b"access-control-allow-origin") == b"https://friend.example"
        assert b"ETag" in missing.headers.get(b"access-control-expose-headers")
        for origin in ("https://evil.example", "null"):
            answer = await share.ask("OPTIONS", "/api/files/a", origin=origin, **asked)
            assert answer.status == 405
            assert answer.headers.get(b"access-control-allow-origin") is None


@pytest.mark.parametrize(
    "path",
    [
        "../escape", "a/../../escape", "%2e%2e/escape", "..%2fescape", "%00", "a%00b", "//etc/passwd",
        "CON", "aux.txt", "a:b", "X~1", "a%5cb", ".quantum/incoming/x", "a/.QUANTUM/x", "trailing.",
        "n" * 256, "d/" * 600 + "x", "%ff",
    ],
)  # fmt: skip
async def test_names_that_a_share_cannot_have_are_refused_with_a_reason(deploy, path):
    async with deploy() as share:
        answer = await put(share, path, b"x")
        assert answer.status == 400
        assert json.loads(answer.body)["error"]
        assert [p.name for p in share.root.iterdir()] == [".quantum"]


async def test_names_are_one_whatever_their_unicode_form(deploy):
    async with deploy() as share:
        assert (await put(share, "cafe%CC%81", b"1")).status == 201
        assert (await put(share, "caf%C3%A9", b"1")).status == 200
        assert len(json.loads((await share.ask("GET", "/api/list")).body)) == 1


async def test_names_that_differ_by_case_alone_are_refused(deploy):
    async with deploy() as share:
        await put(share, "Docs/a", b"1")
        assert (await put(share, "docs/b", b"1")).status == 409
        assert (await put(share, "Docs/A", b"1")).status == 409


async def test_links_are_neither_listed_nor_followed(deploy, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    async with deploy() as share:
        (share.root / "link").symlink_to(tmp_path / "outside")
        (share.root / "file").symlink_to(tmp_path / "outside/secret")
        assert json.loads((await share.ask("GET", "/api/list")).body) == []
        assert (await share.ask("GET", "/api/files/link/secret")).status == 404
        assert (await share.ask("GET", "/api/files/file")).status == 404
        assert (await put(share, "link/new", b"x")).status == 409
        assert (await share.ask("DELETE", "/api/files/link/secret")).status == 404
        await put(share, "file", b"mine")
        assert (tmp_path / "outside/secret").read_text() == "secret"


async def test_a_list_comes_in_pages(deploy):
    async with deploy() as share:
        for name in ("b/2", "b/1", "a", "b.txt", "c"):
            await put(share, name, b"x")
        whole = [m["path"] for m in json.loads((await share.ask("GET", "/api/list")).body)]
        paths, target = [], "/api/list?limit=2"
        while target:
            answer = await share.ask("GET", target)
            paths += [m["path"] for m in json.loads(answer.body)]
            link = answer.headers.get(b"link")
            target = None if link is None else "/api/list" + link.decode().partition(">")[0][1:]
        assert paths == whole
        flat = await share.ask("GET", "/api/list?recursive=false")
        assert [m["path"] for m in json.loads(flat.body)] == ["a", "b", "b.txt", "c"]
        below = await share.ask("GET", "/api/list?path=/b")
        assert [m["path"] for m in json.loads(below.body)] == ["b/1", "b/2"]
        assert (await share.ask("GET", "/api/list?path=nothing")).status == 404
        assert (await share.ask("GET", "/api/list?limit=0")).status == 400


async def test_a_content_that_is_too_large_leaves_nothing(deploy):
    async with deploy(max_file_size=1000) as share:
        body = StreamBody()
        body.feed(b"x" * 2000)
        assert (await put(share, "a", body)).status == 413
        assert (await put(share, "a", StreamBody(2000))).status == 413
        assert not (share.root / "a").exists()
        assert list((share.root / ".quantum/incoming").iterdir()) == []


async def test_an_upload_that_breaks_off_leaves_nothing(deploy):
    async with deploy() as share:
        body = StreamBody()
        body.feed(b"x" * 400_000)
        body.fail(BodyAborted("the client went away"))
        with pytest.raises(BodyAborted):
            await put(share, "a", body)
        assert json.loads((await share.ask("GET", "/api/list")).body) == []
        assert list((share.root / ".quantum/incoming").iterdir()) == []


async def test_an_upload_is_invisible_until_it_is_complete(deploy):
    async with deploy() as share:
        body = StreamBody()
        body.feed(b"x" * 400_000)
        uploading = asyncio.get_running_loop().create_task(
            share.handler.handle(make_request("PUT", "/api/files/a", body))
        )
        await asyncio.sleep(0.05)
        assert json.loads((await share.ask("GET", "/api/list")).body) == []
        body.finish()
        assert (await uploading).status == 201


async def test_unknown_resources_and_methods(deploy):
    async with deploy() as share:
        assert (await share.ask("GET", "/api/nothing")).status == 404
        assert (await share.ask("GET", "/api")).status == 404
        answer = await share.ask("POST", "/api/list")
        assert (answer.status, answer.headers.get(b"allow")) == (405, b"GET, HEAD")


async def test_the_page_and_its_parts_are_served_under_a_strict_policy(deploy):
    async with deploy() as share:
        for path, kind in {
            "/": b"text/html",
            "/app/main.js": b"text/javascript",
            "/quantum-sync.js": b"text/javascript",
            "/style/page.css": b"text/css",
        }.items():
            answer = await share.ask("GET", path)
            assert answer.headers.get(b"content-type").startswith(kind)
            assert b"default-src 'none'" in answer.headers.get(b"content-security-policy")
            etag = answer.headers.get(b"etag").decode()
            assert (await share.ask("GET", path, if_none_match=etag)).status == 304


async def test_status_tells_the_state(deploy):
    async with deploy() as share:
        await put(share, "a", b"1")
        facts = json.loads((await share.ask("GET", "/api/status")).body)
        assert (facts["enable_upload"], facts["writable"], facts["indexed"]) == (True, True, 1)
