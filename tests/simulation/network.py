"""Between a client and the replicas: delay, loss of requests and answers, partitions;
operations that are pushed twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from services.sync.client.planning.model import Node
from services.sync.client.remote.api import (
    Download,
    Listing,
    Offline,
    Page,
    Remote,
    Rescan,
    Written,
)
from services.sync.client.session import Session
from tests.simulation.server import Replica, Truth


class Faults:
    """How bad the network is now."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.delay = 0.01
        self.is_cut = False


class SimulatedRemote:
    """The client's requests. An answer that is lost may have had its effect."""

    def __init__(
        self, truth: Truth, replicas: list[Replica], faults: Faults, random: Random, client: str,
        point: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._truth, self._replicas, self.faults = truth, replicas, faults
        self._random, self._client, self._point = random, client, point

    async def _ask(self, function: Callable[[Replica], Any]) -> Any:
        self._point("request")
        await asyncio.sleep(self._random.random() * self.faults.delay)
        self._point("sent")
        replica = self._random.choice(self._replicas)
        if self.faults.is_cut or not replica.is_up or self._random.random() < self.faults.loss:
            await asyncio.sleep(self.faults.delay)
            raise Offline("no answer")
        try:
            answer = function(replica)
        finally:
            await asyncio.sleep(self._random.random() * self.faults.delay)
            self._point("answered")
            if self.faults.is_cut or self._random.random() < self.faults.loss:
                raise Offline("the answer is lost")
        return answer

    async def listing(self) -> Listing:
        return await self._ask(Replica.listing)

    async def changes(self, cursor: int, log: str) -> Page:
        return await self._ask(lambda replica: replica.changes(cursor))

    @asynccontextmanager
    async def download(self, path: str, start: int = 0, hash: str = "") -> AsyncIterator[Download]:
        node, data, seq = await self._ask(lambda replica: replica.read(path))
        if node.hash != hash:
            start = 0
        yield _Download(node, data[start:], start, seq, self)

    async def upload(
        self, path: str, node: Node, content: bytes | AsyncIterator[bytes], expect: Node | None
    ) -> Written:
        assert isinstance(content, bytes)
        return await self._ask(lambda _: self._truth.put(path, node, content, expect, self._client))

    async def delete(self, path: str, expect: Node, cursor: int, confirm: str = "") -> Written:
        return await self._ask(lambda _: self._truth.delete(path, expect, cursor, self._client))

    async def make_directory(self, path: str) -> Written:
        return await self._ask(lambda _: self._truth.make_directory(path, self._client))

    async def move(self, source: str, to: str, expect: Node, cursor: int) -> Written:
        return await self._ask(lambda _: self._truth.move(source, to, expect, cursor, self._client))

    async def follow(self, session: Session, cursor: Callable[[], int]) -> None:
        """Push operations to a session, as ``/ws`` does: in order, from a cursor, until it breaks."""
        while True:
            try:
                replica = self._random.choice(self._replicas)
                await self._ask(lambda _: None)
                sent = cursor()
                try:
                    self._truth.changes_between(sent, sent)
                    session.connected(is_complete=sent > 0)
                except Rescan:
                    session.must_list()
                    sent = replica.seen
                await self._push(session, replica, max(0, sent - self._random.randint(0, 1)))
            except Offline:
                await asyncio.sleep(self._random.uniform(0.1, 0.5))

    async def _push(self, session: Session, replica: Replica, sent: int) -> None:
        while True:
            news = replica.news
            await asyncio.sleep(self._random.uniform(0.01, 0.05))
            self._point("push")
            if self.faults.is_cut or not replica.is_up or self._random.random() < self.faults.loss:
                raise Offline("the connection broke")
            for change in self._truth.log[sent : replica.seen]:
                session.changed_there(change)
                sent = change.seq
            await news.wait()


class _Download:
    def __init__(
        self, node: Node, data: bytes, start: int, seq: int, remote: SimulatedRemote
    ) -> None:
        self.node, self.start, self.seq = node, start, seq
        self._data, self._remote = data, remote

    async def __aiter__(self) -> AsyncIterator[bytes]:
        half = len(self._data) // 2
        for part in (self._data[:half], self._data[half:]):
            await asyncio.sleep(0)
            self._remote._point("chunk")
            if self._remote.faults.is_cut:
                raise Offline("the connection broke")
            if part:
                yield part


_: type[Remote] = SimulatedRemote
