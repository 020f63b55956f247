"""Sessions that another process resumes: keys of tickets are shared, rotated, and bound to a policy."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.edge.conftest import Edge, making_edge
from tests.integration.edge.test_tls_policies import GET

OLD, NEW = b"o" * 32, b"n" * 32
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Edge, Edge]]:
    """Two processes, so to say, with the same certificate."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with making_edge(tmp_path / "one") as one, making_edge(tmp_path / "two") as two:
        for name in ("chain", "key", "root", "tickets"):
            setattr(two.certs, name, getattr(one.certs, name))
        yield one, two


def client(edge: Edge, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = edge.trust()
    context.minimum_version = context.maximum_version = version
    return context


async def shake(
    edge: Edge, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[bool, ssl.SSLSession]:
    """Connect and ask, perhaps with a session; whether it was resumed, and the newest one."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
    raw = await edge.connect(port=edge.tls_port)

    async def move() -> None:
        if outgoing.pending:
            await raw.send(outgoing.read())
        incoming.write(await raw.reader.read(65536))

    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            await move()
    tls.write(GET)
    while True:  # the answer comes after the tickets
        try:
            assert tls.read(65536).startswith(b"HTTP/1.1 200")
            break
        except ssl.SSLWantReadError:
            await move()
    assert tls.session is not None
    return bool(tls.session_reused), tls.session


async def refresh(*edges: Edge) -> None:
    for edge in edges:
        await edge.service._certificates._tickets.refresh()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_goes_on_in_another_process(
    pair: tuple[Edge, Edge], version: ssl.TLSVersion
) -> None:
    one, two = pair
    one.certs.tickets.append(OLD)
    await refresh(one, two)
    for edge in pair:
        await edge.serve()
    context = client(one, version)
    _, session = await shake(one, context)
    assert (await shake(two, context, session))[0]


@pytest.mark.parametrize("version", VERSIONS)
async def test_rotation_breaks_no_session_until_its_key_is_gone(
    pair: tuple[Edge, Edge], version: ssl.TLSVersion
) -> None:
    one, two = pair
    one.certs.tickets.append(OLD)
    for edge in pair:
        await edge.serve()
    context = client(one, version)
    await shake(one, context)  # a context that is in use when its keys come
    await shake(two, context)
    await refresh(one, two)
    _, session = await shake(one, context)
    one.certs.tickets.insert(0, NEW)
    await refresh(two)
    resumed, newer = await shake(two, context, session)
    assert resumed
    assert not (await shake(one, context, newer))[0]  # it does not know the new key yet
    await refresh(one)
    assert (await shake(one, context, newer))[0]
    one.certs.tickets.remove(OLD)
    await refresh(two)
    assert not (await shake(two, context, session))[0]


async def test_a_ticket_of_one_policy_opens_under_no_other(pair: tuple[Edge, Edge]) -> None:
    one, two = pair
    one.certs.tickets.append(OLD)
    await refresh(one, two)
    await one.serve()
    await two.serve(tls_connection_policies=[{"alpn": ["http/1.1"]}])
    context = client(one, ssl.TLSVersion.TLSv1_3)
    _, session = await shake(one, context)
    assert not (await shake(two, context, session))[0]


async def test_without_the_certs_room_sessions_resume_where_they_began(
    pair: tuple[Edge, Edge],
) -> None:
    one, two = pair
    for edge in pair:
        await edge.serve()
    context = client(one, ssl.TLSVersion.TLSv1_3)
    _, session = await shake(one, context)
    assert (await shake(one, context, session))[0]
    assert not (await shake(two, context, session))[0]
