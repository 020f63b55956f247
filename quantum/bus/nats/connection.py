"""NatsBus: the production bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import BaseModel, ValidationError

from quantum.bus.api import (
    Bucket,
    KeyValue,
    Log,
    Objects,
    ObjectStore,
    Stream,
    Subject,
    Subscription,
)
from quantum.bus.nats.keyvalue import NatsKeyValue
from quantum.bus.nats.link import Link, Session
from quantum.bus.nats.log import NatsLog
from quantum.bus.nats.loop import Running, deliver
from quantum.bus.nats.objects import NatsObjects
from quantum.clock import Clock
from quantum.tasks import TaskSet

P = TypeVar("P", bound=BaseModel)
_log = structlog.get_logger("quantum.bus")
CLUSTER_SERVERS = 3
"""With this many servers named, buckets and streams are kept on three: one may be lost."""

MAX_PENDING_BYTES = 1 << 20
"""What waits for a server that does not read before facts are dropped: below nats-py's own limit, at
which its publish would wait."""


class NatsBus:
    """One connection to NATS, shared by all rooms of a process. ``start`` never waits for it."""

    def __init__(
        self,
        servers: str,
        *,
        clock: Clock,
        metrics: CollectorRegistry,
        token: str | None = None,
        name: str = "quantum",
    ) -> None:
        """``servers``: one URL or several, comma separated; ``name`` shows in NATS's monitoring."""
        urls = [url.strip() for url in servers.split(",") if url.strip()]
        self._replicas = CLUSTER_SERVERS if len(urls) >= CLUSTER_SERVERS else 1
        self._link = Link(urls, token, clock, name)
        self._link.on_change = self._note
        self._tasks = TaskSet("bus")
        self._connected = Gauge(
            "quantum_bus_connected", "Whether NATS can be reached", registry=metrics
        )
        self._sessions = Counter(
            "quantum_bus_connections", "Connections made to NATS", registry=metrics
        )
        self._dropped = Counter(
            "quantum_bus_facts_dropped", "Facts not sent: NATS was away", registry=metrics
        )

    def start(self) -> None:
        """Begin to connect, in the background, for ever."""
        self._link.start()

    @property
    def is_connected(self) -> bool:
        """Whether NATS can be reached now."""
        return self._link.session is not None

    @property
    def places(self) -> list[str]:
        """Where NATS is looked for, without credentials."""
        return self._link.places

    async def publish(self, subject: Subject[P], payload: P) -> None:
        """Send a fact; dropped and counted while NATS is away."""
        session = self._link.session
        if session is None or session.client.pending_data_size > MAX_PENDING_BYTES:
            self._dropped.inc()
            return
        try:
            await session.client.publish(subject.name, payload.model_dump_json().encode())
        except (NatsError, OSError) as error:
            self._dropped.inc()
            _log.debug("bus_fact_dropped", subject=subject.name, error=str(error))

    async def subscribe(
        self, subject: Subject[P], on_fact: Callable[[P], Awaitable[None]]
    ) -> Subscription:
        """Call ``on_fact`` for each fact, one at a time."""

        async def receive(message: Msg) -> None:
            try:
                fact = subject.payload.model_validate_json(message.data)
            except ValidationError as error:
                _log.warning("bus_payload_refused", name=subject.name, error=str(error))
                return
            await deliver(subject.name, on_fact(fact))

        async def work(session: Session) -> None:
            subscription = await session.client.subscribe(subject.name, cb=receive)
            try:
                await session.client.flush()
                running.settle()
                await session.ended.wait()
            finally:
                if not session.ended.is_set():
                    await subscription.unsubscribe()

        running = Running(self._link, self._tasks, f"subscribe:{subject.name}", work)
        await running.wait_settled()
        return running

    async def bucket(self, bucket: Bucket[P]) -> KeyValue[P]:
        """Open a bucket; never waits: it is made on the server when first used."""
        return NatsKeyValue(self._link, self._tasks, bucket, self._replicas)

    async def stream(self, stream: Stream[P], key: str) -> Log[P]:
        """Open the log of ``key``; never waits: it is made on the server when first used."""
        return NatsLog(self._link, stream, key, self._replicas)

    async def objects(self, store: ObjectStore, key: str) -> Objects:
        """Open blobs; never waits: the store is made on the server when first used."""
        return NatsObjects(self._link, store, key, self._replicas)

    async def wait_connected(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the connection; whether it is there."""
        try:
            async with asyncio.timeout(seconds):
                await self._link.wait_session()
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        """End all subscriptions, flush and close. Idempotent."""
        await self._link.aclose()
        await self._tasks.aclose()
        self._connected.set(0)

    def _note(self, connected: bool) -> None:
        self._connected.set(int(connected))
        if connected:
            self._sessions.inc()
