import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from quantum.bus.subjects import ShareOperation
from quantum.clock import SystemClock
from quantum.errors import BodyAborted
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request
from quantum.testing.context import make_context, make_module, make_revision
from quantum.wire.websocket import Opcode, encode_frame, unmask
from services.sync.manifest import MANIFEST
from services.sync.service import SyncService

PEER = ConnectionFacts(("127.0.0.1", 4000), ("127.0.0.1", 80), "http")


def make_request(method, target, body=b"", upgrade=None, **fields):
    path, _, query = target.partition("?")
    headers = Headers([(k.replace("_", "-").encode(), v.encode()) for k, v in fields.items()])
    return Request(
        method, "http", "localhost:8080", path, query or None, headers, body, PEER, upgrade=upgrade
    )


def make_entry(operation, source="x", op_id="op", **more):
    return ShareOperation(
        operation=operation, source_client=source, op_id=op_id, at=SystemClock().now(), **more
    )


class MemoryStream:
    """The server's side of a WebSocket whose client is the test."""

    def __init__(self):
        self.incoming = asyncio.Queue()
        self.outgoing = bytearray()
        self.is_aborted = False
        self.is_ended = False
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def read(self):
        data = await self.incoming.get()
        if data is None:
            raise BodyAborted("cut")
        return data

    async def write(self, data):
        if not self.is_open.is_set():
            await self.is_open.wait()
        if self.is_aborted:
            raise BodyAborted("cut")
        self.outgoing += data

    def write_now(self, data):
        if self.is_aborted or not self.is_open.is_set():
            return False
        self.outgoing += data
        return True

    async def write_end(self):
        self.is_ended = True

    def abort(self):
        self.is_aborted = True
        self.is_open.set()
        self.incoming.put_nowait(None)


class WebSocket:
    """A client over a MemoryStream."""

    def __init__(self, response):
        self.stream = MemoryStream()
        self.task = asyncio.get_running_loop().create_task(response.upgrade(self.stream))

    def send_frame(self, opcode, payload=b""):
        frame = encode_frame(opcode, payload)
        head = 2 if frame[1] < 126 else 4 if frame[1] == 126 else 10
        masked = bytes([frame[0], frame[1] | 0x80]) + frame[2:head] + b"abcd"
        self.stream.incoming.put_nowait(masked + unmask(payload, b"abcd"))

    def send(self, message):
        text = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.send_frame(Opcode.TEXT, text)

    async def receive_frame(self):
        data = self.stream.outgoing
        for _ in range(2000):  # 20 seconds: more than a busy machine takes
            if len(data) >= 2:
                head = 2 if data[1] < 126 else 4 if data[1] == 126 else 10
                size = data[1] if head == 2 else int.from_bytes(data[2:head], "big")
                if len(data) >= head + size:
                    opcode, payload = data[0] & 15, bytes(data[head : head + size])
                    del data[: head + size]
                    return opcode, payload
            await asyncio.sleep(0.01)
        raise AssertionError("no frame came")

    async def receive(self):
        opcode, payload = await self.receive_frame()
        assert opcode == Opcode.TEXT
        return json.loads(payload)

    async def subscribe(self, client_id="test"):
        self.send({"type": "Subscribe", "client_id": client_id})
        assert await self.receive() == {"type": "Ack", "operation_id": "subscribe"}
        return self

    async def close(self):
        self.stream.incoming.put_nowait(b"")
        await self.task


class Deployment:
    """A sync room with one handler, and requests to it."""

    def __init__(self, tmp_path, name="one", bus=None, clock=None):
        self.root = tmp_path / "share"
        self.bus = bus
        self.context = make_context("sync", tmp_path / name, bus=bus, clock=clock or SystemClock())
        self.service = SyncService(self.context)
        self.clients = []

    async def use(self, revision="r1", **config):
        self.root = Path(config.get("root", self.root))
        raw = {"root": str(self.root), "enable_upload": True, **config}
        module = make_module(MANIFEST.modules[0], raw)
        prepared = await self.service.prepare(make_revision(revision, modules=(module,)))
        prepared.commit()
        self.handler = self.context.hop.handler("sync", revision, module.path)
        share = self.handler._share
        for _ in range(500):
            if share.is_ready:
                break
            await asyncio.sleep(0.01)
        return self

    async def ask(self, method, target, body=b"", **fields):
        return await self.handler.handle(make_request(method, target, body, **fields))

    async def connect(self, **fields):
        response = await self.ask("GET", "/ws", upgrade="websocket", **fields)
        assert response.status == 101
        self.clients.append(WebSocket(response))
        return self.clients[-1]

    async def subscriber(self, client_id="test"):
        return await (await self.connect()).subscribe(client_id)


@pytest.fixture
def deploy(tmp_path):
    @asynccontextmanager
    async def run(name="one", bus=None, clock=None, **config):
        deployment = await Deployment(tmp_path, name, bus, clock).use(**config)
        try:
            yield deployment
        finally:
            for client in deployment.clients:
                client.stream.incoming.put_nowait(b"")
            await deployment.service.stop(1)

    return run


async def read(response):
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])
