"""``python -m bench.first_byte``: what a proxy adds to server-sent events.

An upstream answers at once with the head and one event, then sends an event every few milliseconds until
the stream ends. A client asks it directly and through each contender by turns, a new connection each time.
Printed: the time to the first event beyond the direct one, and how old later events are when they arrive.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import uvloop

from bench.contenders import caddy_process, wait_for
from quantum.testing.topology import Deployment, free_port

GOAL_SECONDS = 0.005
EVENTS = 5
"""Events after the first of each stream."""
PAUSE_SECONDS = 0.004
WARM = 20
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
ASK = b"GET /events HTTP/1.1\r\nHost: bench.example\r\nAccept: text/event-stream\r\n\r\n"


def event() -> bytes:
    """Return an event that says when it was made, by the clock that all processes of a machine share."""
    return b"data: %d\n\n" % time.monotonic_ns()


async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + event())
        for _ in range(EVENTS):
            await asyncio.sleep(PAUSE_SECONDS)
            writer.write(event())
        await writer.drain()
    except (ConnectionError, RuntimeError, asyncio.IncompleteReadError):
        pass  # somebody who looks whether we are there (uvloop: writing to what is closed)
    finally:
        writer.close()


async def ask(port: int) -> tuple[float, list[float]]:
    """Return the seconds to the first event, and the ages of the later ones on arrival."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began, first, ages = time.monotonic(), 0.0, []
    writer.write(ASK)
    while len(ages) < EVENTS and (line := await reader.readline()):
        if not line.startswith(b"data: "):
            continue
        now = time.monotonic_ns()
        if first:
            ages.append((now - int(line[6:])) / 1e9)
        else:
            first = now / 1e9 - began
    writer.close()
    if len(ages) != EVENTS:
        raise RuntimeError(f"{len(ages)} of {EVENTS} events came")
    return first, ages


async def measure(ports: dict[str, int], count: int) -> dict[str, tuple[list[float], list[float]]]:
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ports}
    for turn in range(-WARM, count):
        for name, port in ports.items():
            first, ages = await ask(port)
            if turn >= 0:
                found[name][0].append(first)
                found[name][1].extend(ages)
    return found


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def report(found: dict[str, tuple[list[float], list[float]]]) -> bool:
    """Print the table; return whether Quantum keeps the goal."""
    direct = found["direct"][0]
    print(
        f"{'':16}{'first event, ms':>26}{'beyond direct, ms':>24}{'age of events, ms':>24}\n"
        f"{'':16}{'p50':>13}{'p99':>13}{'p50':>12}{'p99':>12}{'p50':>12}{'p99':>12}"
    )
    good = True
    for name, (firsts, ages) in found.items():
        p50, p99 = quantile(firsts, 0.5), quantile(firsts, 0.99)
        more = [p50 - quantile(direct, 0.5), p99 - quantile(direct, 0.99)]
        good = good and (not name.startswith("quantum") or max(more) < GOAL_SECONDS)
        row = [*more, quantile(ages, 0.5), quantile(ages, 0.99)]
        print(f"{name:16}{p50 * 1e3:13.2f}{p99 * 1e3:13.2f}", *(f"{x * 1e3:11.2f}" for x in row))
    print(
        f"goal: less than {GOAL_SECONDS * 1e3:g} ms beyond direct: {'kept' if good else 'MISSED'}"
    )
    return good


def document(port: int, upstream: int) -> dict[str, object]:
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream}"}]}
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [proxy]}],
    }
    admin = {"listen": f"127.0.0.1:{free_port()}"}
    return {"admin": admin, "apps": {"http": {"servers": {"bench": server}}}}


async def serve(port: int) -> None:
    server = await asyncio.start_server(stream, "127.0.0.1", port)
    await server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.first_byte", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="streams by each way")
    parser.add_argument("--only", default="quantum-all,quantum-split,caddy")
    parser.add_argument("--serve", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve(options.serve))
        return 0
    upstream = free_port()
    command = [sys.executable, "-m", "bench.first_byte", "--serve", str(upstream)]
    process = subprocess.Popen(command)
    try:
        with ExitStack() as stack:
            wait_for(upstream)
            ports = {"direct": upstream}
            for name in options.only.split(","):
                port = ports[name] = free_port()
                if name == "caddy":
                    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                    stack.enter_context(caddy_process(document(port, upstream), scratch, port))
                else:
                    topology = name.removeprefix("quantum-")
                    stack.enter_context(Deployment(topology, document(port, upstream)))
                    wait_for(port)
            return 0 if report(uvloop.run(measure(ports, options.count))) else 1
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
