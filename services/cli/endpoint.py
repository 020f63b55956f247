"""Calling an endpoint of a running process: HTTP over TCP or a unix socket, one request at a time."""

from __future__ import annotations

import http.client
import socket

from quantum.config.units import NetworkAddress
from quantum.errors import in_words

EVERY_INTERFACE = frozenset({"", "0.0.0.0", "::"})


class EndpointError(Exception):
    """Nobody answers there, or not with HTTP."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket at the path; "@name" is an abstract one."""
        path = f"\0{self._path[1:]}" if self._path.startswith("@") else self._path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(path)


def call(
    address: str,
    method: str,
    path: str,
    body: bytes | None = None,
    fields: dict[str, str] | None = None,
    timeout: float = 10.0,
) -> tuple[int, str]:
    """Return (status, body); EndpointError when nobody answers within ``timeout`` seconds."""
    place = NetworkAddress.parse(address)
    connection: http.client.HTTPConnection
    if place.is_unix:
        connection = _UnixConnection(place.host, timeout)
    else:
        host = "127.0.0.1" if place.host in EVERY_INTERFACE else place.host
        connection = http.client.HTTPConnection(host, place.port, timeout=timeout)
    try:
        connection.request(method, path, body, fields or {})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise EndpointError(f"{address}: {in_words(error)}") from error
    finally:
        connection.close()
