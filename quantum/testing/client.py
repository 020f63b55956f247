"""A plain blocking HTTP client for end-to-end tests: it hides nothing and retries nothing."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass, field
from typing import Any

TIMEOUT = 15.0
"""Seconds: longer than any answer may take on a busy machine, shorter than a test's limit."""


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are lower case; repeated ones are joined with ``, ``."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """One address to talk to: plain, or TLS verified against ``root`` (PEM)."""

    host: str
    port: int
    root: str | None = None
    name: str = "localhost"
    headers: dict[str, str] = field(default_factory=dict)

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection: TLS with SNI ``name`` when there is a root certificate."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        connection.connect()
        if self.root is not None:
            context = self.tls()
            connection.sock = context.wrap_socket(connection.sock, server_hostname=self.name)
        return connection

    def tls(self) -> ssl.SSLContext:
        """Return the context that trusts the root and nothing else."""
        return ssl.create_default_context(cadata=self.root)

    def request(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = self.connect()
        try:
            return exchange(connection, method, target, body, self._fields(headers))
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Answer:
        """GET it."""
        return self.request("GET", target, None, **headers)

    def _fields(self, headers: dict[str, str]) -> dict[str, str]:
        fields = {"Host": f"{self.name}:{self.port}", **self.headers}
        fields.update({k.replace("_", "-"): v for k, v in headers.items()})
        return fields


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request on an open connection and read the whole answer."""
    connection.request(method, target, body, headers or {})
    response = connection.getresponse()
    fields: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
        fields[key] = f"{fields[key]}, {value}" if key in fields else value
    return Answer(response.status, fields, response.read())
