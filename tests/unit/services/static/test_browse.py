"""Lists of folders, where they are not as the real Caddy shows them anyway (tests/integration/caddy/listings.py)."""

import os
import re

import pytest

from quantum.errors import ConfigError
from services.static.browse.listing import read_folder
from services.static.browse.rendering import human_size
from tests.unit.services.static.serving import body_of, refused, request


def fields(response, name):
    return [value for key, value in response.headers.fields if key == name]


async def page(handler, path="/empty/", **more):
    response = await handler.handle(request(path=path, **more))
    return (await body_of(response)).decode()


async def test_a_folder_without_index_is_a_page_that_runs_nothing(serve, root):
    evil = '"><script>alert(1)</script>.txt'
    (root / "empty" / evil.replace("/", "∕")).write_text("x")
    handler = await serve(browse={})
    response = await handler.handle(request(path="/empty/"))
    text = (await body_of(response)).decode()
    assert response.status == 200
    assert fields(response, b"content-type") == [b"text/html; charset=utf-8"]
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    (policy,) = fields(response, b"content-security-policy")
    assert policy.startswith(b"default-src 'none'; style-src 'sha256-")


async def test_the_page_leads_up_down_and_to_other_orders(serve, root):
    (root / "empty/sub").mkdir()
    (root / "empty/b c.txt").write_text("x" * 5000)
    text = await page(await serve(browse={}))
    links = re.findall(r'href="([^"]*)"', text)
    assert links[:2] == ["../", "./"], "the crumbs"
    assert {"../", "./sub/", "./b%20c.txt", "./?sort=size&amp;order=asc"} <= set(links)
    assert "4.9 KiB" in text
    assert "1 folders, 1 files, 4.9 KiB" in text


async def test_a_long_list_is_read_page_by_page(serve, root):
    for number in range(7):
        (root / f"empty/{number}").write_text("")
    handler = await serve(browse={})
    first = await page(handler, query="limit=3")
    assert "./?limit=3&amp;offset=3" in first
    assert "Previous" not in first
    middle = await page(handler, query="limit=3&offset=3")
    assert "./?limit=3&amp;offset=0" in middle
    assert "./?limit=3&amp;offset=6" in middle


async def test_a_folder_with_index_is_that_and_no_list(serve):
    assert await page(await serve(browse={}), "/docs/") == "docs"


async def test_without_browse_a_folder_is_not_found(serve):
    assert (await refused(await serve(), path="/empty/")).status == 404


async def test_a_hidden_folder_is_not_listed_and_hidden_entries_are_not_shown(serve, root):
    (root / "empty/.git").mkdir()
    (root / "empty/seen").write_text("")
    handler = await serve(browse={}, hide=[".git"])
    assert ".git" not in await page(handler)
    assert "seen" in await page(handler)
    assert (await refused(handler, path="/empty/.git/")).status == 404


async def test_a_link_out_of_the_root_is_neither_followed_nor_measured(serve, root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x" * 1000)
    (root / "empty/way out").symlink_to(outside)
    (root / "empty/file out").symlink_to(outside / "secret")
    handler = await serve(browse={})
    assert (await refused(handler, path="/empty/way%20out/")).status == 404
    text = await page(handler)
    assert "./way%20out" in text
    assert "./way%20out/" not in text, "no folder that could be entered"
    assert "1000 B" not in text


async def test_only_reading_is_allowed(serve):
    assert (await refused(await serve(browse={}), path="/empty/", method="POST")).status == 405


async def test_a_head_of_a_list_has_its_length_and_no_body(serve):
    handler = await serve(browse={})
    whole = await page(handler)
    response = await handler.handle(request("HEAD", "/empty/"))
    assert response.body == b""
    assert fields(response, b"content-length") == [b"%d" % len(whole.encode())]


def test_a_folder_is_read_up_to_a_bound(tmp_path):
    for number in range(20):
        (tmp_path / str(number)).write_text("")
    found = read_folder(str(tmp_path), str(tmp_path), "/", is_hidden=None, most=5, reveals=False)
    assert len(found.items) == 5


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="names of any bytes")
async def test_a_name_that_is_no_text_can_be_followed(serve, root):
    (root / os.fsdecode(b"empty/\xff.txt")).write_text("bytes")
    handler = await serve(browse={})
    text = await page(handler)
    assert "./%FF.txt" in text
    assert (await page(handler, "/empty/%FF.txt")) == "bytes"


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 B"), (9, "9 B"), (10, "10 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (10_240, "10 KiB"),
     (1_048_576, "1.0 MiB"), (12_582_912, "12 MiB"), (5 * 1024**4, "5.0 TiB")],
)  # fmt: skip
def test_sizes_are_said_as_people_read_them(size, said):
    assert human_size(size) == said


@pytest.mark.parametrize(
    ("browse", "problem"),
    [({"sort": ["colour"]}, "none of name, namedirfirst"), ({"sort": ["name", "up"]}, "none of asc"),
     ({"sort": ["name", "asc", "asc"]}, "at most 2"), ({"template_file": "x"}, "not built here yet")],
)  # fmt: skip
async def test_what_cannot_be_obeyed_is_refused(serve, browse, problem):
    with pytest.raises(ConfigError, match=problem):
        await serve(browse=browse)


# etag_file_extensions


@pytest.mark.parametrize(
    ("beside", "tag"),
    [(b'"abc"\n', [b'"abc"']), (b'W/"x"', [b'W/"x"']), (b"abc", []), (b'"a"\r\nX: y', []), (b'"' + b"a" * 1000 + b'"', [])],
)  # fmt: skip
async def test_a_file_beside_has_the_entity_tag(serve, root, beside, tag):
    (root / "a b.txt.etag").write_bytes(beside)
    handler = await serve(etag_file_extensions=[".sha", ".etag"])
    response = await handler.handle(request(path="/a%20b.txt"))
    assert await body_of(response) == b"0123456789"
    assert fields(response, b"etag") == tag
    if tag:
        again = await handler.handle(request(path="/a%20b.txt", if_none_match=tag[0].decode()))
        assert again.status == 304
