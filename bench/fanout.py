"""``python -m bench.fanout``: thousands of WebSocket clients of one share, one operation for all of them.

Client processes hold the connections (5,000 each at most: a process may open so many files) and note when
frames come. Printed: memory of the server for each connection beyond idle, how long one operation takes to
all, deliveries for each second of the server's CPU, the spread of a broadcast to ten clients, and messages
a second on one connection.
"""

import argparse
import asyncio
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import uvloop

from bench.small_files import cpu_seconds, pids_of
from quantum.testing.topology import Deployment, free_port

OPENING = 100
"""Connections that one client process opens at once."""
SUBSCRIBE = b'{"type":"Subscribe","client_id":"c%d"}'
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(payload: bytes) -> bytes:
    """Return a client's text frame; a mask of zeros changes nothing."""
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload


class Connection(asyncio.Protocol):
    """One client: counts the frames that come."""

    def __init__(self, crowd: "Crowd", number: int) -> None:
        self.crowd = crowd
        self.number = number
        self.rest = b""
        self.is_open = False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:  # type: ignore[no-untyped-def]
        self.transport = transport
        transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        if not self.is_open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.rest = data
                return
            assert data.startswith(b"HTTP/1.1 101"), data[:200]
            self.is_open = True
            self.transport.write(frame(SUBSCRIBE % self.number))
            data = data[end + 4 :]
        at, count = 0, 0
        while len(data) - at >= 2:
            size, head = data[at + 1], 2
            if size == 126:
                size, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            if len(data) - at < head + size:
                break
            at, count = at + head + size, count + 1
        self.rest = data[at:]
        if count and not self.ready.done():
            self.ready.set_result(None)
            count -= 1
        if count:
            self.crowd.note(count)

    def connection_lost(self, error: Exception | None) -> None:
        self.crowd.lost += 1


class Crowd:
    """The connections of a client process."""

    def __init__(self) -> None:
        self.expected = 0
        self.came = 0
        self.lost = 0
        self.first = self.last = 0.0
        self.done = asyncio.Event()

    def note(self, count: int) -> None:
        """Count frames."""
        self.last = time.time()
        self.first = self.first or self.last
        self.came += count
        if self.came >= self.expected:
            self.done.set()

    async def open(self, port: int, count: int, source: str) -> None:
        """Open and subscribe ``count`` connections."""
        gate = asyncio.Semaphore(OPENING)
        loop = asyncio.get_running_loop()

        async def one(number: int) -> None:
            async with gate:
                _, connection = await loop.create_connection(
                    lambda: Connection(self, number), "127.0.0.1", port, local_addr=(source, 0)
                )
                await connection.ready

        await asyncio.gather(*(one(number) for number in range(count)))


async def serve_client(port: int, count: int, source: str) -> None:
    """Open the connections; then, for each line (how many frames to expect), say when they came."""
    crowd = Crowd()
    await crowd.open(port, count, source)
    print(json.dumps({"open": count}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        crowd.expected, crowd.came, crowd.first = int(line), 0, 0.0
        crowd.done.clear()
        print(json.dumps({"waits": True}), flush=True)
        try:
            async with asyncio.timeout(120):
                await crowd.done.wait()
        except TimeoutError:
            pass
        told = {"first": crowd.first, "last": crowd.last, "came": crowd.came, "lost": crowd.lost}
        print(json.dumps(told), flush=True)


class Clients:
    """The client processes."""

    def __init__(self, port: int, count: int) -> None:
        self.processes = []
        shares = [count // 2, count - count // 2] if count > 100 else [count]
        self.counts = shares
        for number, share in enumerate(shares, 2):
            command = [sys.executable, "-m", "bench.fanout", "--client", str(port), str(share)]
            self.processes.append(
                subprocess.Popen(
                    [*command, f"127.0.2.{number}"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )  # fmt: skip
        self.hear()

    def hear(self) -> list[dict]:
        """Return a line of each."""
        return [json.loads(process.stdout.readline()) for process in self.processes]

    def expect(self, each: int) -> None:
        """Let every connection wait for so many frames."""
        for process, count in zip(self.processes, self.counts, strict=True):
            process.stdin.write(f"{each * count}\n")
            process.stdin.flush()
        self.hear()

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def memory(pids: list[int]) -> dict[int, int]:
    """Return the resident bytes of processes."""
    return {pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in pids}


def make_directories(port: int, name: str, count: int) -> None:
    """Make directories by one batch: operations without contents."""
    body = "".join(
        json.dumps({"path": f"{name}-{number}", "kind": "directory"}) + "\n"
        for number in range(count)
    )
    url = f"http://127.0.0.1:{port}/api/batch"
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), method="POST")) as got:
        assert all(result["status"] == 201 for result in json.load(got)["results"])


def p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


def measure_crowd(deployment: Deployment, port: int, count: int) -> dict:
    """Many clients: memory, and the way of operations to all of them."""
    pids = pids_of(deployment)
    before = memory(pids)
    started = time.perf_counter()
    clients = Clients(port, count)
    opened = time.perf_counter() - started
    try:
        after = memory(pids)
        grown = {pid: (after[pid] - before[pid]) / count for pid in pids}
        rounds, rates = [], []
        for number in range(5):
            clients.expect(1)
            make_directories(port, f"one-{number}", 1)
            told = clients.hear()
            assert sum(each["came"] for each in told) == count, told
            first, last = min(e["first"] for e in told), max(e["last"] for e in told)
            rounds.append(last - first)
        each = max(1, 200_000 // count)
        spent = cpu_seconds(pids)
        clients.expect(each)
        make_directories(port, "many", each)
        told = clients.hear()
        assert sum(each["came"] for each in told) == count * each, told
        assert not any(each["lost"] for each in told), told
        spent = cpu_seconds(pids) - spent
        first, last = min(e["first"] for e in told), max(e["last"] for e in told)
        rates = [count * each / (last - first), count * each / spent]
    finally:
        clients.end()
    return {
        "connections": count,
        "opened_per_s": round(count / opened),
        "bytes_per_connection": {str(pid): round(value) for pid, value in grown.items()},
        "one_operation_to_all_ms": round(statistics.median(rounds) * 1000, 1),
        "deliveries_per_s": round(rates[0]),
        "deliveries_per_cpu_s": round(rates[1]),
    }


def measure_few(port: int) -> dict:
    """Ten clients: how far the last is behind the first."""
    clients = Clients(port, 10)
    spreads = []
    try:
        for number in range(200):
            clients.expect(1)
            make_directories(port, f"few-{number}", 1)
            (told,) = clients.hear()
            spreads.append((told["last"] - told["first"]) * 1000)
    finally:
        clients.end()
    return {
        "spread_of_10_ms_p50": round(statistics.median(spreads), 3),
        "spread_of_10_ms_p99": round(p99(spreads), 3),
    }


async def measure_one(port: int, count: int) -> dict:
    """One connection: messages that are answered, in a second."""
    crowd = Crowd()
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(crowd, 0), "127.0.0.1", port)
    await connection.ready
    crowd.expected = count
    started = time.perf_counter()
    ping = frame(b'{"type":"Ping"}')
    for _ in range(count // 1000):
        connection.transport.write(ping * 1000)
        await asyncio.sleep(0)
    await crowd.done.wait()
    return {"messages_per_s_on_one": round(count / (time.perf_counter() - started))}


def run(topology: str, connections: int) -> dict:
    port = free_port()
    directory = Path(tempfile.mkdtemp(prefix="q-"))
    sync = {
        "handler": "file_sync", "root": str(directory / "share"), "enable_upload": True,
        "max_clients": connections + 100, "max_rate": 0,
    }  # fmt: skip
    server = {"listen": [f"127.0.0.1:{port}"], "routes": [{"handle": [sync]}]}
    document = {"apps": {"http": {"servers": {"sync": server}}}}
    with Deployment(topology, document, directory) as deployment:
        names = {
            str(m.process.pid): m.name for m in deployment.members.values() if m.process is not None
        }
        found = asyncio.run(measure_one(port, 50_000))
        found |= measure_few(port)
        found |= measure_crowd(deployment, port, connections)
    grown = found["bytes_per_connection"]
    found["bytes_per_connection"] = {
        names[pid]: value for pid, value in grown.items() if pid in names and value > 200
    }
    return {"topology": topology, **found}


def main() -> None:
    if "--client" in sys.argv:
        port, count, source = sys.argv[2:5]
        uvloop.run(serve_client(int(port), int(count), source))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topology", action="append", choices=("all", "split"))
    parser.add_argument("--connections", type=int, default=10_000)
    options = parser.parse_args()
    for topology in options.topology or ["all", "split"]:
        print(json.dumps(run(topology, options.connections), indent=1), flush=True)


if __name__ == "__main__":
    main()
