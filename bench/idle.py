"""``python -m bench.idle``: many connections that do nothing, some that attack, and how the others fare.

Ten thousand idle keep-alive connections (two client processes) and two thousand that send their head a
line at a time (slowloris); meanwhile a few well-behaved clients measure their requests. Printed: p99
before and during, memory per idle connection, and when the attackers were cut.
"""

import argparse
import asyncio
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import uvloop

from quantum.testing.topology import Deployment, descendants, free_port

HEADER_SECONDS = 10
"""The server's ``read_header_timeout``: the deadline of the attackers."""
GOOD_CLIENTS, GOOD_PAUSE, GOOD_SECONDS = 4, 0.01, 8.0
"""Some 400 requests a second: far from saturation, so that latency is waiting and not load."""
OPENING = 200
"""Connections opened at once by one client process."""
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def open_many(port: int, count: int, source: str, use):  # type: ignore[no-untyped-def]
    """Open ``count`` connections from ``source``, some at a time, and start ``use`` on each."""
    gate = asyncio.Semaphore(OPENING)
    tasks = []

    async def one() -> None:
        async with gate:
            ends = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            first = REQUEST if use is hold else REQUEST[:10]
            ends[1].write(first)
            if use is hold:
                await ends[0].readuntil(b"\r\n\r\n")
        tasks.append(asyncio.ensure_future(use(*ends)))

    await asyncio.gather(*(one() for _ in range(count)))
    return tasks


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    """Stay connected after one request."""
    await reader.read()
    return 0.0


async def crawl(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    """Send a head that never ends; return after how many seconds it was cut."""
    started = time.monotonic()
    reading = asyncio.ensure_future(reader.read())
    while not reading.done():
        writer.write(b"X-a: b\r\n")
        await asyncio.wait([reading], timeout=2.0)
    reading.exception()
    writer.close()
    return time.monotonic() - started


async def client(kind: str, port: int, count: int, source: str) -> None:
    """Open the connections, say so, and stay until told or until all were cut."""
    tasks = await open_many(port, count, source, hold if kind == "idle" else crawl)
    print(json.dumps({"open": len(tasks)}), flush=True)
    if kind == "idle":
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps({"still_open": sum(not task.done() for task in tasks)}), flush=True)
        return
    print(json.dumps({"cut_after": sorted(await asyncio.gather(*tasks))}), flush=True)


async def behave(port: int) -> list[float]:
    """Ask as a good client does; return the seconds of each request."""
    taken: list[float] = []

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        end = time.monotonic() + GOOD_SECONDS
        while time.monotonic() < end:
            started = time.perf_counter()
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(5)
            taken.append(time.perf_counter() - started)
            await asyncio.sleep(GOOD_PAUSE)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(GOOD_CLIENTS)))
    return sorted(taken)


def p99(values: list[float]) -> float:
    """Return the 99th percentile in milliseconds."""
    return values[math.ceil(len(values) * 0.99) - 1] * 1000


def memory(pids: list[int]) -> int:
    """Return the resident bytes of processes."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * 4096


class Crowd:
    """Client processes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._started = 0
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, kind: str, count: int) -> subprocess.Popen[str]:
        self._started += 1
        command = [
            sys.executable,
            "-m",
            "bench.idle",
            "--client",
            kind,
            str(self._port),
            str(count),
        ]
        process = subprocess.Popen(
            [*command, f"127.0.1.{self._started}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._processes.append(process)
        return process

    @staticmethod
    def hear(process: subprocess.Popen[str]) -> dict:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a client ended with {process.wait()}")
        return json.loads(line)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def run(connections: int, attackers: int, extra: list[str]) -> bool:
    port, admin = free_port(), free_port()
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "read_header_timeout": f"{HEADER_SECONDS}s",
        "routes": [{"handle": [{"handler": "static_response", "body": "hello"}]}],
    }
    document = {
        "admin": {"listen": f"127.0.0.1:{admin}"},
        "apps": {"http": {"servers": {"s": server}}},
    }
    extra = ["--target", "edge,certs,admin", *extra]
    with Deployment("all", document, extra=extra) as deployment:
        pid = deployment.member("quantum").process.pid
        pids = [p for p in [pid, *descendants(pid)] if b"python" in command_of(p)]
        crowd = Crowd(port)
        try:
            return measure(crowd, port, pids, connections, attackers)
        finally:
            crowd.end()


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def measure(crowd: Crowd, port: int, pids: list[int], connections: int, attackers: int) -> bool:
    before = uvloop.run(behave(port))
    empty = memory(pids)
    idle = [crowd.start("idle", connections // 2) for _ in range(2)]
    opened = sum(crowd.hear(process)["open"] for process in idle)
    full = memory(pids)
    each = (full - empty) / opened
    attack = crowd.start("crawl", attackers)
    attacking = crowd.hear(attack)["open"]
    during = uvloop.run(behave(port))
    cut = crowd.hear(attack)["cut_after"]
    for process in idle:
        process.stdin.write("enough\n")
        process.stdin.flush()
    kept = sum(crowd.hear(process)["still_open"] for process in idle)
    ratio = p99(during) / p99(before)
    print(f"idle connections {opened}, still open at the end {kept}; attackers {attacking}")
    print(
        f"good requests    p99 {p99(before):.2f} ms before, {p99(during):.2f} ms during: x {ratio:.2f}"
    )
    print(
        f"memory           {each / 1024:.1f} KiB for each idle connection ({empty >> 20} to {full >> 20} MiB)"
    )
    print(
        f"attackers        cut after {cut[0]:.1f} to {cut[-1]:.1f} s; the deadline is {HEADER_SECONDS} s"
    )
    return kept == opened and each < 15 * 1024 and cut[-1] <= HEADER_SECONDS + 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--attackers", type=int, default=2_000)
    parser.add_argument("--workers", default="0")
    parser.add_argument("--client", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        kind, port, count, source = args.client
        uvloop.run(client(kind, int(port), int(count), source))
        return 0
    return 0 if run(args.connections, args.attackers, ["--workers", args.workers]) else 1


if __name__ == "__main__":
    sys.exit(main())
