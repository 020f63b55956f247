"""An ACME authority that asks a TLS port by ``acme-tls/1``: a proof or an alert, never a request (RFC 8737)."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from typing import Any

import pytest

from quantum.bus.subjects import CHALLENGES, ChallengeOpened
from services.certs.acme_server.validation import _proves
from tests.integration.edge.conftest import SECONDS, Edge

REFUSED = r"(?i)no.application.protocol"


async def ask(edge: Edge, name: str | None, *protocols: str) -> tuple[bytes, str | None, bytes]:
    """Return the certificate, the protocol agreed on, and all that the connection brings until it ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols or ("acme-tls/1",)))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", edge.tls_port, ssl=context, server_hostname=name or ""
    )
    tls = writer.get_extra_info("ssl_object")
    der, protocol = tls.getpeercert(binary_form=True), tls.selected_alpn_protocol()
    writer.write(b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
    try:
        rest = await asyncio.wait_for(reader.read(), SECONDS)
    except ConnectionError:
        rest = b""
    writer.transport.abort()
    return der, protocol, rest


async def open_challenge(edge: Edge, name: str = "site.test", **fields: Any) -> None:
    """Open one; its key is the name with dashes."""
    now = edge.context.clock.now()
    fields = {"kind": "tls-alpn-01", "until": now + timedelta(hours=1), **fields}
    bucket = await edge.context.bus.bucket(CHALLENGES)
    key = name.replace(".", "-")
    await bucket.put(key, ChallengeOpened(token=key, key_authorization="t.p", name=name, **fields))


async def heard(edge: Edge, name: str, *, is_open: bool = True) -> None:
    """Wait for what the bus told."""
    async with asyncio.timeout(20):
        while (edge.service._challenges.context(name) is not None) is not is_open:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "policy", [{}, {"client_authentication": {"mode": "require"}}, {"match": {"sni": ["other.test"]}, "drop": True},
               {"protocol_min": "tls1.3", "alpn": ["h2"]}],
    ids=["plain", "client certificates", "no policy fits", "strict"],
)  # fmt: skip
async def test_an_open_challenge_is_proven_whatever_the_policies_say(
    edge: Edge, policy: dict[str, Any]
) -> None:
    await edge.serve(tls_connection_policies=[policy])
    await open_challenge(edge)
    await heard(edge, "site.test")
    der, protocol, rest = await ask(edge, "Site.test")
    assert (protocol, rest) == ("acme-tls/1", b"")
    assert _proves(der, "site.test", "t.p")
    async with asyncio.timeout(20):
        while any(e.open_connections for e in edge.service.entrypoints.values()):
            await asyncio.sleep(0.01)


async def test_without_an_open_challenge_there_is_an_alert(edge: Edge) -> None:
    await edge.serve()
    with pytest.raises(ssl.SSLError, match=REFUSED):
        await ask(edge, "localhost")  # which has a certificate, for others
    await open_challenge(edge)
    await heard(edge, "site.test")
    for name in ("other.test", "localhost", None):
        with pytest.raises(ssl.SSLError, match=REFUSED):
            await ask(edge, name)
    bucket = await edge.context.bus.bucket(CHALLENGES)
    await bucket.delete("site-test")
    await heard(edge, "site.test", is_open=False)
    with pytest.raises(ssl.SSLError, match=REFUSED):
        await ask(edge, "site.test")
    failed = "quantum_edge_handshakes_failed_total"
    count = edge.context.metrics.get_sample_value(failed, {"reason": "no_challenge"})
    assert count == 5


async def test_a_challenge_that_nobody_closes_ends_by_itself(edge: Edge) -> None:
    await edge.serve()
    await open_challenge(edge)
    await heard(edge, "site.test")
    await edge.context.clock.advance(3601)
    with pytest.raises(ssl.SSLError, match=REFUSED):
        await ask(edge, "site.test")


async def test_a_challenge_by_http_is_not_shown_over_tls(edge: Edge) -> None:
    await edge.serve()
    await open_challenge(edge, kind="http-01")
    await open_challenge(edge, "last.test", until=None)
    await heard(edge, "last.test")
    with pytest.raises(ssl.SSLError, match=REFUSED):
        await ask(edge, "site.test")


async def test_who_offers_other_protocols_too_is_no_authority(edge: Edge) -> None:
    await edge.serve()
    await open_challenge(edge, "localhost")
    await heard(edge, "localhost")
    der, protocol, rest = await ask(edge, "localhost", "acme-tls/1", "http/1.1")
    assert protocol == "http/1.1"
    assert rest.startswith(b"HTTP/1.1 200")
    assert not _proves(der, "localhost", "t.p")
