"""``python -m bench.websockets``: thousands of WebSockets through the reverse proxy at the same time.

Two client processes open them, each echoes one message; then memory beyond idle is divided by their number, and
while all stay open a few of them measure how long an echo takes. Printed for each contender; Quantum's goal is
25 KB for each, all processes together, in ``all`` and in ``split``.
"""

import argparse
import asyncio
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bench.contenders import caddy_process
from quantum.testing.topology import Deployment, descendants, free_port
from quantum.wire.h1.handshake import websocket_accept

GOAL_BYTES = 25_000
OPENING = 100
"""Connections that one client process opens at once."""
WARM = 200
"""WebSockets opened and closed before memory is measured: what is allocated once is not theirs."""
ECHOES = 300
"""Messages whose way is timed while all are open, one after the other on different connections."""
MESSAGE = b"hello"
MASK = b"\x01\x02\x03\x04"
FRAME = (
    b"\x81"
    + bytes([0x80 | len(MESSAGE)])
    + MASK
    + bytes(b ^ m for b, m in zip(MESSAGE, MASK * 2, strict=False))
)
ECHO = b"\x81" + bytes([len(MESSAGE)]) + MESSAGE
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Upstream(asyncio.Protocol):
    """Answers the handshake, then every FRAME by an ECHO."""

    def connection_made(self, transport):
        self.transport, self.head = transport, b""

    def data_received(self, data):
        if self.head is None:
            self.transport.write(ECHO * (len(data) // len(FRAME)))
            return
        self.head += data
        if not self.head.endswith(b"\r\n\r\n"):
            return
        lines = dict(line.split(b": ", 1) for line in self.head.split(b"\r\n")[1:-2])
        key = {name.lower(): value for name, value in lines.items()}.get(b"sec-websocket-key")
        if key is None:  # somebody who looks whether we are there
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            self.head = b""
            return
        self.head = None
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + websocket_accept(key) + b"\r\n\r\n"
        )


class Client(asyncio.Protocol):
    """One WebSocket."""

    def connection_made(self, transport):
        self.transport, self.data = transport, b""
        self.heard = asyncio.Event()
        self.is_open = True

    def data_received(self, data):
        self.data += data
        self.heard.set()

    def connection_lost(self, error):
        self.is_open = False
        self.heard.set()

    async def until(self, end: bytes) -> bytes:
        while not self.data.endswith(end):
            if not self.is_open:
                raise ConnectionError(f"closed after {self.data[:200]!r}")
            self.heard.clear()
            await self.heard.wait()
        got, self.data = self.data, b""
        return got

    async def echo(self) -> float:
        began = time.perf_counter()
        self.transport.write(FRAME)
        await self.until(ECHO)
        return time.perf_counter() - began


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        Upstream, "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


async def open_all(port: int, count: int, source: str) -> list[Client]:
    gate, loop = asyncio.Semaphore(OPENING), asyncio.get_running_loop()

    async def one() -> Client:
        async with gate:
            _, client = await loop.create_connection(
                Client, "127.0.0.1", port, local_addr=(source, 0)
            )
            client.transport.write(HANDSHAKE)
            head = await client.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101"), head
            await client.echo()
            return client

    return await asyncio.gather(*(one() for _ in range(count)))


async def client(port: int, count: int, source: str) -> None:
    """Open, say so; time echoes, say so; stay until told, then say how many are still open."""
    clients = await open_all(port, count, source)
    print(json.dumps(len(clients)), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    step = max(1, count // ECHOES)
    print(json.dumps([await one.echo() for one in clients[::step]]), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(sum(one.is_open for one in clients)), flush=True)
    for one in clients:
        one.transport.abort()


def memory(pids: list[int]) -> dict[int, int]:
    """Return the resident bytes of each process."""
    return {p: int(Path(f"/proc/{p}/statm").read_text().split()[1]) * 4096 for p in pids}


def start(*arguments: object, pipes: bool = False) -> subprocess.Popen[str]:
    ends = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} if pipes else {}
    command = [sys.executable, "-m", "bench.websockets", *map(str, arguments)]
    return subprocess.Popen(command, text=True, **ends)


class Crowd:
    """The client processes."""

    def __init__(self, port: int, count: int) -> None:
        self._all = [
            start("--client", port, count // 2, f"127.0.2.{n}", pipes=True) for n in (1, 2)
        ]

    def hear(self) -> list:
        lines = [process.stdout.readline() for process in self._all]
        if not all(lines):
            raise RuntimeError("a client ended")
        return [json.loads(line) for line in lines]

    def tell(self) -> None:
        for process in self._all:
            process.stdin.write("go on\n")
            process.stdin.flush()

    def end(self) -> None:
        for process in self._all:
            process.kill()
            process.wait()


def document(port: int, upstream: int) -> dict:
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream}"}]}
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [proxy]}],
    }
    return {
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "apps": {"http": {"servers": {"ws": server}}},
    }


def run(name: str, count: int, upstream: int) -> bool:
    """Measure one contender; whether it met the goal."""
    port = free_port()
    if name == "caddy":
        with (
            tempfile.TemporaryDirectory() as folder,
            caddy_process(document(port, upstream), Path(folder), port) as pid,
        ):
            measure(name, port, {pid: "caddy"}, count)
        return True
    with Deployment(name.removeprefix("quantum-"), document(port, upstream)) as deployment:
        pids = {}
        for member in deployment.members.values():
            root = member.process.pid
            for pid in (root, *descendants(root)):
                is_python = b"python" in Path(f"/proc/{pid}/cmdline").read_bytes()
                pids[pid] = member.name if is_python else "nats"
        return measure(name, port, pids, count)


def measure(name: str, port: int, pids: dict[int, str], count: int) -> bool:
    warming = Crowd(port, WARM)
    warming.hear()
    warming.end()
    time.sleep(1.0)
    empty = memory(list(pids))
    crowd = Crowd(port, count)
    try:
        began = time.monotonic()
        opened = sum(crowd.hear())
        took = time.monotonic() - began
        full = memory(list(pids))
        crowd.tell()
        echoes = sorted(one for some in crowd.hear() for one in some)
        crowd.tell()
        kept = sum(crowd.hear())
    finally:
        crowd.end()
    each = {
        pids[p]: (full[p] - empty[p]) / opened for p in pids if full[p] - empty[p] > opened * 50
    }
    total = sum(full.values()) - sum(empty.values())
    p50, p99 = (echoes[math.ceil(len(echoes) * q) - 1] * 1e3 for q in (0.5, 0.99))
    print(
        f"{name:16}{opened:>7} open ({kept} at the end) in {took:.1f} s;"
        f" {total / opened / 1e3:.1f} KB each ({', '.join(f'{n} {b / 1e3:.1f}' for n, b in each.items())});"
        f" echo p50 {p50:.2f} ms, p99 {p99:.2f} ms",
        flush=True,
    )
    return kept == opened and total / opened < GOAL_BYTES


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.websockets", description=__doc__)
    parser.add_argument("--count", type=int, default=8_000)
    parser.add_argument("--only", default="quantum-all,quantum-split,caddy")
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if options.client:
        port, count, source = options.client
        uvloop.run(client(int(port), int(count), source))
        return 0
    if options.upstream:
        uvloop.run(serve(options.upstream))
        return 0
    port = free_port()
    upstream = start("--upstream", port)
    try:
        met = [run(name, options.count, port) for name in options.only.split(",")]
    finally:
        upstream.kill()
        upstream.wait()
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
