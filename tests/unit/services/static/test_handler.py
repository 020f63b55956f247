import os
from pathlib import Path

import pytest

from tests.unit.services.static.serving import body_of, refused, request


async def test_a_file_comes_with_type_validators_and_length(serve, root):
    handler = await serve()
    os.utime(root / "a b.txt", ns=(0, 1_700_000_000_123_456_789))
    response = await handler.handle(request(path="/a%20b.txt"))
    assert response.status == 200
    assert await body_of(response) == b"0123456789"
    assert response.headers.get(b"content-type") == b"text/plain; charset=utf-8"
    assert response.headers.get(b"last-modified") == b"Tue, 14 Nov 2023 22:13:20 GMT"
    number, size = response.headers.get(b"etag").strip(b'"').split(b"-")
    assert (int(number, 36), int(size, 36)) == (1_700_000_000_123_456_789, 10)


async def test_an_unknown_extension_has_no_content_type(serve):
    response = await (await serve()).handle(request(path="/data.unknown"))
    assert response.headers.get(b"content-type") is None


async def test_a_directory_answers_with_its_index(serve):
    handler = await serve()
    assert await body_of(await handler.handle(request(path="/docs/"))) == b"docs"


async def test_a_directory_without_slash_is_redirected_with_its_query(serve):
    response = await (await serve()).handle(request(path="/docs", query="a=1"))
    assert (response.status, response.headers.get(b"location")) == (308, b"/docs/?a=1")


async def test_a_file_with_slash_is_redirected_to_the_file(serve):
    response = await (await serve()).handle(request(path="/index.html/"))
    assert (response.status, response.headers.get(b"location")) == (308, b"/index.html")


async def test_a_redirect_never_leads_to_another_host(serve):
    for path in ("//docs", "/\\docs/../docs"):
        response = await (await serve()).handle(request(path=path))
        if response.status == 308:
            assert not response.headers.get(b"location").startswith((b"//", b"/\\"))


async def test_canonical_redirects_can_be_switched_off(serve):
    handler = await serve(canonical_uris=False)
    assert await body_of(await handler.handle(request(path="/docs"))) == b"docs"


async def test_a_path_that_was_rewritten_on_purpose_is_not_redirected(serve):
    handler = await serve()
    for _ in range(2):  # from disk, then from memory
        rewritten = request(path="/else")
        rewritten.keep_original()
        rewritten.path = "/docs/"
        assert (await handler.handle(rewritten)).status == 200


async def test_a_stripped_prefix_still_gets_its_slash(serve):
    handler = await serve()
    stripped = request(path="/sub/docs")
    stripped.keep_original()
    stripped.path = "/docs"
    assert (await handler.handle(stripped)).headers.get(b"location") == b"/sub/docs/"


async def test_what_is_not_there_is_404(serve):
    handler = await serve()
    for path in ("/nothing", "/empty/", "/index.html/x", "/" + "n" * 5000):
        assert (await refused(handler, path=path)).status == 404


async def test_other_methods_are_405_with_allow(serve):
    error = await refused(await serve(), method="POST", path="/index.html")
    assert (error.status, error.headers) == (405, ((b"allow", b"GET, HEAD"),))


async def test_other_methods_on_what_is_not_there_are_404(serve):
    assert (await refused(await serve(), method="POST", path="/nothing")).status == 404


async def test_an_error_page_answers_any_method(serve):
    handler = await serve(status_code=404)
    failed = request(method="POST", path="/index.html")
    failed.vars["http.error.status_code"] = 404
    for _ in range(2):
        response = await handler.handle(failed)
        assert (response.status, await body_of(response)) == (404, b"<h1>home</h1>")


async def test_head_has_the_length_and_no_body(serve):
    handler = await serve()
    for _ in range(2):
        response = await handler.handle(request(method="HEAD", path="/index.html"))
        assert response.headers.get(b"content-length") == b"13"
        assert response.body == b""


async def test_a_kept_file_is_shared_and_never_stale(serve, root):
    handler = await serve()
    first = await handler.handle(request(path="/index.html"))
    assert await handler.handle(request(path="/index.html")) is first
    (root / "index.html").write_text("<h1>new!</h1>")  # same length
    assert await body_of(await handler.handle(request(path="/index.html"))) == b"<h1>new!</h1>"
    (root / "index.html").unlink()
    assert (await refused(handler, path="/index.html")).status == 404


async def test_ranges_and_conditions_work_from_disk_and_from_memory(serve):
    handler = await serve()
    for _ in range(2):
        part = await handler.handle(request(path="/a%20b.txt", range="bytes=2-4"))
        assert (part.status, await body_of(part)) == (206, b"234")
        assert part.headers.get(b"content-range") == b"bytes 2-4/10"
        whole = await handler.handle(request(path="/a%20b.txt"))
        etag = whole.headers.get(b"etag").decode()
        same = await handler.handle(request(path="/a%20b.txt", if_none_match=etag))
        assert (same.status, await body_of(same)) == (304, b"")
        assert (await handler.handle(request(path="/a%20b.txt", range="bytes=10-"))).status == 416


async def test_several_ranges_are_a_multipart_body(serve):
    handler = await serve()
    for _ in range(2):
        response = await handler.handle(request(path="/a%20b.txt", range="bytes=0-1,-2"))
        body = await body_of(response)
        assert response.headers.get(b"content-type").startswith(b"multipart/byteranges; boundary=")
        assert b"Content-Range: bytes 0-1/10\r\n\r\n01\r\n--" in body
        assert b"Content-Range: bytes 8-9/10\r\n\r\n89\r\n--" in body
        assert len(body) == int(response.headers.get(b"content-length"))


async def test_a_link_inside_the_root_is_followed_and_one_out_of_it_is_not(serve, root):
    handler = await serve()
    (root / "inside.html").symlink_to(root / "index.html")
    (root / "outside.txt").symlink_to(root.parent / "secret.txt")
    (root / "up").symlink_to(root.parent)
    assert (await handler.handle(request(path="/inside.html"))).status == 200
    for path in ("/outside.txt", "/up/secret.txt"):
        assert (await refused(handler, path=path)).status == 404


async def test_a_link_that_is_turned_outwards_after_it_was_kept_serves_nothing(serve, root):
    handler = await serve()
    link = root / "link"
    link.symlink_to("index.html")
    await handler.handle(request(path="/link"))
    link.unlink()
    link.symlink_to(root.parent / "secret.txt")
    assert (await refused(handler, path="/link")).status == 404


async def test_a_root_that_is_a_link_serves_what_it_points_to(serve, root, tmp_path):
    (tmp_path / "current").symlink_to(root)
    handler = await serve(root=str(tmp_path / "current"))
    assert (await handler.handle(request(path="/index.html"))).status == 200


async def test_pipes_and_devices_are_no_files(serve, root):
    os.mkfifo(root / "pipe")
    assert (await refused(await serve(), path="/pipe")).status == 404


@pytest.mark.parametrize(
    "pattern", ["docs", "d?cs", "do*", "{root}/docs", "{root}/do[a-d]s/index.html"]
)
async def test_hidden_files_are_404(serve, root, pattern):
    handler = await serve(hide=[pattern.replace("{root}", str(root))])
    assert (await refused(handler, path="/docs/index.html")).status == 404
    assert (await refused(handler, path="/docs/")).status == 404
    assert (await handler.handle(request(path="/index.html"))).status == 200


async def test_a_large_file_is_pulled_in_pieces(serve, root):
    content = os.urandom(1_000_000)
    (root / "large.bin").write_bytes(content)
    response = await (await serve()).handle(request(path="/large.bin"))
    assert not isinstance(response.body, bytes)
    assert response.body.length == len(content)
    assert await body_of(response) == content


async def test_the_root_may_come_from_a_variable(serve, root):
    handler = await serve(root="")
    asked = request(path="/index.html")
    asked.vars["root"] = str(root)
    assert (await handler.handle(asked)).status == 200


async def test_no_descriptor_stays_open(serve, root):
    (root / "large.bin").write_bytes(b"x" * 1_000_000)
    handler = await serve()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for fields in ({}, {"range": "bytes=9999999-"}, {"if_none_match": "*"}, {"range": "bytes=1-2"}):
        response = await handler.handle(request(path="/large.bin", **fields))
        if not isinstance(response.body, bytes):
            await response.body.aclose()
    await handler.handle(request(method="HEAD", path="/large.bin"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# Files that are compressed already.


@pytest.fixture
def sidecars(root):
    (root / "app.js").write_text("console.log('plain')")
    (root / "app.js.gz").write_bytes(b"gz")
    (root / "app.js.br").write_bytes(b"brot")
    (root / "only.txt").write_text("plain")
    return {"gzip": {}, "br": {}, "zstd": {}}


@pytest.mark.parametrize(
    ("accept", "order", "encoding", "body"),
    [
        ("gzip, br", [], "gzip", b"gz"),
        ("gzip, br", ["br", "gzip"], "br", b"brot"),
        ("gzip;q=0.5, br", ["gzip"], "br", b"brot"),
        ("zstd, gzip", [], "gzip", b"gz"),
        ("zstd", [], None, b"console.log('plain')"),
        ("gzip;q=0", [], None, b"console.log('plain')"),
        ("", [], None, b"console.log('plain')"),
    ],
)
async def test_the_best_compressed_file_that_there_is_stands_in(
    serve, sidecars, accept, order, encoding, body
):
    handler = await serve(precompressed=sidecars, precompressed_order=order)
    for _ in range(2):  # from disk, and from memory where it may
        response = await handler.handle(request(path="/app.js", accept_encoding=accept))
        headers = response.headers
        assert await body_of(response) == body
        assert headers.get(b"content-encoding") == (encoding.encode() if encoding else None)
        assert headers.get(b"content-length") == str(len(body)).encode()
        assert headers.get(b"content-type") == b"text/javascript; charset=utf-8"
        assert headers.all(b"vary") == [b"Accept-Encoding"]


async def test_a_compressed_file_has_its_own_tag_and_the_date_of_the_file(serve, sidecars, root):
    os.utime(root / "app.js", (1_700_000_000, 1_700_000_000))
    handler = await serve(precompressed=sidecars)
    plain = await handler.handle(request(path="/app.js"))
    packed = await handler.handle(request(path="/app.js", accept_encoding="gzip"))
    assert packed.headers.get(b"last-modified") == plain.headers.get(b"last-modified")
    tag = packed.headers.get(b"etag").decode()
    assert tag.encode() != plain.headers.get(b"etag")
    asked = {"accept_encoding": "gzip", "if_none_match": tag}
    assert (await handler.handle(request(path="/app.js", **asked))).status == 304
    assert (await handler.handle(request(path="/app.js", if_none_match=tag))).status == 200


async def test_a_part_of_a_compressed_file_is_a_part_of_its_bytes(serve, sidecars):
    handler = await serve(precompressed=sidecars)
    asked = {"accept_encoding": "br", "range": "bytes=1-2"}
    response = await handler.handle(request(path="/app.js", **asked))
    assert (response.status, await body_of(response)) == (206, b"ro")
    assert response.headers.get(b"content-range") == b"bytes 1-2/4"
    assert response.headers.get(b"content-encoding") == b"br"


async def test_head_of_a_compressed_file_says_its_length(serve, sidecars):
    handler = await serve(precompressed=sidecars)
    response = await handler.handle(request("HEAD", "/app.js", accept_encoding="br"))
    assert response.body == b""
    assert response.headers.get(b"content-length") == b"4"


async def test_a_compressed_file_that_comes_or_goes_is_noticed_at_once(serve, sidecars, root):
    handler = await serve(precompressed=sidecars)

    async def encoding():
        response = await handler.handle(request(path="/only.txt", accept_encoding="gzip"))
        await body_of(response)
        return response.headers.get(b"content-encoding")

    assert await encoding() is None
    (root / "only.txt.gz").write_bytes(b"gz")
    assert await encoding() == b"gzip"
    (root / "only.txt.gz").unlink()
    assert await encoding() is None


async def test_a_compressed_file_needs_its_original(serve, sidecars, root):
    (root / "gone.txt.gz").write_bytes(b"gz")
    handler = await serve(precompressed=sidecars)
    assert (await refused(handler, path="/gone.txt", accept_encoding="gzip")).status == 404


async def test_what_hide_hides_may_still_stand_in(serve, sidecars):
    handler = await serve(precompressed=sidecars, hide=["*.gz"])
    assert (await refused(handler, path="/app.js.gz")).status == 404
    response = await handler.handle(request(path="/app.js", accept_encoding="gzip"))
    assert await body_of(response) == b"gz"


@pytest.mark.parametrize("what", ["directory", "link out of the root", "link to itself"])
async def test_what_is_no_file_of_the_root_does_not_stand_in(serve, sidecars, root, what):
    name = root / "only.txt.gz"
    if what == "directory":
        name.mkdir()
    else:
        name.symlink_to("only.txt.gz" if what == "link to itself" else "../secret.txt")
    handler = await serve(precompressed=sidecars)
    response = await handler.handle(request(path="/only.txt", accept_encoding="gzip"))
    assert await body_of(response) == b"plain"


async def test_an_error_page_may_be_compressed_already(serve, sidecars):
    handler = await serve(precompressed=sidecars, status_code=404)
    response = await handler.handle(request(path="/app.js", accept_encoding="br"))
    assert (response.status, await body_of(response)) == (404, b"brot")
    assert response.headers.get(b"content-encoding") == b"br"
