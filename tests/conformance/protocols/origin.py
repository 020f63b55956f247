"""The upstream of the suite: a small HTTP/1.1 server written by hand, so that it can also misbehave.

It runs in a thread of the test process; what it saw is in ``Origin.seen``, by the path of the request.
"""

import asyncio
import contextlib
import hashlib
import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field

PIECE = bytes(range(256)) * 256
"""64 KiB; what ``/bytes/N`` sends, over and over."""


@dataclass
class Seen:
    """What happened to the requests for one path."""

    heads: list[list[tuple[str, str]]] = field(default_factory=list)
    received: int = 0
    sent: int = 0
    is_cut: bool = False
    """Whether the proxy closed the connection before the exchange was over."""


def expected(size: int) -> str:
    """The digest of what ``/bytes/SIZE`` sends."""
    digest = hashlib.sha256()
    for _ in range(size // len(PIECE)):
        digest.update(PIECE)
    digest.update(PIECE[: size % len(PIECE)])
    return digest.hexdigest()


class Origin:
    """A server on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: defaultdict[str, Seen] = defaultdict(Seen)
        self.heard: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def hear(self, target: str) -> None:
        """Let the deaf exchange of a path go on."""
        self._loop.call_soon_threadsafe(self.heard[target].set)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=64 * 1024)
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = Seen()
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *lines = head.decode("latin-1").split("\r\n")[:-2]
                method, target, _ = line.split(" ", 2)
                fields = [(n, v.strip()) for n, _, v in (one.partition(":") for one in lines)]
                seen = self.seen[target]
                seen.heads.append(fields)
                exchange = Exchange(
                    reader,
                    writer,
                    seen,
                    method,
                    {n.lower(): v for n, v in fields},
                    self.heard[target],
                )
                await getattr(exchange, target.split("/")[1].replace("-", "_"))(
                    *target.split("/")[2:]
                )
                await writer.drain()
                if not exchange.keeps:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            seen.is_cut = True
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


@dataclass
class Exchange:
    """One request and its answer; each public method is what the path of its name does."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    seen: Seen
    method: str
    fields: dict[str, str]
    heard: asyncio.Event
    keeps: bool = True
    trailers: dict[str, str] = field(default_factory=dict)

    async def _pieces(self):
        if self.fields.get("transfer-encoding") == "chunked":
            while size := int((await self.reader.readuntil(b"\n")), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            while line := (await self.reader.readline()).decode().strip():
                name, _, value = line.partition(":")
                self.trailers[name.lower()] = value.strip()
            return
        left = int(self.fields.get("content-length", 0))
        while left:
            piece = await self.reader.read(min(left, 65536))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield piece

    def _head(self, status: str, *fields: str) -> None:
        self.writer.write("\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode())

    async def _send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.seen.sent += len(data)

    async def digest(self, *_: str) -> None:
        """Read the body; tell its length, digest, trailers, and the fields of the head."""
        digest = hashlib.sha256()
        async for piece in self._pieces():
            digest.update(piece)
            self.seen.received += len(piece)
        told = {
            "length": self.seen.received, "sha256": digest.hexdigest(),
            "trailers": self.trailers, "fields": self.seen.heads[-1], "method": self.method,
        }  # fmt: skip
        self.seen.received = 0
        body = json.dumps(told).encode()
        self._head("200 OK", f"Content-Length: {len(body)}")
        await self._send(b"" if self.method == "HEAD" else body)

    async def bytes(self, size: str, *_: str) -> None:
        self._head("200 OK", f"Content-Length: {size}")
        if self.method == "HEAD":
            return
        left = int(size)
        while left:
            piece = PIECE[: min(left, len(PIECE))]
            await self._send(piece)
            left -= len(piece)

    async def paced(self, size: str, *_: str) -> None:
        """Send slowly, in chunks, so that something can happen meanwhile."""
        self._head("200 OK", "Transfer-Encoding: chunked")
        left = int(size)
        while left:
            piece = PIECE[: min(left, len(PIECE))]
            await self._send(b"%x\r\n%b\r\n" % (len(piece), piece))
            left -= len(piece)
            await asyncio.sleep(0.05)
        await self._send(b"0\r\n\r\n")

    async def echo(self, *_: str) -> None:
        """Send each piece back as it comes: both directions at once."""
        self._head("200 OK", "Transfer-Encoding: chunked")
        async for piece in self._pieces():
            await self._send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await self._send(b"0\r\n\r\n")

    async def trailing(self, *_: str) -> None:
        self._head("200 OK", "Transfer-Encoding: chunked", "Trailer: X-Sum")
        await self._send(b"4\r\nbody\r\n0\r\nX-Sum: abc\r\n\r\n")

    async def status(self, code: str, *_: str) -> None:
        self._head(f"{code} Whatever", *([] if code in ("204", "304") else ["Content-Length: 0"]))
        if self.fields.get("transfer-encoding") == "chunked":
            await self._linger()

    async def _linger(self) -> None:
        """Hear the rest of a body that nobody wants: closing with it unread would destroy the answer."""
        self.keeps = False
        self.writer.write_eof()
        while await self.reader.read(65536):
            pass

    async def hints(self, *_: str) -> None:
        self._head("103 Early Hints", "Link: </style.css>; rel=preload")
        await asyncio.sleep(0.05)
        self._head("200 OK", "Content-Length: 2")
        await self._send(b"ok")

    async def fields_back(self, *_: str) -> None:
        self._head(
            "200 OK", "Content-Length: 0", "X-Twice: one", "X-Twice: two", "X-Empty:",
            "Set-Cookie: a=1", "Set-Cookie: b=2",
        )  # fmt: skip

    # Unhappy paths.

    async def cut(self, phase: str, *_: str) -> None:
        """End the connection at some phase, as a crash would."""
        self.keeps = False
        if phase == "length":
            self._head("200 OK", "Content-Length: 100")
            await self._send(b"half")
        elif phase == "chunks":
            self._head("200 OK", "Transfer-Encoding: chunked")
            await self._send(b"4\r\nhalf\r\n")
            await asyncio.sleep(0.1)
        elif phase == "half-head":
            await self._send(b"HTTP/1.1 200 OK\r\nContent-")
        elif phase == "interim":
            self._head("103 Early Hints", "Link: </a>")
            await self._send(b"")
        elif phase == "upload":
            await anext(self._pieces())
        elif phase == "empty":
            self._head("200 OK", "Content-Length: 100")
            await self._send(b"")
        elif phase == "trailers":
            self._head("200 OK", "Transfer-Encoding: chunked", "Trailer: X-Sum")
            await self._send(b"4\r\nbody\r\n0\r\nX-Sum: a")
        elif phase == "reset":
            self._head("200 OK", "Content-Length: 100")
            await self._send(b"half")
            self.writer.transport.abort()

    async def wide(self, size: str, *_: str) -> None:
        """Answer with one long field."""
        self._head("200 OK", "Content-Length: 0", "X-Wide: " + "w" * int(size))
        await self._send(b"")

    async def interims(self, *_: str) -> None:
        """Tell three times what is coming."""
        for number in range(3):
            self._head("103 Early Hints", f"Link: </{number}>")
        self._head("200 OK", "Content-Length: 2")
        await self._send(b"ok")

    async def hang(self, *_: str) -> None:
        """Answer nothing; notice when the proxy gives up."""
        while await self.reader.read(65536):
            pass
        raise ConnectionResetError

    async def deaf(self, *_: str) -> None:
        """Read nothing of the body until told to, then all of it."""
        await self.heard.wait()
        await self.digest()

    async def endless(self, *_: str) -> None:
        self._head("200 OK", "Transfer-Encoding: chunked")
        while True:
            await self._send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))

    async def socket(self, *_: str) -> None:
        """Switch, then send back in upper case; end when the other end does, with a last word."""
        self._switch()
        while data := await self.reader.read(65536):
            await self._send(data.upper())
        await self._send(b"bye")

    def _switch(self) -> None:
        self._head(
            "101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Accept: " + accept(self.fields["sec-websocket-key"]),
        )  # fmt: skip
        self.keeps = False

    async def done_first(self, *_: str) -> None:
        """Switch, have the last word at once, and hear the other end out."""
        self._switch()
        await self._send(b"bye")
        self.writer.write_eof()
        while data := await self.reader.read(65536):
            self.seen.received += len(data)

    async def hung_up(self, *_: str) -> None:
        """Switch, and be gone in the middle of the tunnel."""
        self._switch()
        await self.reader.read(1)
        self.writer.transport.abort()

    async def flood(self, *_: str) -> None:
        """Switch, and send for ever."""
        self._switch()
        while True:
            await self._send(PIECE)

    async def unheard(self, *_: str) -> None:
        """Switch, and read nothing until told to."""
        self._switch()
        await self.writer.drain()
        await self.heard.wait()
        while data := await self.reader.read(65536):
            self.seen.received += len(data)
        await self._send(b"heard")


def accept(key: str) -> str:
    import base64

    magic = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(magic.encode()).digest()).decode()
