"""The layout of frames and heads: numbers, and what C makes of bytes."""

from __future__ import annotations

import struct
from itertools import chain

from quantum import __version__
from quantum.wire.h1.head import SECRET_FIELDS
from quantum.wire.h2 import PROTOCOL_ERROR, Fields, H2Failure

VERSION = 1
"""Raised with every change that an older process would not understand."""
DATA_BYTES = 64 * 1024
"""The most that one DATA frame holds, so that streams take turns on a busy connection."""
FRAME_BYTES = 4 * 1024 * 1024
"""The longest frame: the largest head that edge admits, and a body that is sent with its head."""
RELEASE_BYTES = 64
"""What is read of the name of a peer's release."""
HELLO_BYTES = 1024
"""The longest first frame: whoever cannot say hello makes nobody hold more."""
JOINED_BYTES = 4 * 1024
"""Bodies up to this size are copied behind their heads; longer ones stay as they are until the kernel takes them."""
KEPT_HEADS = 1024
KEPT_BYTES = 1024
"""Heads that are remembered, and the longest that is: two mebibytes or so for the process."""
READY_BYTES = 256 * 1024
"""So much is made ready to be written; bodies beyond it wait in their streams, and their writers with them."""

FRAME = struct.Struct("!IBBQ")
FRAME_HEADER = FRAME.size
LENGTH = struct.Struct("!I")
MESSAGE = struct.Struct("!IBBQI")
"""A frame's header and the length of the head that follows."""
CODE = struct.Struct("!I")
HELLO_PAYLOAD = struct.Struct("!11sHI")
MAGIC = b"quantum-hop"
(HELLO, REQUEST, RESPONSE, INFORMATIONAL, DATA, TRAILERS, RESET, WINDOW, PING, PONG, GOAWAY) = (
    range(1, 12)
)
END = 1
EVERY_STREAM = (1 << 64) - 1


class OtherVersionError(H2Failure):
    """The peer speaks the hop in another version: ``theirs``, as its ``release`` does."""

    def __init__(self, ours: int, theirs: int, release: str) -> None:
        self.ours, self.theirs, self.release = ours, theirs, release
        super().__init__(
            f"it is of release {release or 'unknown'} and speaks version {theirs} of the hop;"
            f" this process is of release {__version__} and speaks version {ours}",
            PROTOCOL_ERROR,
        )


def encode_hello(version: int, max_streams: int) -> bytes:
    """Return the payload that begins a connection. Its first bytes are the same in every version."""
    return HELLO_PAYLOAD.pack(MAGIC, version, max_streams) + __version__.encode()


def decode_hello(payload: bytes, version: int) -> int:
    """Return how many streams the peer takes; H2Failure when it does not speak ``version``."""
    magic, theirs, max_streams = HELLO_PAYLOAD.unpack_from(payload)
    if magic != MAGIC:
        raise H2Failure("the peer does not speak the hop", PROTOCOL_ERROR)
    if theirs != version:
        release = payload[HELLO_PAYLOAD.size :][:RELEASE_BYTES].decode("ascii", "replace")
        raise OtherVersionError(version, theirs, "".join(filter(str.isprintable, release)))
    return int(max_streams)


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


_known: dict[bytes, Fields] = {}
"""Lines that were told apart before: clients of a kind send the same fields, and so do upstreams for a second."""
_OF_ONE_REQUEST = (b"quantum-", b":protocol")


def decode_request(head: bytes) -> Fields:
    """Return a request's fields: two that say who asks for what, then those that many requests have in common."""
    parts = head.split(b"\n", 4)
    if len(parts) < 5:
        return decode_head(head)
    method, lead, facts, marks, rest = parts
    return [(method, lead), (facts, marks), *(_known.get(rest) or _learn(rest))]


def decode_response(head: bytes) -> Fields:
    """Return a response's fields."""
    return _known.get(head) or _learn(head)


def _learn(lines: bytes) -> Fields:
    """Decode lines and keep what they say, unless it is long, may be a secret or is of one request only."""
    fields = tuple(decode_head(lines))
    if len(lines) <= KEPT_BYTES and not any(
        name in SECRET_FIELDS or name.startswith(_OF_ONE_REQUEST) for name, _ in fields
    ):
        if len(_known) >= KEPT_HEADS:
            _known.clear()
        _known[lines] = fields
    return fields
