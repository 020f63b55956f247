"""Each kind of failed handshake ends with the alert that says why (RFC 8446 §6, RFC 5246 §7.2)."""

from __future__ import annotations

import asyncio
import ssl
import struct

import pytest

from services.edge.tls import handshake
from tests.integration.edge.conftest import Edge

UNEXPECTED_MESSAGE, BAD_RECORD_MAC, RECORD_OVERFLOW, HANDSHAKE_FAILURE = 10, 20, 22, 40
ILLEGAL_PARAMETER, DECODE_ERROR, PROTOCOL_VERSION, UNRECOGNIZED_NAME = 47, 50, 70, 112
MISSING_EXTENSION, NO_APPLICATION_PROTOCOL = 109, 120
ALERT, HANDSHAKE, APPLICATION = 21, 22, 23


def record(kind: int, payload: bytes, version: int = 0x0301) -> bytes:
    return struct.pack("!BHH", kind, version, len(payload)) + payload


def extension(number: int, payload: bytes) -> bytes:
    return struct.pack("!HH", number, len(payload)) + payload


def hello(
    *, name: bytes = b"localhost", suites: bytes = b"\x13\x01", version: int = 0x0303, more: bytes = b""
) -> bytes:  # fmt: skip
    """A ClientHello; ``more`` are extensions behind the name."""
    server = extension(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name) if name else b""
    extensions = server + more
    body = struct.pack("!H", version) + bytes(32) + b"\0" + struct.pack("!H", len(suites)) + suites
    body += b"\1\0" + struct.pack("!H", len(extensions)) + extensions
    return b"\1" + len(body).to_bytes(3, "big") + body


ONE_3 = extension(43, b"\2\3\4")
GROUPS = extension(10, b"\0\2\0\x1d")
SIGNATURES = extension(13, b"\0\4\4\3\x08\4")
SHARE = extension(51, b"\0\x24\0\x1d\0\x20" + bytes(31) + b"\x09")
NO_SHARE = extension(51, b"\0\0")
MODERN = ONE_3 + GROUPS + SIGNATURES + SHARE

HELLOS = {
    "TLS 1.1": (record(HANDSHAKE, hello(version=0x0302, suites=b"\xc0\x2b")), {PROTOCOL_VERSION}),
    "SSL 3": (record(HANDSHAKE, hello(version=0x0300, suites=b"\xc0\x2b")), {PROTOCOL_VERSION, HANDSHAKE_FAILURE}),
    "a version to come alone": (
        record(HANDSHAKE, hello(more=extension(43, b"\2\3\x09") + GROUPS + SIGNATURES + SHARE)), {PROTOCOL_VERSION},
    ),
    "no suite that we have, TLS 1.3": (record(HANDSHAKE, hello(suites=b"\x13\x99", more=MODERN)), {HANDSHAKE_FAILURE}),
    "no suite that we have, TLS 1.2": (
        record(HANDSHAKE, hello(suites=b"\0\x05", more=GROUPS + SIGNATURES)), {HANDSHAKE_FAILURE},
    ),
    "no group that we have": (
        record(HANDSHAKE, hello(more=ONE_3 + extension(10, b"\0\2\x99\x99") + SIGNATURES + NO_SHARE)), {HANDSHAKE_FAILURE},
    ),
    "no signature that we have": (
        record(HANDSHAKE, hello(more=ONE_3 + GROUPS + extension(13, b"\0\2\x99\x99") + SHARE)), {HANDSHAKE_FAILURE},
    ),
    "no signatures at all": (record(HANDSHAKE, hello(more=ONE_3 + GROUPS + SHARE)), {MISSING_EXTENSION}),
    "no key share extension": (record(HANDSHAKE, hello(more=ONE_3 + GROUPS + SIGNATURES)), {MISSING_EXTENSION}),
    "a key share cut short": (
        record(HANDSHAKE, hello(more=ONE_3 + GROUPS + SIGNATURES + extension(51, b"\0\x24\0\x1d\0\x20ab"))), {DECODE_ERROR},
    ),
    "a point of small order": (
        record(HANDSHAKE, hello(more=ONE_3 + GROUPS + SIGNATURES + extension(51, b"\0\x24\0\x1d\0\x20" + bytes(32)))),
        {ILLEGAL_PARAMETER, 80},
    ),
    "a name without certificate": (record(HANDSHAKE, hello(name=b"stranger.test", more=MODERN)), {UNRECOGNIZED_NAME}),
    "extensions cut short": (record(HANDSHAKE, hello(more=MODERN + b"\0\x2b\0\x99\1")), {DECODE_ERROR}),
    "an extension twice": (record(HANDSHAKE, hello(more=MODERN + GROUPS)), {ILLEGAL_PARAMETER, DECODE_ERROR}),
    "no compression method": (
        record(HANDSHAKE, hello(more=MODERN).replace(b"\x13\x01\1\0", b"\x13\x01\0\0", 1)), {DECODE_ERROR, ILLEGAL_PARAMETER},
    ),
    "another message first": (record(HANDSHAKE, b"\x0b\0\0\3\0\0\0"), {UNEXPECTED_MESSAGE}),
    "application data first": (record(APPLICATION, b"hello"), {UNEXPECTED_MESSAGE}),
    "a record of no type": (record(99, b"hello"), {UNEXPECTED_MESSAGE}),
    "a record that is too long": (record(HANDSHAKE, b"\1\0\x50\0" + bytes(20_000)), {RECORD_OVERFLOW}),
    "a hello and something of no type": (
        record(HANDSHAKE, hello(more=MODERN)) + record(99, b"hello", 0x0303), {UNEXPECTED_MESSAGE},
    ),
    "a hello and noise instead of Finished": (
        record(HANDSHAKE, hello(more=MODERN)) + record(APPLICATION, bytes(64), 0x0303), {BAD_RECORD_MAC},
    ),
}  # fmt: skip


def alerts(data: bytes) -> list[tuple[int, int]]:
    """Return the alerts in records that are not encrypted."""
    found = []
    while len(data) >= 5:
        kind, length = data[0], int.from_bytes(data[3:5], "big")
        if kind == ALERT and length == 2:
            found.append((data[5], data[6]))
        data = data[5 + length :]
    return found


@pytest.mark.parametrize(("sent", "wanted"), HELLOS.values(), ids=HELLOS.keys())
async def test_a_hello_that_fails_is_told_why(edge: Edge, sent: bytes, wanted: set[int]) -> None:
    client = await edge.connect(port=edge.tls_port)
    await client.send(sent)
    received = await client.rest()
    told = alerts(received)
    if (
        received[:1] == b"\x16"
    ):  # after our hello, alerts are encrypted: their length gives them away
        assert len(received) > 100
        return
    assert told, received[:40]
    assert told[-1][0] == 2
    assert told[-1][1] in wanted
    assert any(
        sample.value
        for metric in edge.context.metrics.collect()
        for sample in metric.samples
        if sample.name == "quantum_edge_handshakes_failed_total"
    )


async def test_an_alert_is_read_by_a_real_client(edge: Edge) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA256")
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        await asyncio.open_connection(
            "127.0.0.1", edge.tls_port, ssl=context, server_hostname="localhost"
        )


async def test_a_client_that_never_ends_its_hello_is_told_before_it_is_cut(
    edge: Edge, monkeypatch
) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.3)
    client = await edge.connect(port=edge.tls_port)
    await client.send(record(HANDSHAKE, hello())[:40])
    assert await client.rest() == record(ALERT, bytes((2, HANDSHAKE_FAILURE)), 0x0303)
