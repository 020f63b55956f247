"""Between a client and the replicas: delay, loss of requests and answers, partitions;
operations that are pushed twice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

from services.sync.client.planning.model import Node
from services.sync.client.remote.api import (
    Download,
    Fetched,
    Listing,
    Offline,
    Page,
    Remote,
    RemoteError,
    Rescan,
    Stale,
    Write,
    Written,
)
from services.sync.client.session import Session
from services.sync.content.manifest import Manifest
from tests.simulation.server import Replica, Truth

CHUNK = 3
"""Bytes of a chunk: contents have a dozen."""


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
        point: Callable[[str], None], *, takes_many: bool = False,
    ) -> None:  # fmt: skip
        self.takes_many = takes_many
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
    async def download(
        self, path: str, start: int = 0, hash: str = "", size: int = 0
    ) -> AsyncIterator[Download]:
        node, data, seq = await self._ask(lambda replica: replica.read(path))
        if node.hash != hash:
            start = size = 0
        yield _Download(node, data[start : start + size if size else None], start, seq, self)

    async def upload(
        self, path: str, node: Node, content: bytes | AsyncIterator[bytes], expect: Node | None
    ) -> Written:
        assert isinstance(content, bytes)
        return await self._ask(lambda _: self._truth.put(path, node, content, expect, self._client))

    async def write_many(
        self, writes: Sequence[Write], confirm: str = ""
    ) -> list[Written | RemoteError]:
        """A connection that breaks in the middle leaves the first ones done."""
        results: list[Written | RemoteError] = []
        for write in writes:
            if results and self._random.random() < self.faults.loss:
                raise Offline("the connection broke")
            try:
                results.append(await self._ask(partial(self._write, write)))
            except Stale as error:
                results.append(error)
        return results

    def _write(self, write: Write, _: Replica) -> Written:
        if write.node is None:
            return self._truth.delete(write.path, write.expect, 0, self._client)
        if write.node.is_directory:
            return self._truth.make_directory(write.path, self._client)
        assert sha256(write.data).hexdigest() == write.node.hash
        return self._truth.put(write.path, write.node, write.data, write.expect, self._client)

    async def read_many(self, paths: Sequence[str]) -> list[Fetched | RemoteError]:
        def read(path: str, replica: Replica) -> Fetched | RemoteError:
            try:
                return Fetched(*replica.read(path))
            except Stale as error:
                return error

        return await self._ask(lambda replica: [read(path, replica) for path in paths])

    @property
    def has_pieces(self) -> bool:
        return True

    async def manifest(self, path: str) -> Manifest | None:
        _, data, _ = await self._ask(lambda replica: replica.read(path))
        return cut(data) if self._random.random() < 0.9 else None

    async def missing(self, names: Sequence[str]) -> list[str]:
        return await self._ask(lambda _: [n for n in names if n not in self._truth.chunks])

    async def send_chunks(self, pieces: Sequence[tuple[str, bytes]]) -> None:
        for name, data in pieces:
            assert sha256(data).hexdigest() == name
        await self._ask(lambda _: self._truth.chunks.update(pieces))

    async def assemble(self, path: str, manifest: Manifest, expect: Node | None) -> Written:
        return await self._ask(lambda _: self._truth.assemble(path, manifest, expect, self._client))

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
                    sent = replica.seen
                    session.must_list(sent)
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


def cut(data: bytes) -> Manifest:
    """Cut a tiny content into tiny chunks."""
    pieces = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    chunks = tuple((sha256(piece).hexdigest(), len(piece)) for piece in pieces)
    return Manifest(sha256(data).hexdigest(), len(data), chunks)


_: type[Remote] = SimulatedRemote
