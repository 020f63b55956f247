"""The header of the PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt, 2020-03-05): no I/O.

It is read strictly. Whoever may send it decides who a request is from, so what can be read in two ways is
refused.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

V1_START = b"PROXY "
V2_START = b"\r\n\r\n\x00\r\nQUIT\n"
V1_BYTES = 107
"""The longest line of version 1, CRLF included (§2.1)."""
V2_BYTES = 4096
"""The most that may follow the 16 fixed bytes of version 2; what balancers add takes some hundred."""

End = tuple[str, int]

_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_SIZES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
_CRC32C = 0x03
_CRC32C_POLYNOMIAL = 0x82F63B78


class MalformedHeader(Exception):
    """It begins as a header and is none."""


@dataclass(frozen=True)
class ProxyHeader:
    """What a header says, and its ``size`` in bytes.

    ``peer`` and ``local`` are None when it says nothing of the connection (the balancer's own health
    checks); a unix socket's are ("", 0).
    """

    size: int
    peer: End | None = None
    local: End | None = None


def read_header(data: bytes) -> ProxyHeader | bool:
    """Return the header at the start of ``data``; True while it may become one, False when it cannot.

    MalformedHeader for one that began and is not well formed.
    """
    if data.startswith(V2_START):
        return _read_v2(data)
    if data.startswith(V1_START):
        return _read_v1(data)
    return V2_START.startswith(data) or V1_START.startswith(data)


# Version 1: a line of text.


def _read_v1(data: bytes) -> ProxyHeader | bool:
    end = data.find(b"\r\n", 0, V1_BYTES)
    if end < 0:
        if len(data) >= V1_BYTES or b"\n" in data:
            raise MalformedHeader("the line has no end")
        return True
    line = data[len(V1_START) : end]
    if line == b"UNKNOWN" or line.startswith(b"UNKNOWN "):
        return ProxyHeader(end + 2)
    parts = line.split(b" ")
    if len(parts) != 5 or parts[0] not in {b"TCP4", b"TCP6"}:
        raise MalformedHeader("not a protocol, two addresses and two ports")
    version = 4 if parts[0] == b"TCP4" else 6
    source, target = (_address(text, version) for text in parts[1:3])
    ports = [_port(text) for text in parts[3:5]]
    return ProxyHeader(end + 2, (source, ports[0]), (target, ports[1]))


def _address(text: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        raise MalformedHeader(f"{text!r} is no address") from None
    if address.version != version or b"%" in text:
        raise MalformedHeader(f"{text!r} is no IPv{version} address")
    return str(address)


def _port(text: bytes) -> int:
    if not text.isdigit() or len(text) > 5 or (text[:1] == b"0" and text != b"0"):
        raise MalformedHeader(f"{text!r} is no port")
    port = int(text)
    if port > 65535:
        raise MalformedHeader(f"{text!r} is no port")
    return port


# Version 2: binary.


def _read_v2(data: bytes) -> ProxyHeader | bool:
    if len(data) < 16:
        return True
    command, family, length = struct.unpack_from("!BBH", data, 12)
    if command not in {_LOCAL, _PROXY}:
        raise MalformedHeader(f"version and command {command:#04x}")
    if family not in _SIZES:
        raise MalformedHeader(f"family and transport {family:#04x} over a stream")
    if length > V2_BYTES:
        raise MalformedHeader(f"{length} bytes")
    if command == _PROXY and length < _SIZES[family]:
        raise MalformedHeader("shorter than its addresses")
    if len(data) < 16 + length:
        return True
    header = data[: 16 + length]
    if command == _LOCAL:
        return ProxyHeader(len(header))
    _check_extensions(header, 16 + _SIZES[family])
    if family == _UNSPECIFIED:
        return ProxyHeader(len(header))
    if family == _UNIX:
        return ProxyHeader(len(header), ("", 0), ("", 0))
    return ProxyHeader(len(header), *_ends(header, 4 if family == _TCP4 else 16))


def _ends(header: bytes, width: int) -> tuple[End, End]:
    addresses = header[16 : 16 + 2 * width]
    ports = struct.unpack_from("!HH", header, 16 + 2 * width)
    source, target = (
        str(ipaddress.ip_address(part)) for part in (addresses[:width], addresses[width:])
    )
    return (source, ports[0]), (target, ports[1])


def _check_extensions(header: bytes, position: int) -> None:
    """Check that type-length-value fields fill the rest, and the checksum if there is one (§2.2)."""
    while position < len(header):
        if len(header) - position < 3:
            raise MalformedHeader("an extension without its length")
        kind, size = struct.unpack_from("!BH", header, position)
        start = position + 3
        position = start + size
        if position > len(header):
            raise MalformedHeader("an extension longer than the header")
        if kind == _CRC32C:
            if size != 4:
                raise MalformedHeader("a checksum that is not four bytes")
            without = header[:start] + b"\0\0\0\0" + header[position:]
            if crc32c(without) != int.from_bytes(header[start:position], "big"):
                raise MalformedHeader("the checksum does not fit")


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of ``data`` (RFC 3309); bit by bit, since few headers have one."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_CRC32C_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
