"""Clients that follow a share by protocol 2: they apply operations, and resume where they were cut."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import aiohttp

CHECKED = 0.1
"""Of so many operations the bytes are fetched at once."""


@dataclass
class Follower:
    """A replica of names, versions and hashes."""

    url: str
    dice: random.Random
    cursor: int = 0
    log: str = ""
    tree: dict[str, tuple[str, bool]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    sessions: int = 0
    heard: dict[int, str] = field(default_factory=dict)
    """The op_id of each operation."""

    async def follow(self) -> None:
        """Follow for ever; whatever cuts the connection, go on from the cursor."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                try:
                    await self._follow_once(session)
                except (aiohttp.ClientError, TimeoutError, OSError):
                    pass  # the fault; go on from the cursor
                except Exception as error:
                    self.problems.append(f"follower: {error!r}")
                await asyncio.sleep(0.1)

    async def _follow_once(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(self.url + "/ws", heartbeat=2.0) as socket:
            asked = {"type": "Subscribe", "client_id": "follower", "protocol": 2}
            asked |= {"resume_from": self.cursor}
            asked |= {"log": self.log} if self.log else {}
            await socket.send_json(asked)
            self.sessions += 1
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                await self._hear(session, message.json())

    async def _hear(self, session: aiohttp.ClientSession, message: dict) -> None:
        if message["type"] == "Ack" and message["operation_id"] == "subscribe":
            self.log = message["log"]
        elif message["type"] == "Error":
            if message.get("code") != "slow":
                self.problems.append(f"told {message}")
        elif message["type"] == "FileOperation":
            if message["seq"] != self.cursor + 1:
                self.problems.append(f"heard {message['seq']} after {self.cursor}")
            self.cursor = message["seq"]
            self.heard[self.cursor] = message["op_id"]
            self.apply(message["operation"])
            if self.dice.random() < CHECKED:
                await self._fetch(session, message)

    def apply(self, operation: dict) -> None:
        """Do what an operation does to names."""
        ((kind, body),) = operation.items()
        if kind == "Delete":
            self._take(body["path"])
        elif kind == "Move":
            source, to = body["from"], body["to"]
            for path, what in self._take(source).items():
                self.tree[to + path[len(source) :]] = what
        else:
            metadata = body["metadata"]
            self.tree[metadata["path"]] = (metadata["hash"], metadata["is_directory"])

    def _take(self, top: str) -> dict[str, tuple[str, bool]]:
        below = {p: w for p, w in self.tree.items() if p == top or p.startswith(top + "/")}
        for path in below:
            del self.tree[path]
        return below

    async def _fetch(self, session: aiohttp.ClientSession, message: dict) -> None:
        """An operation that was announced has its bytes."""
        ((kind, body),) = message["operation"].items()
        if kind not in {"Create", "Update"} or body["metadata"]["is_directory"]:
            return
        wanted = body["metadata"]
        url = f"{self.url}/api/files/{wanted['path']}?version={message['seq']}"
        try:
            async with asyncio.timeout(5), session.get(url) as answer:
                etag = answer.headers.get("ETag", "")
                size = len(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return  # the fault has this one
        if answer.status >= 500:
            return
        if answer.status != 200 or etag.strip('"') != wanted["hash"] or size != wanted["size"]:
            self.problems.append(f"{url} was announced and is {answer.status} {etag} {size}")
