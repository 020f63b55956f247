"""The guard of HTTP/2 frames alone: where the bytes are cut makes no difference, and what it lets pass."""

from __future__ import annotations

import itertools
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from quantum.wire.h2 import ENHANCE_YOUR_CALM, STREAM_CLOSED, H2Settings
from quantum.wire.h2_guard import (
    EARNED_BYTES,
    HEADS_AT_ONCE,
    ODD_FRAMES,
    OPEN_REMEMBERED,
    PREFACE_BYTES,
    FrameGuard,
)

PREFACE = bytes(PREFACE_BYTES)
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING = 0, 1, 2, 3, 4, 6
END_STREAM, END_HEADERS = 1, 4
WHOLE = END_STREAM | END_HEADERS


def frame(kind: int, stream: int, flags: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def guard(moved=lambda: 0) -> FrameGuard:
    return FrameGuard(H2Settings(), lambda: 0.0, moved)


def handed_on(looks: FrameGuard, pieces) -> bytes:
    """Return what the codec would read."""
    taken = b""
    for piece in pieces:
        start = 0
        while start < len(piece) and looks.offence is None:
            end = looks.examine(piece, start)
            taken += piece[start:end]
            start = end
    return taken


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(n % (len(data) + 1) for n in at)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


FRAMES = st.builds(
    frame,
    st.sampled_from([DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, 9, 0xFA]),
    st.integers(0, 9),
    st.sampled_from([0, END_STREAM, 4, 5, 8]),
    st.one_of(st.binary(max_size=12), st.just(b"x" * 300), st.just(bytes(65536))),
)


@settings(max_examples=150)
@given(st.lists(FRAMES, max_size=30), st.lists(st.integers(0, 2**20), max_size=20))
def test_it_does_not_matter_how_the_bytes_are_cut(frames, places):
    data = PREFACE + b"".join(frames)
    whole, pieces = guard(), guard()
    before = handed_on(whole, [data])
    after = handed_on(pieces, cut(data, places))
    assert pieces.offence == whole.offence
    # A header that came in pieces was handed on before it could be read.
    assert after.startswith(before) if whole.offence else after == before == data
    assert len(after) - len(before) < 14


def test_a_frame_on_an_ended_stream_ends_the_connection():
    looks = guard()
    taken = handed_on(looks, [PREFACE + frame(HEADERS, 1, WHOLE) + frame(DATA, 1)])
    assert looks.offence.code == STREAM_CLOSED
    assert len(taken) == PREFACE_BYTES + 9


def test_what_was_earned_may_be_said():
    moved = 0
    looks = guard(lambda: moved)
    handed_on(looks, [PREFACE])
    for _ in range(5 * ODD_FRAMES[0]):
        moved += EARNED_BYTES
        handed_on(looks, [frame(PING, 0, payload=bytes(8))])
    assert looks.offence is None


def test_more_than_the_allowance_is_too_much():
    looks = guard()
    handed_on(looks, [PREFACE, *[frame(SETTINGS, 0)] * (ODD_FRAMES[0] + 1)])
    assert looks.offence == (ENHANCE_YOUR_CALM, "h2_frames")


def test_heads_are_handed_on_a_few_at_a_time():
    looks = guard()
    heads = b"".join(frame(HEADERS, n, WHOLE) for n in range(1, 201, 2))
    handed_on(looks, [PREFACE])
    assert looks.examine(heads, 0) == 9 * HEADS_AT_ONCE


def test_streams_left_open_are_forgotten_at_some_point_and_then_allowed():
    looks = guard()
    last = 2 * OPEN_REMEMBERED + 99
    handed_on(looks, [PREFACE, *(frame(HEADERS, n, END_HEADERS) for n in range(1, last, 2))])
    handed_on(looks, [frame(DATA, 1, payload=b"late")])
    assert looks.offence is None
    assert len(looks._open) == OPEN_REMEMBERED
