"""One small document by HTTP(S), with bounds on everything: what the configuration names as a source of trust.

For rooms that call somebody a few times a day (roots, certificates, permissions, OCSP). Blocks: call
``fetch`` in a thread. No redirects are followed, no proxy of the environment is asked, no credentials
are sent, and the whole exchange ends in ``seconds``, however slowly the far side drips.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

from quantum.errors import QuantumError

MAX_DOCUMENT = 1024 * 1024
"""Bytes of an answer: a pool of all public roots has a quarter of it."""
FETCH_SECONDS = 10.0
"""For one exchange, as Caddy's."""
THREADS = 8
"""Exchanges at a time in this process: a slow far side must not hold the threads that read disks."""

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")


class FetchFailedError(QuantumError):
    """There is no usable answer; the text says why and never holds the query of the URL."""


@dataclass(frozen=True)
class Wish:
    """What to ask for. ``context`` verifies an https:// server, None for the system's roots."""

    url: str
    method: str = "GET"
    body: bytes | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    unix: str = ""
    """A unix socket to ask instead of the URL's host."""
    seconds: float = FETCH_SECONDS
    max_bytes: int = MAX_DOCUMENT


@dataclass(frozen=True)
class Answer:
    """What came; ``fields`` have lower-case names."""

    status: int
    body: bytes
    fields: Mapping[str, str]


async def fetch(wish: Wish) -> Answer:
    """Return the answer whatever its status; FetchFailedError when there is none in time and bounds."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, fetch_blocking, wish)


def fetch_blocking(wish: Wish) -> Answer:
    """Do the same in this thread."""
    place = urlsplit(wish.url)
    connection = _connection(wish)
    cut = threading.Timer(wish.seconds, _cut, [connection])
    cut.daemon = True
    cut.start()  # the socket's own timeout is for each call: one byte at a time would go on for ever
    try:
        connection.connect()
        response, body = _exchange(connection, wish)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise FetchFailedError(f"{place.scheme}://{place.netloc}: {reason}") from error
    finally:
        cut.cancel()
        connection.close()
    named = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, body, named)


def _exchange(
    connection: http.client.HTTPConnection, wish: Wish
) -> tuple[http.client.HTTPResponse, bytes]:
    place = urlsplit(wish.url)
    target = (place.path or "/") + (f"?{place.query}" if place.query else "")
    connection.request(wish.method, target, wish.body, {"User-Agent": "Quantum", **wish.fields})
    response = connection.getresponse()
    body = response.read(wish.max_bytes + 1)
    if len(body) > wish.max_bytes:
        raise ValueError(f"the answer has more than {wish.max_bytes} bytes")
    return response, body


def _cut(connection: http.client.HTTPConnection) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not connected yet, or gone already
        connection.sock.shutdown(socket.SHUT_RDWR)


def _connection(wish: Wish) -> http.client.HTTPConnection:
    place = urlsplit(wish.url)
    host, port = cast("str", place.hostname), place.port
    if wish.unix:
        return _UnixConnection(wish.unix, wish.seconds)
    if place.scheme == "https":
        context = wish.context or ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=wish.seconds, context=context)
    return http.client.HTTPConnection(host, port, timeout=wish.seconds)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("local", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of an address."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
