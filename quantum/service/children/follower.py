"""A worker's side of the channel: takes configurations from its parent, tells how it is.

A change has two steps, as between the rooms of one process: every worker prepares it and says so, then
all are told to commit it, or to discard it. So a configuration that one of them cannot use is in force
in none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from quantum.errors import ConfigError, QuantumError
from quantum.service.api import Revision
from quantum.service.children.channel import Channel, Message
from quantum.service.children.figures import take
from quantum.service.ops import Status
from quantum.service.switch import Switch
from quantum.tasks import TaskSet

if TYPE_CHECKING:
    import structlog


class Withdrawn(QuantumError):
    """The parent discarded what was prepared: another worker refused it."""


class Follower:
    """Obeys the parent until the channel ends."""

    def __init__(
        self,
        channel: Channel,
        switch: Switch,
        metrics: CollectorRegistry,
        status: Status,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._channel = channel
        self._switch = switch
        self._metrics = metrics
        self._status = status
        self._log = log
        self._decisions: asyncio.Queue[tuple[int, bool]] = asyncio.Queue()
        self._tasks = TaskSet("follower")
        self._first: asyncio.Future[Revision] = asyncio.get_running_loop().create_future()

    async def first(self) -> Revision:
        """Wait for the first revision that is in force."""
        return await self._first

    async def run(self) -> None:
        """Obey; returns when the parent is gone."""
        while (message := await self._channel.receive()) is not None:
            kind = message["do"]
            if kind == "prepare":
                self._tasks.start(self._change(message), "change")
            elif kind == "decide":
                self._decisions.put_nowait((message["change"], message["commit"]))
            elif kind == "report":
                self._report(message["report"])

    async def aclose(self) -> None:
        """Stop obeying. Idempotent."""
        await self._tasks.aclose()
        self._channel.close()

    async def _change(self, message: Message) -> None:
        change: int = message["change"]
        try:
            revision = self._switch.parse(message["document"])
            active = self._switch.active
            if active is not None and active.id == revision.id:
                await self._agree(change)
            else:
                await self._switch.apply(revision, lambda: self._agree(change))
        except Withdrawn:
            return
        except ConfigError as error:
            refusal = [error.path, error.problem, error.remedy]
            self._channel.send(told="refused", change=change, error=refusal)
        except Exception as error:  # noqa: BLE001 - a room's defect is an answer too
            self._log.error("config_refused", revision=message["revision"], exc_info=error)
            refusal = ["", f"{type(error).__name__}: {error}", ""]
            self._channel.send(told="refused", change=change, error=refusal)
        else:
            self._channel.send(told="committed", change=change)
            if not self._first.done():
                self._first.set_result(revision)

    async def _agree(self, change: int) -> None:
        """Say that all is prepared, and wait for what the parent decides; Withdrawn: discard."""
        self._channel.send(told="prepared", change=change)
        while True:
            decided, commit = await self._decisions.get()
            if decided == change:
                break  # others are of changes that this worker had refused
        if not commit:
            raise Withdrawn("discarded by the parent")

    def _report(self, number: int) -> None:
        self._channel.send(
            told="report",
            report=number,
            status=self._status.describe(),
            figures=take(self._metrics),
        )
