"""What a TLS client asks for, its server name above all, read before the handshake begins (RFC 8446 §4.1.2, RFC 6066 §3).

Knowing it first lets a certificate be fetched while the client waits, and every setting be chosen by
name. Whatever looks wrong is left to OpenSSL, which knows the right alert for it.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_HELLO = 64 * 1024
"""Bytes of records to wait for: a hello with post-quantum keys and every extension has about two KiB."""

MAX_RECORD = 16 * 1024
"""The longest plain record (RFC 8446 §5.1)."""

ACME_PROTOCOL = "acme-tls/1"
"""What an ACME authority speaks that proves a name by TLS (RFC 8737 §6.2)."""

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _ALPN = 22, 1, 0, 16


@dataclass(frozen=True)
class ClientHello:
    """What was learnt; ``server_name`` is "" when none was sent, or when the hello makes no sense.

    ``remote_ip`` is whoever sent it, "" where that is not known. ``protocols`` are those of ALPN (RFC 7301).
    """

    server_name: str = ""
    remote_ip: str = ""
    protocols: tuple[str, ...] = ()

    @property
    def is_acme(self) -> bool:
        """Whether an authority asks for a proof: it names this protocol and no other (RFC 8737 §3)."""
        return self.protocols == (ACME_PROTOCOL,)

    def can_speak(self, offered: tuple[str, ...]) -> bool:
        """Return whether the client and a server that offers ``offered`` have a protocol (RFC 7301 §3.2).

        Who has none is refused, or it would be answered in a protocol that it did not ask for. Only
        HTTP/1.1 is spoken without agreement, as Go does: also with a server whose ALPN has ``h2`` alone.
        """
        if not self.protocols or not offered or not set(offered).isdisjoint(self.protocols):
            return True
        return "http/1.1" in self.protocols and "h2" in offered


def read_client_hello(data: bytes, remote_ip: str = "") -> ClientHello | None:
    """Return the hello at the start of ``data``, None while more bytes are needed."""
    try:
        hello = _join_records(data)
        if hello is None:
            return None if len(data) < MAX_HELLO else ClientHello("", remote_ip)
        return _read(hello, remote_ip)
    except (IndexError, ValueError):
        return ClientHello("", remote_ip)


def _join_records(data: bytes) -> bytes | None:
    """Return the first handshake message of the records in ``data``, None when it is not complete."""
    message, position = b"", 0
    while True:
        if len(data) > position and data[position] != _HANDSHAKE:
            raise ValueError("not a handshake record")
        if len(data) < position + 5:
            return None
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        if not 0 < length <= MAX_RECORD:
            raise ValueError("no record of a hello")
        message += data[position + 5 : position + 5 + length]
        position += 5 + length
        if len(message) >= 4:
            if message[0] != _CLIENT_HELLO:
                raise ValueError("not a hello")
            size = int.from_bytes(message[1:4], "big")
            if len(message) >= 4 + size:
                return message[4 : 4 + size]
        if position > len(data):
            return None


def _read(hello: bytes, remote_ip: str) -> ClientHello:
    name = ""
    protocols: tuple[str, ...] = ()
    position = 2 + 32  # version, random
    position += 1 + hello[position]  # session id
    position += 2 + int.from_bytes(hello[position : position + 2], "big")  # cipher suites
    position += 1 + hello[position]  # compression
    end = position + 2 + int.from_bytes(hello[position : position + 2], "big")
    position += 2
    while position + 4 <= min(end, len(hello)):
        kind = int.from_bytes(hello[position : position + 2], "big")
        size = int.from_bytes(hello[position + 2 : position + 4], "big")
        if kind == _SERVER_NAME:
            name = name or _first_name(hello[position + 4 : position + 4 + size])
        elif kind == _ALPN:
            protocols = _protocols(hello[position + 4 : position + 4 + size])
        position += 4 + size
    return ClientHello(name, remote_ip, protocols)


def _first_name(extension: bytes) -> str:
    """Return the host name of a server_name list, lower case, without a final dot."""
    if len(extension) < 5 or extension[2] != 0:
        return ""
    size = int.from_bytes(extension[3:5], "big")
    return extension[5 : 5 + size].decode("ascii").lower().removesuffix(".")


def _protocols(extension: bytes) -> tuple[str, ...]:
    """Return the names of an ALPN list, which may be any bytes (RFC 7301 §3.1)."""
    names, position = [], 2
    while position < len(extension):
        size = extension[position]
        names.append(extension[position + 1 : position + 1 + size].decode("latin-1"))
        position += 1 + size
    return tuple(names)
