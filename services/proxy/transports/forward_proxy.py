"""Upstreams behind an HTTP proxy (``forward_proxy_url``, ``network_proxy``).

As Go's client does it: CONNECT for what shall be encrypted or is not HTTP/1.1, requests with a whole URL
(RFC 9112 §3.2.2) for the rest.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from urllib.parse import unquote, urlsplit

from quantum.config.units import NetworkAddress

MAX_HEAD_BYTES = 64 * 1024
"""What a proxy may say before a tunnel begins."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
DEFAULT_PORT = 80


class ForwardProxy:
    """Where the proxy is and how it knows us."""

    def __init__(self, url: str) -> None:
        """ValueError for what is no URL of an HTTP proxy."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url!r}: only proxies at http://host:port are built here")
        port = parts.port or DEFAULT_PORT
        self.address = NetworkAddress("tcp", parts.hostname, port, port)
        self.authorization: bytes | None = None
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self.authorization = b"Basic " + base64.b64encode(secret.encode())

    async def connect(self, sock: socket.socket, target: str) -> None:
        """Ask for a tunnel to ``target`` ("host:port") on a connection to the proxy; OSError."""
        loop = asyncio.get_running_loop()
        lines = [b"CONNECT %s HTTP/1.1" % target.encode(), b"Host: " + target.encode()]
        if self.authorization is not None:
            lines.append(b"Proxy-Authorization: " + self.authorization)
        await loop.sock_sendall(sock, b"\r\n".join(lines) + b"\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            data = await loop.sock_recv(sock, 4096)
            if not data or len(head) > MAX_HEAD_BYTES:
                raise ConnectionError("the proxy did not answer CONNECT")
            head += data
        status = _STATUS.match(head)
        if status is None or not status[1].startswith(b"2"):
            said = head.partition(b"\r\n")[0][:80].decode("latin-1")
            raise ConnectionError(f"the proxy refused CONNECT: {said}")
        if not head.endswith(b"\r\n\r\n"):
            raise ConnectionError("the proxy sent bytes before the tunnel began")
