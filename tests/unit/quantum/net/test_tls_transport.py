"""The TLS layer between a raw transport and a protocol that pauses."""

import asyncio
import contextlib
import ssl

import pytest

from quantum.net.tls import TlsSettings, make_server_context
from quantum.net.tls_transport import TlsLayer
from quantum.testing.certificates import make_certificates

READ = 256 * 1024


class Raw:
    """A raw transport that counts what it may still deliver."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.is_reading = True

    def write(self, data) -> None:
        self.sent += data

    def pause_reading(self) -> None:
        assert self.is_reading, "paused twice"
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_reading, "resumed twice"
        self.is_reading = True

    def is_closing(self) -> bool:
        return False


class Reader(asyncio.Protocol):
    """Pauses after every piece, as a slow handler makes its connection do."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.transport: asyncio.Transport

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.transport.pause_reading()


@pytest.fixture
def connection(tmp_path):
    chain, key, root = make_certificates(tmp_path, ["localhost"])
    raw, reader = Raw(), Reader()
    loop = asyncio.new_event_loop()
    context = make_server_context(chain, key, TlsSettings())
    layer = TlsLayer(context, raw, loop, lambda _: reader)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    trust = ssl.create_default_context(cafile=str(root))
    client = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
    for _ in range(3):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        if outgoing.pending:
            layer.receive(outgoing.read())
        incoming.write(bytes(raw.sent))
        raw.sent.clear()
    yield client, outgoing, layer, raw, reader, loop
    loop.close()


def turn(loop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_a_reader_that_pauses_is_brought_no_more_than_one_read_ahead(connection) -> None:
    client, outgoing, layer, raw, reader, loop = connection
    client.write(b"x" * 4_000_000)
    wire = memoryview(outgoing.read())
    delivered = 0
    while delivered < len(wire):
        if raw.is_reading:  # the kernel has more, always
            layer.receive(bytes(wire[delivered : delivered + READ]))
            delivered += READ
            assert delivered - len(reader.received) < 2 * READ
        reader.transport.resume_reading()
        turn(loop)
    for _ in range(READ // 16384 * 2):
        reader.transport.resume_reading()
        turn(loop)
    assert len(reader.received) == 4_000_000
