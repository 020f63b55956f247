"""The clients of one share in this process: each subscriber hears of every operation, or is cut.

The bytes of a message are made once for all clients that get the same.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from quantum.bus.subjects import ShareOperation
from quantum.clock import Clock
from quantum.tasks import TaskSet
from quantum.wire.websocket import CloseCode, Opcode, deflate, encode_frame
from services.sync import protocol
from services.sync.live.metrics import LiveMetrics
from services.sync.rules.operations import KINDS, content_of

if TYPE_CHECKING:
    from services.sync.live.client import Client
    from services.sync.share.share import Share

STALE_SECONDS = 300.0
"""A client of which nothing was heard for so long is gone: the specification's five minutes."""

PROBE_SECONDS = 120.0
"""A silent client is sent a WebSocket ping after this time; browsers answer it by themselves."""

SWEEP_SECONDS = 30.0
"""Between looks for silent clients: the precision of the two limits above."""

HEAD_SECONDS = 1.0
"""Between messages to filtered subscribers that nothing matched: their cursor moves on with them."""

TIMED = 20_000
"""Operations whose commit time is remembered for the lag: some minutes at the rate a share reaches."""


DEFLATED_FROM = 1024
"""Bytes of a message that is compressed for clients that can: below that the gain is a packet's header,
and most operations have 400."""


def text_frame(message: dict[str, Any]) -> bytes:
    """Return the frame that sends ``message``."""
    return encode_frame(Opcode.TEXT, json.dumps(message, separators=(",", ":")).encode())


class Said:
    """One message for many clients: made when the first one needs it, in the form that each can read."""

    __slots__ = ("_deflated", "_make", "_plain")

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._plain: bytes | None = None
        self._deflated: bytes | None = None

    def frame(self, *, deflates: bool) -> bytes:
        """Return the frame for a client."""
        if self._plain is None:
            self._plain = text_frame(self._make())
        if not deflates or len(self._plain) < DEFLATED_FROM:
            return self._plain
        if self._deflated is None:
            text = json.dumps(self._make(), separators=(",", ":")).encode()
            self._deflated = encode_frame(Opcode.TEXT, deflate(text), is_deflated=True)
        return self._deflated


class Hub:
    """The clients of one share."""

    def __init__(self, share: Share, clock: Clock, metrics: LiveMetrics) -> None:
        self.share = share
        self.clock = clock
        self.metrics = metrics
        self.clients: set[Client] = set()
        self.tasks = TaskSet("sync:hub")
        self._committed: OrderedDict[int, float] = OrderedDict()
        self._head = metrics.head.labels(share.name)
        self._operations = {kind: metrics.operations.labels(kind) for kind in KINDS}

    def start(self) -> None:
        """Begin to look for silent clients."""
        self.tasks.start(self._sweep(), "sweep")
        self.tasks.start(self._tell_heads(), "heads")

    def announce(self, seq: int, entry: ShareOperation) -> None:
        """Tell every subscriber of an operation."""
        self._count(seq, entry)
        if not self.clients:
            return
        plain = Said(lambda: protocol.file_operation(entry.operation, entry.source_client))
        full = Said(lambda: operation_message(seq, entry))
        told = 0
        for client in list(self.clients):
            subscription = client.subscription
            if subscription is not None:
                if not subscription.is_live or seq <= subscription.sent:
                    continue
                if not subscription.wants(entry):
                    subscription.skipped = seq
                    continue
                subscription.sent = seq
                client.deliver(full.frame(deflates=client.deflates), seq)
            elif client.client_id is not None and client.hears(entry):
                client.deliver(plain.frame(deflates=client.deflates))
            else:
                continue
            told += 1
        self.metrics.delivered.inc(told)

    def part(self) -> None:
        """Let everybody come again: what they heard may not be the log's past any more."""
        for client in list(self.clients):
            client.close(CloseCode.TRY_AGAIN, "the share begins anew")

    def _count(self, seq: int, entry: ShareOperation) -> None:
        self._operations[content_of(entry.operation)[0]].inc()
        self._head.set(seq)
        if entry.rule:
            self.metrics.conflicts.labels("copy").inc()
        self._committed[seq] = self.clock.monotonic()
        if len(self._committed) > TIMED:
            self._committed.popitem(last=False)

    def note_applied(self, seq: int) -> None:
        """A client has applied ``seq``: measure how long that took."""
        committed = self._committed.get(seq)
        if committed is not None:
            self.metrics.lag.observe(self.clock.monotonic() - committed)

    async def aclose(self) -> None:
        """Say goodbye to every client; cut those that do not leave within a second."""
        for client in list(self.clients):
            client.close(CloseCode.GOING_AWAY, "the server stops")
        for _ in range(20):
            if not self.clients:
                break
            await asyncio.sleep(0.05)
        for client in list(self.clients):
            client.cut("stop")
        await self.tasks.aclose()

    async def _sweep(self) -> None:
        while True:
            await self.clock.sleep(SWEEP_SECONDS)
            now = self.clock.monotonic()
            for client in list(self.clients):
                silence = now - client.last_heard
                if silence > STALE_SECONDS:
                    client.close(CloseCode.GOING_AWAY, "nothing heard for five minutes")
                    client.cut("stale")
                elif silence > PROBE_SECONDS:
                    client.send(_PROBE)

    async def _tell_heads(self) -> None:
        while True:
            await self.clock.sleep(HEAD_SECONDS)
            share, metrics = self.share, self.metrics
            queued = sum(client.queued for client in self.clients)
            metrics.queued.labels(share.name).set(queued)
            metrics.waiting.labels(share.name).set(share.waiting)
            metrics.head.labels(share.name).set(share.tree.head)
            metrics.pending.labels(share.name).set(len(share.keeper.pending))
            metrics.restarts.labels(share.name).set(share.restarts)
            metrics.saved.labels(share.name).set(share.contents.directory.saved)
            for client in list(self.clients):
                subscription = client.subscription
                if subscription is not None and subscription.skipped > subscription.sent:
                    subscription.sent = subscription.skipped
                    client.send(text_frame(protocol.ack("head", head=subscription.sent)))


def operation_message(seq: int, entry: ShareOperation) -> dict[str, Any]:
    """Return the message of protocol 2 for an operation."""
    return {"type": "FileOperation", **protocol.logged_operation(seq, entry)}


_PROBE = encode_frame(Opcode.PING, b"")
