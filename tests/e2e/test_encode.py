"""Answers of every room are compressed, in every version of HTTP, in each topology."""

import gzip
import json
import zlib
from dataclasses import dataclass

import pycurl
import pytest
import zstandard

from tests.e2e.conftest import Platform

VERSIONS = {
    "h1": pycurl.CURL_HTTP_VERSION_1_1,
    "h2": pycurl.CURL_HTTP_VERSION_2_0,
    "h3": 31,  # CURL_HTTP_VERSION_3ONLY
}
SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What came, as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> bytes:
        """The body, decoded by what the fields say."""
        encoding = self.headers.get("content-encoding")
        if encoding == "gzip":
            return gzip.decompress(self.body)
        if encoding == "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(self.body)
        return self.body


@pytest.fixture(params=list(VERSIONS))
def ask(platform: Platform, request: pytest.FixtureRequest):
    version = request.param
    if platform.topology == "compose" and version == "h3":
        pytest.skip("the UDP port is not published")

    def get(path: str, accept: str) -> Answer:
        body, lines = bytearray(), []
        handle = pycurl.Curl()
        port = platform.secure.port
        handle.setopt(pycurl.URL, f"https://localhost:{port}{path}")
        handle.setopt(pycurl.RESOLVE, [f"localhost:{port}:127.0.0.1"])
        handle.setopt(pycurl.HTTP_VERSION, VERSIONS[version])
        handle.setopt(pycurl.SSL_VERIFYPEER, 0)
        handle.setopt(pycurl.TIMEOUT, SECONDS)
        handle.setopt(pycurl.HTTPHEADER, [f"Accept-Encoding: {accept}"])
        handle.setopt(pycurl.WRITEFUNCTION, body.extend)
        handle.setopt(pycurl.HEADERFUNCTION, lines.append)
        handle.perform()
        pairs = [line.decode().strip().partition(": ")[::2] for line in lines if b": " in line]
        headers = {name.lower(): value for name, value in pairs}
        return Answer(handle.getinfo(pycurl.RESPONSE_CODE), headers, bytes(body))

    return get


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_file_comes_compressed_whether_small_or_long(ask, encoding: str) -> None:
    page = b"<p>the same again</p>" * 200
    for _ in range(3):  # what comes again comes from memory
        answer = ask("/page.html", encoding)
        assert (answer.status, answer.content) == (200, page)
        assert answer.headers["content-encoding"] == encoding
        assert answer.headers["etag"].endswith(f'-{encoding}"')
        assert int(answer.headers["content-length"]) == len(answer.body) < len(page)
    book = ask("/book.txt", encoding)
    assert book.headers["content-encoding"] == encoding
    assert book.content == b"one line of very many\n" * 100_000
    assert len(book.body) < 100_000


def test_an_upstreams_answer_comes_compressed(ask) -> None:
    answer = ask("/app/things?of=it", "gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(answer.content)["target"] == "/things?of=it"


def test_a_file_that_was_compressed_before_comes_as_it_is(ask) -> None:
    answer = ask("/packed.html", "br, gzip")
    assert (answer.headers["content-encoding"], answer.body) == ("br", b"brotli")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_an_event_comes_before_the_next_one_happens(platform: Platform) -> None:
    connection = platform.secure.connect()
    connection.request(
        "GET", "/app/events", headers={"Host": "localhost", "Accept-Encoding": "gzip"}
    )
    response = connection.getresponse()
    reader = zlib.decompressobj(31)
    told = b""
    while not told.endswith(b"\n\n"):
        told += reader.decompress(response.read1())
    assert (response.headers["content-encoding"], told) == ("gzip", b"data: first\n\n")
    for upstream in platform.upstreams:
        upstream.get("/go-on")
    assert reader.decompress(response.read()) == b"data: second\n\n"
    assert reader.eof
    connection.close()


def test_who_takes_no_coding_gets_none(ask) -> None:
    answer = ask("/page.html", "identity")
    assert "content-encoding" not in answer.headers
    assert answer.body == b"<p>the same again</p>" * 200
    assert answer.headers["vary"] == "Accept-Encoding"
