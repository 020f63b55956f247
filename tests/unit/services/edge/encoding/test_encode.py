"""Which answers are encoded, and what becomes of them."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib

import pytest
import zstandard

from quantum.errors import BodyAborted, ConfigError, HttpError
from quantum.http.body import StreamBody
from quantum.http.headers import Headers
from quantum.http.message import Response
from quantum.testing.routing import compile_routes, make_request
from services.edge.encoding.encoders import Gzip
from services.edge.encoding.memory import ENTRY_COST, LARGEST, ONCE_SEEN, EncodedBodies
from services.edge.manifest import MANIFEST

TEXT = b"what is said twice is shorter said once. " * 100
PLAIN = (b"content-type", b"text/plain")
ENCODINGS = {"gzip": {}, "zstd": {}}


def encode(**config):
    return {"handler": "encode", "encodings": ENCODINGS, **config}


class Answering:
    """A handler of another room that answers what it is told."""

    def __init__(self, status=200, fields=(PLAIN,), body=TEXT, **more):
        self.response = Response(status, Headers(list(fields)), body, **more)
        self.asked = []

    async def __call__(self, request):
        self.asked.append(request)
        return self.response


async def ask(answer, accept="gzip", method="GET", fields=(), config=None, upgrade=None):
    routes = [{"handle": [encode(**(config or {})), {"handler": "far"}]}]
    chain = compile_routes(MANIFEST.modules, routes, None, {"far": answer})
    accepted = [] if accept is None else [("Accept-Encoding", accept)]
    request = make_request(method, "/", *accepted, *fields)
    request.upgrade = upgrade
    return await chain(request)


def named(response):
    return {name.decode(): value.decode() for name, value in response.headers.fields}


async def pull(body):
    return [chunk async for chunk in body]


def decoded(encoding, data):
    if encoding == "gzip":
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [513, 40_000, 400_000])
async def test_a_body_in_memory_is_sent_encoded_with_fields_that_are_true_of_it(encoding, size):
    text = (TEXT * (size // len(TEXT) + 1))[:size]
    given = (PLAIN, (b"content-length", b"%d" % size), (b"accept-ranges", b"bytes"), (b"etag", b'"x"'),
             (b"content-digest", b"sha-256=:AAAA:"), (b"x-a", b"kept"))  # fmt: skip
    answer = Answering(fields=given, body=text)
    response = await ask(answer, encoding)
    assert decoded(encoding, response.body) == text
    assert len(response.body) < size
    assert named(response) == {
        "content-type": "text/plain", "x-a": "kept", "content-encoding": encoding,
        "vary": "Accept-Encoding", "etag": f'"x-{encoding}"',
    }  # fmt: skip
    assert answer.response.headers.fields == list(given), "a shared answer was changed"


@pytest.mark.parametrize(
    ("accept", "config", "chosen"),
    [
        ("gzip, zstd", {}, "zstd"),
        ("gzip, zstd", {"prefer": ["gzip"]}, "gzip"),
        ("gzip, zstd;q=0.9", {}, "gzip"),
        ("GZip", {}, "gzip"),
        ("br, deflate", {}, None),
        ("*", {}, None),
        ("gzip;q=0", {}, None),
        (None, {}, None),
        ("gzip", {"encodings": {}}, None),
    ],
)
async def test_client_and_configuration_choose_the_coding(accept, config, chosen):
    response = await ask(Answering(), accept, config=config)
    assert named(response).get("content-encoding") == chosen
    assert chosen is not None or response.body == TEXT


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answering(body=b"x" * 512), "too short"),
        (Answering(fields=[(b"content-type", b"image/png")]), "does not shrink"),
        (Answering(fields=[]), "of no known type"),
        (Answering(fields=[PLAIN, (b"content-encoding", b"br")]), "encoded already"),
        (Answering(fields=[PLAIN, (b"cache-control", b"max-age=1, No-Transform")]), "not to be changed"),
        (Answering(206, [PLAIN, (b"content-range", b"bytes 0-4099/9000")]), "a part"),
        (Answering(204, body=b""), "without content"),
        (Answering(abort=True), "a cut connection"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_an_answer_passes_as_it_is_that_is(answer, why):
    assert await ask(answer) is answer.response, why


async def test_a_tunnel_is_not_encoded():
    async def tunnel(stream):
        raise AssertionError

    for answer, upgrade in ((Answering(101, upgrade=tunnel), None), (Answering(), "websocket")):
        assert await ask(answer, upgrade=upgrade) is answer.response


async def test_a_request_that_forbids_it_gets_the_plain_answer():
    answer = Answering()
    assert await ask(answer, fields=[("Cache-Control", "no-transform")]) is answer.response


async def test_errors_pages_are_encoded_like_others():
    assert named(await ask(Answering(502)))["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("match", "encoded"),
    [
        ({"headers": {"Content-Type": ["text/*"]}}, True),
        ({"headers": {"Content-Type": ["image/*"]}}, False),
        ({"status_code": [4]}, False),
        ({"status_code": [2]}, True),
    ],
)
async def test_match_decides_instead_of_the_list_of_types(match, encoded):
    response = await ask(Answering(), config={"match": match})
    assert ("content-encoding" in named(response)) is encoded


async def test_an_answer_to_head_has_the_fields_of_get_and_no_length():
    fields = [PLAIN, (b"content-length", b"4100"), (b"etag", b'"x"')]
    for body in (b"", TEXT):
        response = await ask(Answering(fields=fields, body=body), method="HEAD")
        assert response.body == b""
        assert named(response)["content-encoding"] == "gzip"
        assert named(response)["etag"] == '"x-gzip"'
        assert "content-length" not in named(response)


async def test_a_weak_tag_and_a_vary_that_names_it_stay():
    fields = [PLAIN, (b"etag", b'W/"x"'), (b"vary", b"Accept-Language, accept-encoding")]
    found = named(await ask(Answering(fields=fields)))
    assert found["etag"] == 'W/"x"'
    assert found["vary"] == "Accept-Language, accept-encoding"


async def test_the_tag_that_comes_back_is_asked_for_as_it_was():
    answer = Answering(304, [(b"etag", b'"x"')], b"")
    asked = ("If-None-Match", '"a", "x-gzip", W/"y-gzip", "z-zstd"')
    response = await ask(answer, fields=[asked])
    (request,) = answer.asked
    assert request.headers.get(b"if-none-match") == b'"a", "x", W/"y-gzip", "z-zstd"'
    assert response.status == 304
    assert named(response) == {"etag": '"x"', "vary": "Accept-Encoding"}


# Bodies that come in pieces.


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_each_piece_of_a_body_without_length_goes_out_before_the_next_comes(encoding):
    source = StreamBody()
    events = [b"event: %d\n\n" % n for n in range(5)]
    response = await ask(
        Answering(fields=[(b"content-type", b"text/event-stream")], body=source), encoding
    )
    reader = zlib.decompressobj(31) if encoding == "gzip" else zstandard.ZstdDecompressor().decompressobj()  # fmt: skip
    for event in events:
        source.feed(event)
        read = b""
        while len(read) < len(event):
            read += reader.decompress(await asyncio.wait_for(anext(response.body), 20))
        assert read == event
    source.finish(Headers([(b"x-sum", b"1")]))
    rest = await pull(response.body)
    assert reader.decompress(b"".join(rest)) == b""
    assert response.body.trailers == Headers([(b"x-sum", b"1")])
    assert response.body.length is None


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_a_long_body_is_encoded_as_it_is_pulled(encoding):
    rng = random.Random(1)
    pieces = [rng.randbytes(300) * (size // 300) for size in (600, 200_000, 9_000, 300_000)]
    source = StreamBody(length=sum(map(len, pieces)))
    response = await ask(Answering(body=source), encoding)
    assert "content-length" not in named(response)
    out = b""
    for piece in pieces:
        source.feed(piece)
    source.finish()
    out = b"".join(await pull(response.body))
    assert decoded(encoding, out) == b"".join(pieces)


async def test_a_body_that_breaks_off_breaks_off_encoded():
    source = StreamBody()
    response = await ask(Answering(body=source))
    source.feed(TEXT)
    source.fail(BodyAborted("upstream gone"))
    with pytest.raises(BodyAborted):
        await pull(response.body)


async def test_closing_the_encoded_body_closes_the_one_inside():
    abandoned = []
    source = StreamBody(abandoned=lambda: abandoned.append(True))
    response = await ask(Answering(body=source))
    await response.body.aclose()
    assert abandoned == [True]
    assert await pull(response.body) == []


async def test_a_body_that_head_does_not_want_is_closed():
    abandoned = []
    source = StreamBody(length=5000, abandoned=lambda: abandoned.append(True))
    response = await ask(Answering(body=source), method="HEAD")
    assert (response.body, abandoned) == (b"", [True])


# Configuration.


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"prefer": ["br"]}, "not among"),
        ({"prefer": ["gzip", "gzip"]}, "twice"),
        ({"encodings": {"br": {}}}, "http.encoders.br"),
        ({"encodings": {"gzip": {"level": 10}}}, "level"),
        ({"encodings": {"zstd": {"level": "extreme"}}}, "level"),
        ({"minimum_length": -1}, "minimum_length"),
    ],
)
async def test_a_configuration_that_cannot_be_obeyed_is_refused(config, said):
    with pytest.raises(ConfigError, match=said) as info:
        await ask(Answering(), config=config)
    assert info.value.path.startswith("apps.http.servers.srv0.routes[0].handle[0]")


@pytest.mark.parametrize("level", range(10))
async def test_every_level_of_gzip_can_be_read(level):
    config = {"encodings": {"gzip": {"level": level}}}
    assert gzip.decompress((await ask(Answering(), config=config)).body) == TEXT


@pytest.mark.parametrize("level", ["fastest", "default", "better", "best"])
async def test_every_level_of_zstd_can_be_read_in_a_window_of_128_kib(level):
    config = {"encodings": {"zstd": {"level": level, "checksum": True}}}
    text = TEXT * 200
    body = (await ask(Answering(body=text), "zstd", config=config)).body
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 17)
    assert reader.decompressobj().decompress(body) == text
    assert zstandard.get_frame_parameters(body).has_checksum


# Bodies that come again, and those that are gathered.


class Counting:
    """An encoder that counts what it does."""

    def __init__(self, monkeypatch):
        self.times = 0
        whole = Gzip.whole

        def counted(encoder, data):
            self.times += 1
            return whole(encoder, data)

        monkeypatch.setattr(Gzip, "whole", counted)


async def test_a_body_that_came_twice_is_encoded_no_third_time(monkeypatch):
    counting = Counting(monkeypatch)
    routes = [{"handle": [encode(), {"handler": "far"}]}]
    texts = iter([TEXT, TEXT + b"2", TEXT, TEXT + b"", bytes(bytearray(TEXT)), TEXT + b"2"])

    async def far(request):
        return Response(200, Headers([PLAIN]), next(texts))

    chain = compile_routes(MANIFEST.modules, routes, None, {"far": far})
    asked = [await chain(make_request("GET", "/", ("Accept-Encoding", "gzip"))) for _ in range(6)]
    expected = [TEXT, TEXT + b"2", TEXT, TEXT, TEXT, TEXT + b"2"]
    assert [gzip.decompress(answer.body) for answer in asked] == expected
    assert counting.times == 4


async def test_a_short_stream_of_known_length_gets_a_length_again():
    source = StreamBody(length=len(TEXT))
    asking = asyncio.ensure_future(ask(Answering(body=source)))
    for start in range(0, len(TEXT), 1000):
        source.feed(TEXT[start : start + 1000])
    source.finish()
    assert gzip.decompress((await asking).body) == TEXT


@pytest.mark.parametrize("end", ["early", "late", "broken"])
async def test_a_stream_that_is_not_as_long_as_it_said_is_a_bad_answer(end):
    source = StreamBody(length=len(TEXT))
    source.feed(TEXT[:-1] if end != "late" else TEXT + b"more")
    source.fail(BodyAborted("gone")) if end == "broken" else source.finish()
    with pytest.raises(HttpError) as info:
        await ask(Answering(body=source))
    assert info.value.status == 502


async def test_who_gives_up_while_a_body_is_gathered_closes_it():
    closed = asyncio.Event()
    source = StreamBody(length=len(TEXT), abandoned=closed.set)
    asking = asyncio.ensure_future(ask(Answering(body=source)))
    while source.awaited_by is None:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert closed.is_set()


def test_what_is_kept_of_bodies_is_bounded():
    encoder = object()
    bodies = EncodedBodies(capacity=10 * (1000 + 100 + ENTRY_COST))
    for number in range(30):
        body = b"%04d" % number * 250
        for _ in range(2):
            bodies.met(encoder, body, b"e" * 100)
        assert bodies.get(encoder, bytes(bytearray(body))) == b"e" * 100
        assert bodies.get(object(), body) is None
    assert (len(bodies), bodies.cost) == (10, 10 * (1000 + 100 + ENTRY_COST))
    for _ in range(2):
        bodies.met(encoder, b"x" * (LARGEST + 1), b"e")
    assert bodies.get(encoder, b"x" * (LARGEST + 1)) is None


def test_bodies_that_come_once_push_nothing_out():
    encoder = object()
    bodies = EncodedBodies()
    for _ in range(2):
        bodies.met(encoder, b"twice", b"e")
    for number in range(ONCE_SEEN * 2):
        bodies.met(encoder, b"once %d" % number, b"e")
    assert bodies.get(encoder, b"twice") == b"e"
    assert len(bodies) == 1
