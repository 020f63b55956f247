"""Checks below HTTP: whether a connection (with TLS, if configured) can be opened, and gRPC's own health service.

gRPC: ``grpc.health.v1.Health/Check`` over HTTP/2, cleartext or TLS (github.com/grpc/grpc, doc/health-checking.md);
messages are framed by five bytes (doc/PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from quantum.config.units import NetworkAddress
from quantum.connection.h2 import field_value
from quantum.connection.h2_client import H2Client, RequestFailed
from quantum.errors import BodyAborted
from quantum.http.body import AnyBody
from quantum.wire.h2 import H2Settings
from services.health.checks import Check

SERVING = 1
STATUS_NAMES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
MAX_MESSAGE = 4096
"""Bytes of an answer that are read: a HealthCheckResponse has two."""


async def ask_tcp(check: Check) -> str:
    """Connect and leave; "" when that worked. OSError and TimeoutError when it did not."""
    transport, _ = await _connect(check, asyncio.Protocol, check.tls)
    _end(transport, check)
    return ""


async def ask_grpc(check: Check) -> str:
    """Return what is wrong with the gRPC service ``grpc_service`` ("" is the server as a whole)."""
    loop = asyncio.get_running_loop()
    client = H2Client(H2Settings(), loop)
    transport, _ = await _connect(check, lambda: client, check.tls_h2)
    try:
        await client.ready()
        answer = await client.request(_fields(check), frame(check.active.grpc_service))
        status = field_value(answer.fields, b":status")
        if status != b"200":
            return f"status {(status or b'none').decode()}"
        message, trailers = await _read(answer.body)
        code = trailers or field_value(answer.fields, b"grpc-status") or b""
        return judge(message, code.decode("latin-1"))
    except (RequestFailed, BodyAborted) as failure:
        return str(failure)
    finally:
        _end(transport, check)


def frame(service: str) -> bytes:
    """Return a HealthCheckRequest as a gRPC message: field 1 is the service's name."""
    name = service.encode()
    message = b"\x0a" + varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def varint(number: int) -> bytes:
    """Encode as protobuf does."""
    out = b""
    while number > 0x7F:
        out += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return out + bytes((number,))


def judge(message: bytes, code: str) -> str:
    """Return what is wrong with an answer: its grpc-status, then the status inside the message."""
    if code not in ("", "0"):
        return f"grpc-status {code}"
    if len(message) < 5 or message[0] != 0:
        return "no gRPC message in the answer"
    body = message[5 : 5 + int.from_bytes(message[1:5], "big")]
    serving = body[1] if len(body) >= 2 and body[0] == 0x08 else 0
    return "" if serving == SERVING else f"grpc {STATUS_NAMES.get(serving, serving)}"


def _fields(check: Check) -> list[tuple[bytes, bytes]]:
    address = NetworkAddress.parse(check.target)
    authority = "localhost" if address.is_unix else address.host_port()
    return [
        (b":method", b"POST"),
        (b":scheme", b"http" if check.tls is None else b"https"),
        (b":authority", authority.encode()),
        (b":path", b"/grpc.health.v1.Health/Check"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"Quantum-health"),
    ]


async def _read(body: AnyBody) -> tuple[bytes, bytes]:
    """Return a body and the grpc-status of its trailers."""
    if isinstance(body, bytes):
        return body, b""
    data = b""
    async for chunk in body:
        data += chunk
        if len(data) > MAX_MESSAGE:
            await body.aclose()
            break
    trailers = body.trailers
    return data, (trailers.get(b"grpc-status") or b"") if trailers is not None else b""


def _end(transport: asyncio.Transport, check: Check) -> None:
    """Close a connection; one with TLS at once, for nobody waits half a minute for its peer's goodbye."""
    if check.tls is None:
        transport.close()
    else:
        transport.abort()


async def _connect(
    check: Check, make: Callable[[], Any], tls: ssl.SSLContext | None
) -> tuple[asyncio.Transport, Any]:
    loop, address = asyncio.get_running_loop(), NetworkAddress.parse(check.target)
    host = address.host or "localhost"
    if address.is_unix:
        path = "\0" + host[1:] if host.startswith("@") else host
        name = (check.server_name or "localhost") if tls is not None else None
        return await loop.create_unix_connection(make, path, ssl=tls, server_hostname=name)
    name = (check.server_name or host) if tls is not None else None
    return await loop.create_connection(make, host, address.port, ssl=tls, server_hostname=name)
