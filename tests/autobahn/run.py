"""One run of the suite against an echo: directly, through the plain edge, or through TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from quantum.testing.client import Site
from quantum.testing.topology import Deployment, free_port

RANKS = {"OK": 0, "INFORMATIONAL": 1, "NON-STRICT": 2, "UNIMPLEMENTED": 3, "FAILED": 4, "ERROR": 5}
"""The suite's words, from the best to the worst."""
MAX_MESSAGE = 32 * 1024 * 1024
"""What the echo takes: the largest message of the suite has 16 MiB."""
PIECE = 64 * 1024

Verdicts = dict[str, tuple[str, str]]
"""By case: what the suite says of its messages, and of its closing handshake."""


async def echo(connection: ServerConnection) -> None:
    """Send every message back; bad ones are the suite's intent."""
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


class Background:
    """An event loop in a thread: what the suite talks to runs beside the test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0.05))
        self.loop.close()


@contextlib.asynccontextmanager
async def through_tls(port: int, root: str) -> AsyncIterator[int]:
    """Give a plain port that leads to a TLS port: the suite's client speaks no TLS."""
    context = ssl.create_default_context(cadata=root)
    context.set_alpn_protocols(["http/1.1"])
    tasks: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        pumps = [pump(reader, ends[1]), pump(ends[0], writer)]
        tasks.update(made := [asyncio.ensure_future(p) for p in pumps])
        await asyncio.wait(made)
        tasks.difference_update(made)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way; the end of one side is the end of the other."""
    try:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


def document(upstream: int, plain: int, secure: int) -> dict[str, Any]:
    """Return the configuration: the echo behind an edge in clear and over TLS."""
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream}"}]}
    match = [{"host": ["localhost"]}]
    servers = {
        "plain": {
            "listen": [f"127.0.0.1:{plain}"],
            "automatic_https": {"disable": True},
            "routes": [{"handle": [proxy]}],
        },
        "secure": {
            "listen": [f"127.0.0.1:{secure}"],
            "automatic_https": {"disable_redirects": True},
            # The first route is for the certificate: the suite's Host is an address.
            "routes": [{"match": match, "handle": [proxy]}, {"handle": [proxy]}],
        },
    }
    admin = {"listen": f"127.0.0.1:{free_port()}"}
    return {"admin": admin, "apps": {"http": {"servers": servers}}}


@contextlib.contextmanager
def ways(topologies: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """Give the ports that lead to the same echo: ``direct``, then two for each topology."""
    background = Background()
    entered = contextlib.AsyncExitStack()
    with contextlib.ExitStack() as stack:
        stack.callback(background.close)
        stack.callback(lambda: background.run(entered.aclose()))

        async def start() -> int:
            server = await entered.enter_async_context(
                serve(echo, "127.0.0.1", 0, max_size=MAX_MESSAGE, ping_interval=None)
            )
            return int(next(iter(server.sockets)).getsockname()[1])

        ports = {"direct": background.run(start())}
        for topology in topologies:
            plain, secure = free_port(), free_port()
            made = document(ports["direct"], plain, secure)
            stack.enter_context(Deployment(topology, made))
            host, port = made["admin"]["listen"].split(":")
            root = Site(host, int(port)).get("/pki/ca/local").json()["root_certificate"]
            ports[f"{topology}, plain"] = plain
            ports[f"{topology}, TLS"] = background.run(
                entered.enter_async_context(through_tls(secure, root))
            )
        yield ports


def verdicts(
    port: int,
    folder: Path,
    excluded: tuple[str, ...],
    seconds: float,
    included: tuple[str, ...] = (),
) -> Verdicts:
    """Run the cases against a port; TimeoutExpired when they take longer than ``seconds``."""
    command = [str(Path(sys.executable).parent / "kosoku"), "-m", "fuzzingclient", "-p", "4"]
    for pattern in excluded:
        command += ["-x", pattern]
    for pattern in included:
        command += ["-i", pattern]
    command += ["-o", str(folder), f"127.0.0.1:{port}"]
    subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    found: Verdicts = {}
    for agent in json.loads((folder / "index.json").read_text()).values():
        for case, told in agent.items():
            found[case] = told["behavior"], told["behaviorClose"]
    return found


def worse(direct: Verdicts, proxied: Verdicts) -> list[str]:
    """Return the cases of which a verdict is worse through the proxy than directly."""
    told = []
    for case, before in direct.items():
        after = proxied.get(case, ("ERROR", "ERROR"))
        if any(rank(a) > rank(b) for a, b in zip(after, before, strict=True)):
            told.append(f"{case}: {after}, directly {before}")
    return told


def better(direct: Verdicts, proxied: Verdicts) -> list[str]:
    """Return the cases of which a verdict is better through the proxy, and none worse."""
    lost = {told.partition(":")[0] for told in worse(direct, proxied)}
    differ = (case for case, before in direct.items() if proxied.get(case) != before)
    return [case for case in differ if case not in lost]


def rank(verdict: str) -> int:
    """Return how bad a verdict is."""
    return RANKS.get(verdict, RANKS["FAILED"])
