"""``python -m bench.floods``: HTTP/2 floods against one process, and how a well-behaved client fares meanwhile.

For each flood a process attacks without a pause: it connects again as soon as it was cut. Printed: p99 of
the good client before and during, how many connections the attacker lost per second, and what the
server's memory grew by. ``--impatient``: attackers that leave by themselves after a thousand frames and
come again, instead of waiting until they are cut. Bombs hold their connections open instead, with windows of nothing: their memory
is per connection.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time

import hpack

from bench.idle import memory, p99
from quantum.testing.topology import Deployment, descendants, free_port
from tests.integration.edge.hostile import h2

SECONDS, PAUSE = 4.0, 0.005
IMPATIENT_FRAMES = 1000
BOMBS = 50
GET_LARGE = [*h2.GET[:3], (b":path", b"/large")]
FLOODS = {
    "rapid reset": lambda n: h2.headers(2 * n + 1) + h2.reset(2 * n + 1),
    "made you reset": lambda n: h2.headers(2 * n + 1) + h2.window_update(2 * n + 1, 0),
    "settings": lambda n: h2.settings(),
    "ping": lambda n: h2.frame(h2.PING, 0, 0, bytes(8)),
    "empty data": lambda n: (b"" if n else h2.headers(1, h2.POST, h2.END_HEADERS)) + h2.data(1),
    "window update": lambda n: h2.window_update(0, 1),
    "continuation": lambda n: h2.frame(h2.CONTINUATION if n else h2.HEADERS, 0, 1, b""),
}


async def attack(port: int, name: str, *, impatient: bool) -> None:
    """Flood until the time is over; print how many connections that cost."""
    end, lost = time.monotonic() + SECONDS + 1, 0
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(h2.PREFACE + h2.settings() + h2.settings(flags=h2.ACK))
        reading = asyncio.ensure_future(reader.read(-1))
        sent = 0
        while not reading.done() and time.monotonic() < end:
            writer.write(b"".join(map(FLOODS[name], range(sent, sent + 100))))
            sent += 100
            await asyncio.sleep(0)
            if impatient and sent >= IMPATIENT_FRAMES:
                break
        lost += impatient or reading.done()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.transport.abort()
    print(lost)


async def bombard(port: int) -> list[asyncio.StreamWriter]:
    """Open connections that ask for all they may, in heads that unpack to the largest, and take nothing."""
    writers = []
    for _ in range(BOMBS):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        encoder = hpack.Encoder()
        crumb = (b"cookie", b"x" * 3900)
        first = encoder.encode([*GET_LARGE, crumb], huffman=False)
        again = encoder.encode([*GET_LARGE, crumb])
        heads = [h2.frame(h2.HEADERS, h2.WHOLE, n, again) for n in range(3, 200, 2)]
        start = h2.PREFACE + h2.settings((h2.INITIAL_WINDOW, 0)) + h2.settings(flags=h2.ACK)
        writer.write(start + h2.frame(h2.HEADERS, h2.WHOLE, 1, first) + b"".join(heads))
        writers.append(writer)
    await asyncio.sleep(2)
    return writers


async def behave(port: int, seconds: float) -> list[float]:
    """Ask over one connection as a good client does; return the seconds of each request, sorted."""
    peer = h2.Peer(*await asyncio.open_connection("127.0.0.1", port))
    await peer.greet()
    taken: list[float] = []
    end, number = time.monotonic() + seconds, 1
    while time.monotonic() < end:
        began = time.perf_counter()
        peer.send(h2.headers(number))
        await peer.until(lambda f, n=number: f.stream == n and f.flags & h2.END_STREAM)
        taken.append(time.perf_counter() - began)
        peer.frames.clear()
        number += 2
        await asyncio.sleep(PAUSE)
    peer.close()
    return sorted(taken)


def measure(port: int, pids: list[int], attackers: list[str]) -> None:
    quiet = p99(asyncio.run(behave(port, SECONDS)))
    print(f"{'nobody':16} p99 {quiet:7.2f} ms")
    for name in FLOODS:
        before = memory(pids)
        attacker = subprocess.Popen(
            [sys.executable, "-m", "bench.floods", "--attack", name, "--port", str(port), *attackers],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(0.5)
        during = p99(asyncio.run(behave(port, SECONDS)))
        lost = int(attacker.communicate()[0]) / (SECONDS + 1)
        grown = (memory(pids) - before) / 2**20
        print(
            f"{name:16} p99 {during:7.2f} ms ({during / quiet:4.1f} x), "
            f"{lost:6.0f} attackers cut a second, memory {grown:+.1f} MiB",
            flush=True,
        )


async def measure_bombs(port: int, pids: list[int]) -> None:
    before = memory(pids)
    writers = await bombard(port)
    grown = (memory(pids) - before) / BOMBS
    print(
        f"{'bombs':16} {grown / 1024:.0f} KiB each of {BOMBS} connections with 100 stalled requests"
    )
    for writer in writers:
        writer.transport.abort()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=__doc__)
    parser.add_argument("--attack", choices=FLOODS)
    parser.add_argument("--port", type=int)
    parser.add_argument("--impatient", action="store_true")
    given = parser.parse_args()
    if given.attack:
        asyncio.run(attack(given.port, given.attack, impatient=given.impatient))
        return
    port = free_port()
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "protocols": ["h1", "h2c"],
        "routes": [
            {"match": [{"path": ["/large"]}], "handle": [{"handler": "static_response", "body": "x" * 30_000}]},
            {"handle": [{"handler": "static_response", "body": "hello"}]},
        ],
        "automatic_https": {"disable": True},
    }  # fmt: skip
    document = {"apps": {"http": {"servers": {"s": server}}}}
    with Deployment("all", document, extra=["--target", "edge,certs,admin"]) as deployment:
        pid = deployment.member("quantum").process.pid
        pids = [pid, *descendants(pid)]
        measure(port, pids, ["--impatient"] if given.impatient else [])
        asyncio.run(measure_bombs(port, pids))


if __name__ == "__main__":
    main()
