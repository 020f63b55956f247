"""FastCGI with the real PHP-FPM: what scripts are told, what comes back of them, what never runs."""

import asyncio
import hashlib
import json

import pytest
import structlog

from quantum.errors import BodyAborted, HttpError
from quantum.http.body import StreamBody, read_all
from tests.integration.proxy import fpm

pytestmark = pytest.mark.skipif(fpm.program() is None, reason="no php-fpm here")
MANY = 10_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fpm")
    with fpm.running(folder) as dial:
        yield dial, str(folder / "site")


@pytest.fixture
async def php(platform, site):
    dial, root = site

    async def use(**transport):
        given = {"protocol": "fastcgi", "root": root, "split_path": [".php"], **transport}
        await platform.use(dial, transport=given, revision=f"r{len(transport)}")
        return platform

    platform.use_php = use
    await use()
    return platform


async def text(response):
    return (await read_all(response.body, MANY)).decode()


async def told(platform, method="GET", path="/index.php/x", **more):
    response = await platform.ask(method, path, **more)
    assert response.status == 200
    return json.loads(await text(response))


async def test_a_script_is_told_what_cgi_says(php, site):
    root = site[1]
    fields = [(b"x-one", b"a"), (b"x-one", b"b"), (b"proxy", b"http://evil"), (b"cookie", b"k=v")]
    server = (await told(php, path="/index.php/path%20info/y", fields=fields))["server"]
    expected = {
        "SCRIPT_FILENAME": f"{root}/index.php", "SCRIPT_NAME": "/index.php", "DOCUMENT_ROOT": root,
        "PATH_INFO": "/path info/y", "PATH_TRANSLATED": f"{root}/path info/y",
        "REQUEST_URI": "/index.php/path%20info/y", "DOCUMENT_URI": "/index.php",
        "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1",
        "REMOTE_ADDR": "203.0.113.7", "REMOTE_PORT": "5000", "SERVER_NAME": "example.com",
        "SERVER_PORT": "80", "HTTP_HOST": "example.com", "HTTP_X_ONE": "a, b", "HTTP_COOKIE": "k=v",
        "HTTP_X_FORWARDED_FOR": "203.0.113.7", "REQUEST_SCHEME": "http", "QUERY_STRING": "",
    }  # fmt: skip
    assert {name: server.get(name) for name in expected} == expected
    assert "HTTP_PROXY" not in server
    assert "HTTPS" not in server


async def test_a_query_and_own_variables_with_placeholders_arrive(php):
    await php.use_php(env={"APP_HOST": "at {http.request.host}", "SERVER_SOFTWARE": "mine"})
    answer = await told(php, query="a=1&b[]=x%20y")
    assert answer["get"] == {"a": "1", "b": ["x y"]}
    assert answer["server"]["QUERY_STRING"] == "a=1&b[]=x%20y"
    assert answer["server"]["APP_HOST"] == "at example.com"
    assert answer["server"]["SERVER_SOFTWARE"] == "mine"


async def test_a_rewritten_request_still_tells_what_was_asked_for(php):
    answer = await told(php, path="/index.php", original=("GET", "/2026/a-post/", "p=1"))
    assert answer["server"]["REQUEST_URI"] == "/2026/a-post/?p=1"
    assert answer["server"]["SCRIPT_NAME"] == "/index.php"


async def test_a_form_arrives(php):
    fields = [(b"content-type", b"application/x-www-form-urlencoded")]
    answer = await told(php, "POST", body=b"name=J%C3%B6rg&n=1", fields=fields)
    assert answer["post"] == {"name": "Jörg", "n": "1"}


async def test_a_multipart_upload_arrives_whole(php):
    content = bytes(range(256)) * 8000
    body = (
        b'--xx\r\nContent-Disposition: form-data; name="f"; filename="p.bin"\r\n\r\n' + content
        + b'\r\n--xx\r\nContent-Disposition: form-data; name="t"\r\n\r\nhi\r\n--xx--\r\n'
    )  # fmt: skip
    fields = [(b"content-type", b"multipart/form-data; boundary=xx")]
    answer = await told(php, "POST", "/index.php/upload", body=body, fields=fields)
    sha1 = hashlib.sha1(content).hexdigest()
    assert answer == {"files": {"f": ["p.bin", len(content), sha1]}, "post": {"t": "hi"}}


@pytest.mark.parametrize("length", [300_000, None])
async def test_a_streamed_body_arrives_with_and_without_a_length(php, length):
    body = StreamBody(length)

    async def feed():
        for _ in range(3):
            await asyncio.sleep(0.02)
            body.feed(b"z" * 100_000)
        body.finish()

    feeding = asyncio.ensure_future(feed())
    answer = await told(php, "POST", "/index.php/input", body=body)
    await feeding
    assert answer == [300_000, hashlib.sha1(b"z" * 300_000).hexdigest()]


async def test_cookies_redirects_and_statuses_come_back(php):
    response = await php.ask(path="/index.php/cookies", fields=[(b"cookie", b"c=3")])
    assert len(response.headers.all(b"set-cookie")) == 2
    assert json.loads(await text(response)) == {"c": "3"}
    response = await php.ask(path="/index.php/redirect")
    assert response.status == 302
    assert response.headers.get(b"location") == b"/elsewhere"
    response = await php.ask(path="/index.php/teapot")
    assert (response.status, await text(response)) == (418, "short and stout")
    response = await php.ask(path="/index.php/empty")
    assert (response.status, response.body) == (204, b"")


async def test_a_big_answer_comes_whole_and_one_to_head_has_no_body(php):
    response = await php.ask(path="/index.php/big")
    assert len(await text(response)) == 64 * 65536
    response = await php.ask("HEAD", "/index.php/big")
    assert (response.status, await text(response)) == (200, "")


async def test_what_a_script_flushes_comes_before_it_is_done(php):
    response = await php.ask(path="/index.php/slow")
    began = asyncio.get_running_loop().time()
    assert await anext(response.body) == b"first"
    assert asyncio.get_running_loop().time() - began < 1.5
    assert await text(response) == "second"


async def test_a_script_that_is_not_there_is_404(php):
    response = await php.ask(path="/nothing.php")
    assert response.status == 404


async def test_an_upload_is_never_run(php, site, tmp_path):
    """Neither through PATH_INFO nor where PHP-FPM itself would run anything."""
    with fpm.running(tmp_path, extensions="") as dial:
        (tmp_path / "site" / "evil.jpg").write_text("<?php echo 'ran';")
        transport = {
            "protocol": "fastcgi", "root": str(tmp_path / "site"), "split_path": [".php"],
        }  # fmt: skip
        await php.use(dial, transport=transport, revision="open")
        assert await text(await php.ask(path="/evil.jpg")) == "ran"  # for what routes let pass
        for path in ("/evil.jpg/.php", "/evil.jpg/x.php", "/evil.jpg/x.php/y", "/evil.jpg%2Fa.php"):
            with pytest.raises(HttpError) as caught:
                await php.ask(path=path)
            assert caught.value.status == 404
        for path in ("/../index.php", "/%2e%2e/%2e%2e/index.php/y"):
            assert (await told(php, path=path))["server"]["SCRIPT_FILENAME"].startswith(
                str(tmp_path / "site")
            )
        with pytest.raises(HttpError) as caught:
            await php.ask(path="/evil.jpg%00.php")
        assert caught.value.status == 400


async def test_a_process_that_dies_in_its_answer_is_never_taken_for_done(php):
    response = await php.ask(path="/index.php/die")
    with pytest.raises(BodyAborted):
        await text(response)


async def test_a_script_that_hangs_is_504(php):
    await php.use_php(read_timeout="200ms")
    with pytest.raises(HttpError) as caught:
        await php.ask(path="/index.php/hang")
    assert caught.value.status == 504


async def test_connections_are_kept_only_where_that_was_asked_for(php):
    async def pids(count):
        return {await text(await php.ask(path="/index.php/pid")) for _ in range(count)}

    assert len(await pids(12)) > 1
    await php.use_php(keep_alive={})
    assert len(await pids(12)) == 1


async def test_nobody_listens_on_the_socket(php, tmp_path):
    await php.use(f"unix/{tmp_path}/none", transport={"protocol": "fastcgi"}, revision="none")
    with pytest.raises(HttpError) as caught:
        await php.ask(path="/index.php")
    assert caught.value.status == 502


async def test_stderr_is_logged_when_it_is_to_be_captured(php):
    with structlog.testing.capture_logs() as quiet:
        await php.ask(path="/index.php/stderr")
    await php.use_php(capture_stderr=True)
    with structlog.testing.capture_logs() as logs:
        assert await text(await php.ask(path="/index.php/stderr")) == "said"
    said = [entry["text"] for entry in logs if entry["event"] == "fastcgi_stderr"]
    assert any("told on stderr" in text for text in said)
    assert not any(entry["event"] == "fastcgi_stderr" for entry in quiet)
