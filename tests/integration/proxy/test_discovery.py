"""Upstreams found in DNS and named by requests, against a real name server on loopback."""

import asyncio

import pytest

from quantum.errors import HttpError
from tests.integration.proxy.name_server import NameServer


@pytest.fixture
async def names():
    server = NameServer()
    await server.start()
    yield server
    server.transport.close()


def named(name):
    """Return an upstream that answers with its name."""

    async def serve(reader, writer):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name))
            await writer.drain()

    return serve


@pytest.fixture
async def dials(platform):
    return [await platform.upstream(named(name)) for name in (b"one", b"two")]


def port_of(dial):
    return dial.rpartition(":")[2]


def source(names, kind, **fields):
    resolver = {"addresses": [names.address]}
    return {"source": kind, "resolver": resolver, "dial_timeout": "300ms", **fields}


ROUND = {"selection_policy": {"policy": "round_robin"}}


async def bodies(platform, count=4, **more):
    return {bytes((await platform.ask(**more)).body) for _ in range(count)}


async def test_every_address_of_a_name_is_an_upstream(platform, names, dials):
    names.records["app.test.", "A"] = ["127.0.0.1"]
    dynamic = source(names, "a", name="app.test", port=port_of(dials[0]))
    await platform.use(dynamic_upstreams=dynamic)
    assert await bodies(platform) == {b"one"}
    assert sorted(names.asked) == [("app.test.", "A"), ("app.test.", "AAAA")]


async def test_only_the_wanted_versions_are_asked_for(platform, names, dials):
    names.records["app.test.", "A"] = ["127.0.0.1"]
    dynamic = source(names, "a", name="app.test", port=port_of(dials[0]), versions={"ipv4": True})
    await platform.use(dynamic_upstreams=dynamic)
    await platform.ask()
    assert names.asked == [("app.test.", "A")]


async def test_services_say_hosts_and_ports(platform, names, dials):
    names.records["_http._tcp.app.test.", "SRV"] = [
        f"0 1 {port_of(dial)} localhost." for dial in dials
    ]
    dynamic = source(names, "srv", service="http", proto="tcp", name="app.test")
    await platform.use(dynamic_upstreams=dynamic, load_balancing=ROUND)
    assert await bodies(platform) == {b"one", b"two"}
    assert names.asked == [("_http._tcp.app.test.", "SRV")]


@pytest.mark.parametrize("network", ["tcp4", "tcp6"])
async def test_the_hosts_of_services_are_dialled_by_the_wanted_network(
    platform, names, dials, network
):
    names.records["app.test.", "SRV"] = [f"0 1 {port_of(dials[0])} localhost."]
    await platform.use(
        dynamic_upstreams=source(names, "srv", name="app.test", dial_network=network)
    )
    if network == "tcp4":
        assert await bodies(platform) == {b"one"}
    else:  # it listens on 127.0.0.1
        with pytest.raises(HttpError) as caught:
            await platform.ask()
        assert caught.value.status == 502


async def test_an_answer_is_asked_for_again_after_its_time(platform, names, dials):
    names.records["app.test.", "SRV"] = [f"0 1 {port_of(dials[0])} localhost."]
    dynamic = source(names, "srv", name="app.test", refresh="1s")
    await platform.use(dynamic_upstreams=dynamic)
    assert await bodies(platform) == {b"one"}
    names.records["app.test.", "SRV"] = [f"0 1 {port_of(dials[1])} localhost."]
    assert await bodies(platform) == {b"one"}
    await asyncio.sleep(1.05)
    assert await bodies(platform) == {b"two"}
    assert len(names.asked) >= 2


async def test_many_requests_at_once_ask_one_question(platform, names, dials):
    names.records["app.test.", "SRV"] = [f"0 1 {port_of(dials[0])} localhost."]
    await platform.use(dynamic_upstreams=source(names, "srv", name="app.test"))
    await asyncio.gather(*(platform.ask() for _ in range(20)))
    assert len(names.asked) == 1


async def test_the_last_answer_serves_for_the_grace_period_when_the_server_is_away(
    platform, names, dials
):
    names.records["app.test.", "SRV"] = [f"0 1 {port_of(dials[0])} localhost."]
    dynamic = source(
        names, "srv", name="app.test", refresh="50ms", grace_period="600ms", dial_timeout="100ms"
    )
    await platform.use(dynamic_upstreams=dynamic)
    assert await bodies(platform, 1) == {b"one"}
    names.is_silent = True
    await asyncio.sleep(0.06)
    assert await bodies(platform, 1) == {b"one"}
    await asyncio.sleep(0.6)
    with pytest.raises(HttpError) as caught:
        await platform.ask()
    assert caught.value.status == 503


@pytest.mark.parametrize("trouble", ["unknown", "silent"])
async def test_configured_upstreams_serve_when_nothing_is_found(platform, names, dials, trouble):
    names.is_silent = trouble == "silent"
    dynamic = source(names, "srv", name="nothing.test", dial_timeout="100ms")
    await platform.use(dials[1], dynamic_upstreams=dynamic)
    assert await bodies(platform, 1) == {b"two"}


async def test_several_sources_are_one_and_one_may_fail(platform, names, dials):
    names.records["app.test.", "SRV"] = [f"0 1 {port_of(dials[0])} localhost."]
    names.records["more.test.", "A"] = ["127.0.0.1"]
    parts = [
        source(names, "srv", name="app.test"),
        source(names, "srv", name="gone.test"),
        source(names, "a", name="more.test", port=port_of(dials[1])),
    ]
    await platform.use(
        dynamic_upstreams={"source": "multi", "sources": parts}, load_balancing=ROUND
    )
    assert await bodies(platform) == {b"one", b"two"}


async def test_names_may_come_with_the_request(platform, names, dials):
    for name, dial in zip(("a", "b"), dials, strict=True):
        names.records[f"{name}.test.", "SRV"] = [f"0 1 {port_of(dial)} localhost."]
    dynamic = source(names, "srv", name="{http.request.header.X-Name}.test")
    await platform.use(dynamic_upstreams=dynamic)
    assert await bodies(platform, 1, fields=[(b"x-name", b"a")]) == {b"one"}
    assert await bodies(platform, 1, fields=[(b"x-name", b"b")]) == {b"two"}
    with pytest.raises(HttpError):
        await platform.ask(fields=[(b"x-name", b"c")])


async def test_what_is_found_is_judged_like_any_upstream(platform, names, dials):
    names.records["app.test.", "SRV"] = ["0 1 1 localhost.", f"1 1 {port_of(dials[0])} localhost."]
    await platform.use(
        dynamic_upstreams=source(names, "srv", name="app.test"),
        load_balancing={"selection_policy": {"policy": "first"}, "retries": 1},
        health_checks={"passive": {"fail_duration": "5s"}},
    )
    assert (await platform.ask()).body == b"one"
    states = [m.reason for m in platform.handler.roster.members]
    assert sum(bool(reason) for reason in states) == 1


async def test_an_address_may_come_with_the_request(platform, dials):
    await platform.use("127.0.0.1:{http.request.header.X-Port}")
    for dial, name in zip(dials, (b"one", b"two"), strict=True):
        fields = [(b"x-port", port_of(dial).encode())]
        assert await bodies(platform, 2, fields=fields) == {name}
    assert len(platform.handler.roster.members) == 2
    for nonsense in (b"", b"x", b"1-9"):
        with pytest.raises(HttpError) as caught:
            await platform.ask(fields=[(b"x-port", nonsense)])
        assert caught.value.status == 502


async def test_addresses_of_requests_do_not_pile_up(platform, dials, monkeypatch):
    from services.proxy.discovery import discovery

    monkeypatch.setattr(discovery, "MAX_MEMBERS", 3)
    await platform.use("127.0.0.{http.request.header.X-Last}:1")
    for last in range(1, 9):
        with pytest.raises(HttpError):
            await platform.ask(fields=[(b"x-last", b"%d" % last)])
    assert len(platform.handler.roster.members) == 3
    assert len(list(platform.proxy._upstreams)) == 3
