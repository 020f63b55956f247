"""One HTTP/1.1 connection to an upstream, over a transport that breaks."""

import asyncio
import socket

import pytest

from quantum.errors import BodyAborted
from quantum.http.body import read_all
from quantum.net import tls_client
from services.proxy.transports.connection import Connection, Limits
from services.proxy.transports.failure import UpstreamFailed


class Broken(asyncio.Transport):
    """Breaks at its second write, and has the loop tell it, as real ones do."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += 1
        if self.written == 2:
            error = BrokenPipeError()
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, error)

    def is_closing(self) -> bool:
        return self.written >= 2


async def send(connection: Connection, body: list[bytes]) -> None:
    for piece in body:
        await connection.write(piece)


async def test_a_body_that_never_waits_hears_of_the_loss():
    connection = Connection(asyncio.get_running_loop(), Limits(65536), lambda lost: None)
    transport = Broken(connection)
    connection.connection_made(transport)
    answer = connection.begin("POST", b"POST / HTTP/1.1\r\n\r\n", False, None, 0)
    with pytest.raises(UpstreamFailed):
        await send(connection, [b"more"] * 1000)
    assert transport.written == 2
    with pytest.raises(UpstreamFailed):
        await answer


async def test_of_what_came_before_a_reset_no_more_than_a_refusal_is_read(monkeypatch):
    monkeypatch.setattr(tls_client, "LAST_WORDS_BYTES", 100)
    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 900\r\n\r\n" + b"x" * 900)
        connection = Connection(asyncio.get_running_loop(), Limits(65536), lambda lost: None)
        transport = Broken(connection)
        transport.get_extra_info = {"socket": near}.get
        connection.connection_made(transport)
        answer = connection.begin("POST", b"POST / HTTP/1.1\r\n\r\n", False, None, 0)
        connection.connection_lost(ConnectionResetError())
        response = await answer
        assert response.status == 403
        with pytest.raises(BodyAborted):
            await read_all(response.body, 1000)
        assert len(near.recv(2000)) > 800
