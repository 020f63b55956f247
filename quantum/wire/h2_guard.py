"""What a client may not do with HTTP/2 frames and nghttp2 lets it: looked at before the codec reads.

Walks frame headers and nothing else. Two things come of it: frames on streams that their sender has
ended are an error with its code (RFC 9113 §5.1, §5.1.1; nghttp2 passes over them), and frames that
cost us more than their sender, or cause nothing, are counted (reset, SETTINGS, PING, empty DATA,
WINDOW_UPDATE, PRIORITY and frames of no meaning: CVE-2019-9511 to 9518, CVE-2023-44487).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from quantum.wire.allowance import Allowance
from quantum.wire.h2 import ENHANCE_YOUR_CALM, PROTOCOL_ERROR, STREAM_CLOSED, H2Settings

PREFACE_BYTES = 24
HEADS_AT_ONCE = 16
"""Request heads handed to the codec in one piece: a small block may decode to a hundred kilobytes, so
that only so many are unpacked before somebody decides whether to keep them (CVE-2026-47774)."""
ODD_FRAMES = (500, 100)
"""Burst and rate per second of frames that are legal, and more than any client has use for."""
EARNED_BYTES = 2048
"""For so many bytes of body sent to a client it may say one thing more: each DATA frame is worth some
WINDOW_UPDATEs and, to those who measure bandwidth by it, a PING."""
OPEN_REMEMBERED = 1024
"""Streams that their client left open, though we are done with them; older ones are forgotten."""
MOST_PADDING = 256
"""A padded DATA frame up to this length may hold no data at all: it counts as empty."""
GAPS_REMEMBERED = 16
"""Runs of stream ids that a client left out: they tell which error a late use of one is."""

_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _CONTINUATION = 0, 1, 2, 3, 9
_PRIORITY_UPDATE = 0x10
_END_STREAM, _END_HEADERS, _PADDED = 0x1, 0x4, 0x8
_WITH_STREAM = frozenset({_PRIORITY, _PRIORITY_UPDATE})
_WHOLE = _END_STREAM | _END_HEADERS
_HEADER = struct.Struct("!HBBBL")
_WITH_DEPENDENCY = 13
"""Bytes of PRIORITY and PRIORITY_UPDATE up to the end of the stream id in them."""
_ID = 0x7FFFFFFF


class Offence(NamedTuple):
    """Why a connection ends: the error code of its GOAWAY, and the limit for those who count."""

    code: int
    limit: str


class FrameGuard:
    """Looks at one connection's frames; ``offence`` is set when it must end."""

    __slots__ = (
        "_continuations", "_forgotten", "_gaps", "_last", "_left", "_most_continuations", "_moved", "_moved_before", "_now", "_odd",
        "_open", "_partial", "_resets", "is_in_head", "offence",
    )  # fmt: skip

    def __init__(
        self, settings: H2Settings, now: Callable[[], float], moved: Callable[[], int]
    ) -> None:
        """``settings``: what the client was allowed; ``moved`` tells the bytes of body sent so far."""
        self.offence: Offence | None = None
        self.is_in_head = False
        """Whether a head was begun whose last frame has not come."""
        self._now = now
        self._moved = moved
        self._moved_before = 0
        self._resets = Allowance(*settings.resets, now())
        self._continuations = 0  # in a row, of one head
        self._most_continuations = settings.continuations
        self._odd = Allowance(*ODD_FRAMES, now())
        self._left = PREFACE_BYTES
        self._partial = b""
        self._last = -1
        self._open: dict[int, None] = {}
        self._forgotten = 0
        self._gaps: list[range] = []

    @property
    def has_asked(self) -> bool:
        """Whether the client ever began a request."""
        return self._last > 0

    def examine(self, data: bytes, start: int) -> int:
        """Return up to where ``data``, from ``start``, may be handed on before the next call.

        With ``offence`` set that is where the connection ends; the rest is not to be read.
        """
        if not self._partial:
            return self._walk(data, start + self._left)
        before = len(self._partial)  # handed on already
        whole, self._partial = self._partial + data[start:], b""
        return max(start, start + self._walk(whole, 0) - before)

    def _walk(self, data: bytes, at: int) -> int:
        size, heads, following = len(data), 0, self._last + 2
        read = _HEADER.unpack_from
        while at + 9 <= size:
            high, low, kind, flags, stream = read(data, at)
            if kind == _HEADERS:
                if heads == HEADS_AT_ONCE:
                    self._last, self._left = following - 2, 0
                    return at
                heads += 1
                if stream == following and flags & _WHOLE == _WHOLE:  # a request without a body
                    following += 2
                    at += 9 + (high << 8) + low
                    continue
            self._last = following - 2
            if not self._look_closer(data, at, (kind, flags, stream & _ID), (high << 8) + low):
                break
            if self.offence is not None:
                return at
            following = self._last + 2
            at += 9 + (high << 8) + low
        self._last = following - 2
        self._partial = data[at:]
        self._left = max(0, at - size)
        return size

    def _look_closer(self, data: bytes, at: int, head: tuple[int, int, int], length: int) -> bool:
        """Judge the frame at ``at``; False: more of it must be here first."""
        kind, flags, stream = head
        if self.is_in_head and kind != _CONTINUATION:  # whatever else is wrong with it (§6.10)
            self.offence = Offence(PROTOCOL_ERROR, "h2_protocol")
        elif kind == _HEADERS:
            self.is_in_head = not flags & _END_HEADERS
            self._continuations = 0
            self._see_head(stream, flags)
        elif kind == _CONTINUATION:
            self.is_in_head = not flags & _END_HEADERS
            self._continuations += 1
            if self._continuations > self._most_continuations:
                self.offence = Offence(ENHANCE_YOUR_CALM, "h2_heads")
        elif kind == _DATA:
            if not length or flags or stream not in self._open:
                self._see_data(stream, flags, length)
        elif kind in _WITH_STREAM and at + min(_WITH_DEPENDENCY, 9 + length) > len(data):
            return False
        else:
            self._see_other(kind, stream, length, data[at + 9 : at + _WITH_DEPENDENCY])
        return True

    # Kinds of frames.

    def _see_head(self, stream: int, flags: int) -> None:
        last = self._last
        if stream > last:
            if stream > last + 2:
                self._gaps.append(range(last + 2, stream, 2))
                del self._gaps[:-GAPS_REMEMBERED]
            self._last = stream
            if not flags & _END_STREAM:
                self._remember_open(stream)
        elif stream in self._open:
            if flags & _END_STREAM:
                del self._open[stream]
        elif stream & 1 and stream > self._forgotten:
            unused = any(stream in gap for gap in self._gaps)
            self.offence = Offence(PROTOCOL_ERROR if unused else STREAM_CLOSED, "h2_protocol")

    def _remember_open(self, stream: int) -> None:
        self._open[stream] = None
        if len(self._open) > OPEN_REMEMBERED:
            oldest = next(iter(self._open))
            del self._open[oldest]
            self._forgotten = oldest

    def _see_data(self, stream: int, flags: int, length: int) -> None:
        if stream in self._open:
            if flags & _END_STREAM:
                del self._open[stream]
            elif not length or (flags & _PADDED and length <= MOST_PADDING):
                self._count_odd()
        elif self._forgotten < stream <= self._last and stream & 1:
            self.offence = Offence(STREAM_CLOSED, "h2_protocol")

    def _see_other(self, kind: int, stream: int, length: int, payload: bytes) -> None:
        if kind == _RST_STREAM:
            self._open.pop(stream, None)
            if not self._resets.spend(self._now()):
                self.offence = Offence(ENHANCE_YOUR_CALM, "h2_resets")
        elif kind == _PRIORITY and (
            not stream or (length == 5 and int.from_bytes(payload, "big") & _ID == stream)
        ):
            self.offence = Offence(PROTOCOL_ERROR, "h2_protocol")
        elif kind == _PRIORITY_UPDATE and length >= 4 and not int.from_bytes(payload, "big") & _ID:
            self.offence = Offence(PROTOCOL_ERROR, "h2_protocol")  # of no stream (RFC 9218 §7.1)
        else:
            self._count_odd()

    def _count_odd(self) -> None:
        if self._odd.spend(self._now()):
            return
        moved = self._moved()
        earned, self._moved_before = (moved - self._moved_before) / EARNED_BYTES, moved
        self._odd.add(earned)
        if not self._odd.spend(self._now()):
            self.offence = Offence(ENHANCE_YOUR_CALM, "h2_frames")
