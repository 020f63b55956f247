"""Changed requests through Quantum: what the origin saw is what the client got answers for."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from quantum.testing.debian import has_program
from quantum.testing.topology import Deployment, free_port
from tests.smuggling.mutations import mutated
from tests.smuggling.origins import Counting, Haproxy, Nginx

ROOMS = ("certs", "proxy", "edge")
AT_ONCE = 100
SILENCE_SECONDS = 3.0
"""A connection that says nothing for so long waits for more of a body: the case is over."""
MARK = b"\r\nx-origin: 1\r\n"


async def answers(port: int, data: bytes) -> int:
    """Send bytes on a connection of their own; return how many answers came from the origin."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    received = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while piece := await asyncio.wait_for(reader.read(65536), SILENCE_SECONDS):
            received += piece
    writer.close()
    return received.lower().count(MARK)


def document(ports: dict[int, int]) -> dict:
    servers = {
        f"s{port}": {
            "listen": [f"127.0.0.1:{port}"],
            "routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{origin}"}]}]}],
            "automatic_https": {"disable": True},
        }
        for port, origin in ports.items()
    }  # fmt: skip
    return {"apps": {"http": {"servers": servers}}}


async def differences(
    topology: str, count: int, first: int = 0, *, has_haproxy: bool = False
) -> tuple[list[str], int]:
    """Return the cases in which the two counts differ, and how many requests reached an origin."""
    folder = Path(tempfile.mkdtemp(prefix="q-smuggling-"))
    origins: list[Counting | Nginx | Haproxy] = [Counting()]
    if shutil.which("nginx"):
        origins.append(Nginx(folder))
    if has_haproxy and has_program("haproxy", "haproxy"):
        origins.append(Haproxy(folder))
    for origin in origins:
        await origin.start()
    ports = {free_port(): origin.port for origin in origins}
    wrong, reached = [], 0
    try:
        with Deployment(topology, document(ports), rooms=ROOMS):
            for port, origin in zip(ports, origins, strict=True):
                got = await _ask_all(port, range(first, first + count))
                await asyncio.sleep(0.5)
                seen = origin.seen()
                reached += seen.total()
                wrong += [
                    f"{origin.name} saw {seen[case]}, answered {got[case]}: {mutated(case)!r}"
                    for case in sorted(seen.keys() | got.keys())
                    if seen[case] != got[case]
                ]
    finally:
        for origin in origins:
            await origin.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return wrong, reached


async def _ask_all(port: int, cases: range) -> Counter[int]:
    gate = asyncio.Semaphore(AT_ONCE)
    got: Counter[int] = Counter()

    async def one(case: int) -> None:
        async with gate:
            got[case] = await answers(port, mutated(case))

    await asyncio.gather(*map(one, cases))
    return got
