"""Where contents are cut: FastCDC (Xia et al., ATC 2016), as ``fastcdc-rs`` v2020 does it.

A cut depends on the bytes around it alone, so an insertion changes the chunk it falls into and no
other. Any client that uses these parameters finds the same chunks; one that does not is served too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from pyfastcdc import FastCDC

SMALLEST, USUAL, LARGEST = 64 * 1024, 256 * 1024, 512 * 1024
"""Bytes of a chunk. With these the list of 1 GiB has 300 KB of JSON and a changed byte moves at most
512 KiB beside it: less than 1 MB together. The largest also fits into one message of the bus."""

WINDOW = 4 * 1024 * 1024
"""Bytes cut at a time: eight of the largest chunks, little memory for each content under way."""

_CUTTER = FastCDC(USUAL, min_size=SMALLEST, max_size=LARGEST)


def cut(file: BinaryIO) -> Iterator[bytes]:
    """Yield the chunks of a file from where it stands; nothing for an empty one. Blocks."""
    rest = b""
    while data := file.read(WINDOW):
        window = rest + data if rest else data
        pieces = [(piece.offset, piece.length) for piece in _CUTTER.cut_buf(window)]
        last = pieces.pop()  # it may go on in the next window
        for offset, length in pieces:
            yield window[offset : offset + length]
        rest = window[last[0] :]
    while rest:
        length = next(iter(_CUTTER.cut_buf(rest))).length
        yield rest[:length]
        rest = rest[length:]


def hash_of(data: bytes) -> str:
    """Return the name of a chunk: SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
