"""The PROXY protocol towards upstreams, versions 1 and 2: who the client is, before anything else is said.

Source: HAProxy's proxy-protocol.txt, sections 2.1 and 2.2. The header stands for one client, so a
connection that begins with it carries the requests of one request's client and is not kept.
"""

from __future__ import annotations

import ipaddress
import struct

from quantum.http.message import ConnectionFacts

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_PROXY_V2 = 0x21
"""Version 2, command PROXY."""
_LOCAL_V2 = 0x20
"""Version 2, command LOCAL: take the connection's own ends."""
_TCP4, _TCP6, _UNSPECIFIED = 0x11, 0x21, 0x00


def encode(version: str, client: ConnectionFacts) -> bytes:
    """Return the header of ``version`` ("v1", "v2") for a client's connection.

    A client without an address (a unix socket's) is announced as unknown. The destination is the address
    the client connected to, zeros where that is of another family.
    """
    ends = _ends(client)
    return _text(ends, client) if version == "v1" else _binary(ends, client)


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _ends(client: ConnectionFacts) -> tuple[Address, Address] | None:
    try:
        source = ipaddress.ip_address(client.peer[0].partition("%")[0])
    except ValueError:
        return None
    try:
        target = ipaddress.ip_address(client.local[0].partition("%")[0])
    except ValueError:
        target = source
    if target.version != source.version or target is source:
        target = type(source)(0)
    return source, target


def _text(ends: tuple[Address, Address] | None, client: ConnectionFacts) -> bytes:
    if ends is None:
        return b"PROXY UNKNOWN\r\n"
    source, target = ends
    ports = f"{client.peer[1]} {client.local[1]}"
    return f"PROXY TCP{source.version} {source} {target} {ports}\r\n".encode()


def _binary(ends: tuple[Address, Address] | None, client: ConnectionFacts) -> bytes:
    if ends is None:
        return SIGNATURE + bytes((_LOCAL_V2, _UNSPECIFIED, 0, 0))
    source, target = ends
    family = _TCP4 if source.version == 4 else _TCP6
    ports = struct.pack("!HH", client.peer[1], client.local[1])
    addresses = source.packed + target.packed + ports
    return SIGNATURE + bytes((_PROXY_V2, family)) + struct.pack("!H", len(addresses)) + addresses
