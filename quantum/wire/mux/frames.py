"""The layout of frames and heads: numbers, and what C makes of bytes."""

from __future__ import annotations

import struct
from itertools import chain

from quantum.wire.h2 import PROTOCOL_ERROR, Fields, H2Failure

VERSION = 1
"""Raised with every change that an older process would not understand."""
DATA_BYTES = 64 * 1024
"""The most that one DATA frame holds, so that streams take turns on a busy connection."""
FRAME_BYTES = 4 * 1024 * 1024
"""The longest frame: the largest head that edge admits, and a body that is sent with its head."""
HELLO_BYTES = 1024
"""The longest first frame: whoever cannot say hello makes nobody hold more."""
READY_BYTES = 256 * 1024
"""So much is made ready to be written; bodies beyond it wait in their streams, and their writers with them."""

FRAME = struct.Struct("!IBBQ")
FRAME_HEADER = FRAME.size
LENGTH = struct.Struct("!I")
CODE = struct.Struct("!I")
HELLO_PAYLOAD = struct.Struct("!11sHI")
MAGIC = b"quantum-hop"
(HELLO, REQUEST, RESPONSE, INFORMATIONAL, DATA, TRAILERS, RESET, WINDOW, PING, PONG, GOAWAY) = (
    range(1, 12)
)
END = 1
EVERY_STREAM = (1 << 64) - 1


def encode_head(fields: Fields) -> bytes:
    """Return fields as lines."""
    head = b"\n".join(chain.from_iterable(fields))
    if head.count(b"\n") != 2 * len(fields) - 1 and fields:
        # RFC 9110 §5.5: a field with a line's end in it is rejected, or gets a blank for it.
        clean = [part.replace(b"\n", b" ") for part in chain.from_iterable(fields)]
        head = b"\n".join(clean)
    return head


def decode_head(head: bytes) -> Fields:
    """Return the fields of such lines; H2Failure when they are none."""
    if not head:
        return ()
    parts = head.split(b"\n")
    if len(parts) & 1:
        raise H2Failure("a field has no value", PROTOCOL_ERROR)
    each = iter(parts)
    return list(zip(each, each, strict=True))
