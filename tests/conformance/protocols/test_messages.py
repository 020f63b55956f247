"""Messages: bodies, fields, trailers, interim responses, statuses without a body."""

import asyncio
import hashlib
import json

import pytest

from tests.conformance.protocols.clients.api import SECONDS, Client, Pieces
from tests.conformance.protocols.conftest import Stage
from tests.conformance.protocols.origin import PIECE, expected

MIB = 1024 * 1024


async def answer(call) -> tuple:
    reply = await asyncio.wait_for(call, SECONDS)
    return reply, await reply.read()


@pytest.mark.parametrize("size", [0, 1, MIB])
async def test_a_response_body_arrives_unchanged(client: Client, size: int) -> None:
    reply, body = await answer(client.request("GET", f"/bytes/{size}"))
    assert reply.status == 200
    assert reply.values(b"content-length") == [b"%d" % size]
    assert hashlib.sha256(body).hexdigest() == expected(size)


@pytest.mark.parametrize("framing", ["known", "unknown"])
@pytest.mark.parametrize("size", [0, 1, MIB])
async def test_a_request_body_arrives_unchanged(client: Client, size: int, framing: str) -> None:
    data = (PIECE * (size // len(PIECE) + 1))[:size]
    half = size // 2
    pieces = [piece for piece in (data[:half], data[half:]) if piece]
    body = data if framing == "known" else Pieces(pieces)
    _, told = await answer(client.request("POST", "/digest", body=body))
    seen = json.loads(told)
    assert (seen["length"], seen["sha256"]) == (size, hashlib.sha256(data).hexdigest())


async def test_both_directions_flow_at_once(client: Client, token: str) -> None:
    go_on = asyncio.Event()

    async def pieces():
        yield b"first"
        await asyncio.wait_for(go_on.wait(), SECONDS)
        yield b"second"

    reply = await asyncio.wait_for(
        client.request("POST", f"/echo/{token}", body=Pieces(pieces())), SECONDS
    )
    assert await asyncio.wait_for(reply.piece(), SECONDS) == b"first"
    go_on.set()
    assert await reply.read() == b"second"


async def test_request_trailers_reach_the_upstream(client: Client) -> None:
    body = Pieces([b"data"], trailers=[(b"x-sum", b"abc")])
    _, told = await answer(
        client.request("POST", "/digest", [(b"te", b"trailers"), (b"trailer", b"x-sum")], body)
    )
    seen = json.loads(told)
    assert (seen["length"], seen["trailers"]) == (4, {"x-sum": "abc"})


async def test_response_trailers_reach_the_client(client: Client) -> None:
    reply, body = await answer(client.request("GET", "/trailing", [(b"te", b"trailers")]))
    assert body == b"body"
    assert reply.trailers[b"x-sum"] == b"abc"


async def test_head_has_the_length_and_no_body(client: Client) -> None:
    reply, body = await answer(client.request("HEAD", "/bytes/1000"))
    assert (reply.status, reply.values(b"content-length"), body) == (200, [b"1000"], b"")
    assert (await answer(client.request("GET", "/bytes/1")))[1] == b"\0"  # the connection goes on


@pytest.mark.parametrize("code", [204, 304])
async def test_a_status_without_body_has_none_and_the_connection_goes_on(
    client: Client, code: int
) -> None:
    reply, body = await answer(client.request("GET", f"/status/{code}"))
    assert (reply.status, body) == (code, b"")
    assert reply.values(b"transfer-encoding") == []
    assert (await answer(client.request("GET", "/bytes/1")))[1] == b"\0"


@pytest.mark.parametrize("code", [200, 301, 404, 418, 503])
async def test_a_status_of_the_upstream_is_the_clients(client: Client, code: int) -> None:
    assert (await answer(client.request("GET", f"/status/{code}")))[0].status == code


@pytest.mark.parametrize("path", ["/hints", "/early"])
async def test_early_hints_come_before_the_answer(client: Client, path: str) -> None:
    reply, body = await answer(client.request("GET", path))
    assert (reply.status, body) == (200, b"ok")
    assert [status for status, _ in reply.informational] == [103]
    assert dict(reply.informational[0][1])[b"link"].startswith(b"</")


async def test_a_client_that_waits_for_100_gets_it_and_its_answer(client: Client) -> None:
    reply, told = await answer(
        client.request("POST", "/digest", [(b"expect", b"100-continue")], b"data")
    )
    assert 100 in [status for status, _ in reply.informational]
    assert json.loads(told)["length"] == 4


async def test_a_client_that_waits_for_100_and_is_refused_keeps_its_body(client: Client) -> None:
    body = Pieces([b"never wanted"])
    reply, _ = await answer(
        client.request("POST", "/refused", [(b"expect", b"100-continue")], body)
    )
    assert (reply.status, reply.informational, body.pulled) == (403, [], 0)


async def test_every_early_hint_arrives_in_order(client: Client) -> None:
    reply, body = await answer(client.request("GET", "/interims"))
    assert (reply.status, body) == (200, b"ok")
    told = [(status, dict(fields)[b"link"]) for status, fields in reply.informational]
    assert told == [(103, b"</0>"), (103, b"</1>"), (103, b"</2>")]


async def test_repeated_and_empty_response_fields_survive(client: Client) -> None:
    reply, _ = await answer(client.request("GET", "/fields_back"))
    assert reply.values(b"x-twice") == [b"one", b"two"]
    assert reply.values(b"x-empty") == [b""]
    assert reply.values(b"set-cookie") == [b"a=1", b"b=2"]


async def test_repeated_and_empty_request_fields_survive(client: Client) -> None:
    sent = [(b"x-twice", b"one"), (b"x-twice", b"two"), (b"x-empty", b""), (b"x-utf", "ü".encode())]
    _, told = await answer(client.request("GET", "/digest", sent))
    fields = [(n.lower(), v) for n, v in json.loads(told)["fields"]]
    assert [v for n, v in fields if n == "x-twice"] == ["one", "two"]
    assert ("x-empty", "") in fields
    assert ("x-utf", "ü".encode().decode("latin-1")) in fields


async def test_fields_of_the_hop_do_not_reach_the_upstream(client: Client, protocol: str) -> None:
    sent = [(b"x-kept", b"1"), (b"te", b"trailers")]
    if protocol.startswith("h1"):
        sent += [(b"connection", b"x-dropped"), (b"x-dropped", b"1"), (b"keep-alive", b"5")]
    _, told = await answer(client.request("GET", "/digest", sent))
    names = {n.lower() for n, _ in json.loads(told)["fields"]}
    assert "x-kept" in names
    assert not names & {"x-dropped", "keep-alive"}


async def test_crumbs_of_a_cookie_reach_the_upstream_as_one(client: Client, protocol: str) -> None:
    if protocol.startswith("h1"):
        pytest.skip("only HTTP/2 and HTTP/3 cut cookies (RFC 9113 §8.2.3, RFC 9114 §4.2.1)")
    sent = [(b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"cookie", b"c=3")]
    _, told = await answer(client.request("GET", "/digest", sent))
    assert [v for n, v in json.loads(told)["fields"] if n.lower() == "cookie"] == ["a=1; b=2; c=3"]


async def test_space_around_a_value_is_not_of_it(client: Client, protocol: str) -> None:
    if not protocol.startswith("h1"):
        pytest.skip("a value of HTTP/2 and HTTP/3 with space around it is malformed")
    _, told = await answer(client.request("GET", "/digest", [(b"x-padded", b"\t in  side \t")]))
    assert ["x-padded", "in  side"] in [[n.lower(), v] for n, v in json.loads(told)["fields"]]


async def test_one_long_field_arrives_whole_both_ways(client: Client) -> None:
    _, told = await answer(client.request("GET", "/digest", [(b"x-long", b"v" * 12_000)]))
    fields = {n.lower(): v for n, v in json.loads(told)["fields"]}
    assert fields["x-long"] == "v" * 12_000
    reply, _ = await answer(client.request("GET", "/wide/12000"))
    assert reply.values(b"x-wide") == [b"w" * 12_000]


async def test_a_head_that_is_too_large_is_431_and_others_go_on(
    client: Client, stage: Stage, protocol: str
) -> None:
    reply, _ = await answer(client.request("GET", "/digest", [(b"x-large", b"v" * 17_000)]))
    assert reply.status == 431
    other = await stage.connect(protocol)
    assert (await answer(other.request("GET", "/bytes/1")))[0].status == 200
    await other.aclose()


async def test_too_many_fields_are_431(client: Client) -> None:
    sent = [(b"x-%d" % n, b"1") for n in range(110)]
    assert (await answer(client.request("GET", "/digest", sent)))[0].status == 431


async def test_a_target_that_hides_something_is_refused(client: Client) -> None:
    reply, _ = await answer(client.request("GET", "/a%00b"))
    assert reply.status == 400


async def test_many_requests_after_and_beside_one_another(client: Client, protocol: str) -> None:
    if protocol.startswith("h1"):
        for size in range(20):
            assert len((await answer(client.request("GET", f"/bytes/{size}")))[1]) == size
        return
    answers = await asyncio.gather(
        *(answer(client.request("GET", f"/bytes/{size * 1000}")) for size in range(60))
    )
    assert [len(body) for _, body in answers] == [size * 1000 for size in range(60)]
