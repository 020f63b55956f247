"""HTTP/3 by aioquic, with the two things that it leaves to its user: windows and waiting writers."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StopSendingReceived, StreamReset
from aioquic.tls import SessionTicket

from quantum.http.body import StreamBody
from quantum.http.headers import Headers
from tests.conformance.protocols.clients.api import SECONDS, Cut, Fields, Pieces, Reply

WINDOW = 256 * 1024
UNSENT = 128 * 1024


class Exchange:
    """One stream."""

    def __init__(self, client: H3Client, stream: int) -> None:
        self.client = client
        self.stream = stream
        self.head: asyncio.Future[Fields] = asyncio.get_running_loop().create_future()
        self.body = StreamBody(abandoned=self.cancel, consumed=client.opened)
        self.informational: list[tuple[int, list[tuple[bytes, bytes]]]] = []
        self.continued = asyncio.Event()
        self.is_cut = False
        self.sender: asyncio.Task[None] | None = None

    def received(self, fields: Fields) -> None:
        if self.head.done():
            self.body.finish(Headers(list(fields)))
            return
        status = int(dict(fields)[b":status"])
        if status < 200:
            self.informational.append((status, [f for f in fields if f[0] != b":status"]))
            self.continued.set()
        else:
            self.head.set_result(fields)

    def cut(self, reason: str) -> None:
        self.is_cut = True
        self.body.fail(Cut(reason))
        if not self.head.done():
            self.head.set_exception(Cut(reason))
            self.head.exception()

    def cancel(self) -> None:
        quic = self.client.protocol._quic
        if self.stream in quic._streams:
            quic.reset_stream(self.stream, ErrorCode.H3_REQUEST_CANCELLED)
            quic.stop_stream(self.stream, ErrorCode.H3_REQUEST_CANCELLED)
            self.client.protocol.transmit()

    async def send(self, body: Pieces, wait: asyncio.Event | None = None) -> None:
        if wait is not None:
            await wait.wait()
        async for piece in body:
            for at in range(0, len(piece), 65536):
                await self.write(piece[at : at + 65536])
        if body.trailers is not None:
            self.client.http.send_headers(self.stream, body.trailers.fields, end_stream=True)
        else:
            self.client.http.send_data(self.stream, b"", end_stream=True)
        self.client.protocol.transmit()

    async def write(self, data: bytes) -> None:
        if self.is_cut:
            raise Cut("the stream was cut")
        self.client.http.send_data(self.stream, data, end_stream=False)
        self.client.protocol.transmit()
        while True:
            stream = self.client.protocol._quic._streams.get(self.stream)
            if self.is_cut or stream is None or len(stream.sender._buffer) < UNSENT:
                return
            await asyncio.sleep(0.002)

    # A tunnel's.

    async def read(self) -> bytes:
        try:
            return await asyncio.wait_for(anext(self.body), SECONDS)
        except StopAsyncIteration:
            return b""

    async def write_end(self) -> None:
        self.client.http.send_data(self.stream, b"", end_stream=True)
        self.client.protocol.transmit()

    abort = cancel


class Protocol(QuicConnectionProtocol):
    """Hands events to the client."""

    client: H3Client

    def quic_event_received(self, event) -> None:
        self.client.happened(event)


class H3Client:
    """A Client. While ``is_holding``, no window is given back: the server has to wait."""

    def __init__(self) -> None:
        self.protocol: Protocol
        self.http: H3Connection
        self.exchanges: dict[int, Exchange] = {}
        self.terminated: ConnectionTerminated | None = None
        self.tickets: list[SessionTicket] = []
        self.is_holding = False
        self._stack = AsyncExitStack()

    @classmethod
    async def connect(cls, port: int, root: str | None, **options) -> H3Client:
        client = cls()
        early = options.pop("early", False)
        host = options.pop("host", "127.0.0.1")
        configuration = QuicConfiguration(
            alpn_protocols=["h3"], server_name="localhost",
            max_stream_data=WINDOW, max_data=2 * WINDOW,
            verify_mode=ssl.CERT_REQUIRED if root else ssl.CERT_NONE,
            cadata=root.encode() if root else None, **options,
        )  # fmt: skip

        def make(*arguments, **named) -> Protocol:
            protocol = Protocol(*arguments, **named)
            protocol.client = client
            client.protocol = protocol
            client.http = H3Connection(protocol._quic)
            # aioquic does not know that the answer to HEAD tells a length and has no content.
            client.http._check_content_length = lambda stream: None
            client._tie_windows()
            return protocol

        await client._stack.enter_async_context(
            connect(
                host, port, configuration=configuration, create_protocol=make,
                session_ticket_handler=client.tickets.append, wait_connected=not early,
            )
        )  # fmt: skip
        return client

    def _tie_windows(self) -> None:
        quic = self.protocol._quic
        for name in ("_write_stream_limits", "_write_connection_limits"):
            original = getattr(quic, name)

            def write(*arguments, original=original, **named) -> None:
                if not self.is_holding:
                    original(*arguments, **named)

            setattr(quic, name, write)

    def opened(self, count: int) -> None:
        """Window was read; the next packet tells."""

    def happened(self, event) -> None:
        if isinstance(event, ConnectionTerminated):
            self.terminated = event
            for exchange in self.exchanges.values():
                exchange.cut(f"connection ended: {event.error_code:#x} {event.reason_phrase}")
        elif isinstance(event, StreamReset) and event.stream_id in self.exchanges:
            self.exchanges[event.stream_id].cut(f"reset with {event.error_code:#x}")
        elif isinstance(event, StopSendingReceived) and event.stream_id in self.exchanges:
            sender = self.exchanges[event.stream_id].sender
            if sender is not None:
                sender.cancel()
        for message in self.http.handle_event(event):
            exchange = self.exchanges.get(message.stream_id)
            if exchange is None:
                continue
            if isinstance(message, HeadersReceived):
                exchange.received(message.headers)
            elif isinstance(message, DataReceived) and message.data:
                exchange.body.feed(message.data)
            if message.stream_ended:
                exchange.body.finish()

    def start(self, fields: Fields, *, ended: bool) -> Exchange:
        """Send a head."""
        stream = self.protocol._quic.get_next_available_stream_id()
        exchange = self.exchanges[stream] = Exchange(self, stream)
        self.http.send_headers(stream, list(fields), end_stream=ended)
        self.protocol.transmit()
        return exchange

    async def request(
        self, method: str, path: str, fields: Fields = (), body: bytes | Pieces | None = None
    ) -> Reply:
        if self.terminated is not None:
            raise Cut("the connection is gone")
        if isinstance(body, bytes):
            fields = [*fields, (b"content-length", b"%d" % len(body))]
            body = Pieces([body])
        head = [
            (b":method", method.encode()), (b":scheme", b"https"), (b":authority", b"localhost"),
            (b":path", path.encode()), *fields,
        ]  # fmt: skip
        exchange = self.start(head, ended=body is None)
        if body is not None:
            wait = exchange.continued if (b"expect", b"100-continue") in fields else None
            exchange.sender = asyncio.create_task(exchange.send(body, wait))
        try:
            received = await exchange.head
        except asyncio.CancelledError:
            exchange.cancel()
            raise
        plain = [f for f in received if f[0] != b":status"]
        status = int(dict(received)[b":status"])
        return Reply(status, plain, exchange.body, exchange.informational)

    async def tunnel(self, path: str) -> Exchange:
        head = [
            (b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"https"),
            (b":authority", b"localhost"), (b":path", path.encode()),
            (b"sec-websocket-version", b"13"),
        ]  # fmt: skip
        exchange = self.start(head, ended=False)
        assert dict(await asyncio.wait_for(exchange.head, SECONDS))[b":status"] == b"200"
        return exchange

    async def aclose(self) -> None:
        for exchange in self.exchanges.values():
            if exchange.sender is not None:
                exchange.sender.cancel()
                await asyncio.wait([exchange.sender])
                if not exchange.sender.cancelled():
                    exchange.sender.exception()
        await self._stack.aclose()
