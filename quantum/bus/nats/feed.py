"""Reading a stream in order, with no gap: what watches and logs stand on.

A push consumer without acknowledgements delivers to an inbox; its sequence numbers and its
heartbeats show whether anything is missing. When something is, the feed is broken: its owner starts
a new one from what it knows. Flow control keeps the server from sending more than is consumed.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js import api

from quantum.bus.nats.link import Session

HEARTBEAT_SECONDS = 2.0
"""The server's sign of life on an idle feed; two and a half missed ones break it."""
FORGET_SECONDS = 30.0
"""When the server drops a consumer whose reader vanished without a word."""

_FIELDS = 9
"""Parts of a message's reply subject on a server that names neither domain nor account."""


class FeedBroken(Exception):
    """A gap, a missed heartbeat, or the end of the session."""


class Feed:
    """The messages of one consumer. MUST be closed."""

    def __init__(self, session: Session, stream: str) -> None:
        self._session = session
        self._stream = stream
        self._queue: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._subscription: Subscription | None = None
        self._consumer = ""
        self._last = 0
        self.pending = 0
        self.position = 0
        """The stream's sequence of the message that came last."""

    async def open(
        self, after: int | None = None, *, headers_only: bool = False, subjects: str = ">"
    ) -> None:
        """Begin: with the last message of each of ``subjects``, or with those ``after`` a sequence."""
        client = self._session.client
        inbox = client.new_inbox()
        self._subscription = await client.subscribe(inbox, cb=self._queue.put)
        self._session.on_end.add(self._interrupt)
        config = api.ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=(
                api.DeliverPolicy.LAST_PER_SUBJECT
                if after is None
                else api.DeliverPolicy.BY_START_SEQUENCE
            ),
            opt_start_seq=None if after is None else after + 1,
            filter_subject=subjects if after is None else None,
            ack_policy=api.AckPolicy.NONE,
            max_deliver=1,
            flow_control=True,
            idle_heartbeat=HEARTBEAT_SECONDS,
            inactive_threshold=FORGET_SECONDS,
            mem_storage=True,
            num_replicas=1,
            headers_only=headers_only or None,
        )
        info = await self._session.jetstream.add_consumer(self._stream, config)
        self._consumer = info.name or ""
        self.pending = info.num_pending or 0

    async def next(self) -> Msg | None:
        """Return the next message, None for "nothing more at the moment"; FeedBroken ends it."""
        while True:
            message = await self._receive()
            status = message.headers.get("Status") if message.headers else None
            if status is None:
                self.position, number = places_of(message.reply)
                self._check_order(number)
                return message
            if message.reply:  # flow control: everything before it was consumed
                await self._session.client.publish(message.reply)
                continue
            if status != "100":
                raise FeedBroken(f"consumer ended with status {status}")
            last = (message.headers or {}).get("Nats-Last-Consumer")
            if last is not None and int(last) != self._last:
                raise FeedBroken(f"messages {self._last + 1} to {last} are missing")
            return None

    async def aclose(self) -> None:
        """Tell the server that nobody reads on."""
        self._session.on_end.discard(self._interrupt)
        if self._session.ended.is_set():
            return
        with suppress(NatsError, OSError, TimeoutError):  # else the server forgets it by itself
            await self._session.run(self._leave)

    async def _leave(self, session: Session) -> None:
        """Say so. Runs on the session: a server that stops just now does not answer any more."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        if self._consumer:
            await session.jetstream.delete_consumer(self._stream, self._consumer)

    async def _receive(self) -> Msg:
        if self._queue.empty():
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS * 2.5):
                    message = await self._queue.get()
            except TimeoutError:
                raise FeedBroken("heartbeats are missing") from None
        else:
            message = self._queue.get_nowait()
        if message is None:
            raise FeedBroken("the session ended")
        return message

    def _check_order(self, sequence: int) -> None:
        if sequence != self._last + 1:
            raise FeedBroken(f"message {self._last + 1} is missing, got {sequence}")
        self._last = sequence

    def _interrupt(self) -> None:
        self._queue.put_nowait(None)


def places_of(reply: str) -> tuple[int, int]:
    """Return which message of its stream and of its consumer it is that has this reply subject.

    nats-py's ``metadata`` reads all nine fields, the time among them, and takes ten times as long: of a
    writer's own entries, which come back to it, this is all that is looked at. Source: NATS ADR-15.
    """
    fields = reply.split(".")
    at = 5 if len(fields) == _FIELDS else 7  # the longer form has the domain and the account before
    return int(fields[at]), int(fields[at + 1])
