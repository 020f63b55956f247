"""One worker process, as its parent sees it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import subprocess
from collections.abc import Sequence
from typing import Any

from quantum.errors import ConfigError, QuantumError
from quantum.service.api import Revision, State
from quantum.service.children.channel import Channel, Message
from quantum.service.children.fate import die_with_parent
from quantum.service.children.figures import Family
from quantum.tasks import TaskSet

PREPARE_SECONDS = 30.0
"""For preparing a configuration: a worker that takes longer hangs, and is no reason to wait for ever."""
REPORT_SECONDS = 2.0
"""For an answer from the loop: a scrape is answered without a worker that is stuck."""


class WorkerEnded(QuantumError):
    """The process ended before it answered."""


class Child:
    """One process. Made by ``Child.spawn``; what it was asked is answered, or fails when it ends.

    It has loaded its program and does nothing until it is told, once, which worker it is (``begin``).
    """

    def __init__(
        self, process: asyncio.subprocess.Process, channel: Channel, tasks: TaskSet
    ) -> None:
        self.number = 0
        self.is_loaded = False
        self.state = State.STARTING
        self.figures: list[Family] = []
        self.status: dict[str, Any] = {}
        self._process = process
        self._channel = channel
        self._asked: dict[tuple[str, int], asyncio.Future[Message]] = {}
        self._reports = itertools.count(1)
        self._hearing = tasks.start(self._hear(), "hear")

    @classmethod
    async def spawn(cls, command: Sequence[str], tasks: TaskSet) -> Child:
        """Start a process; OSError when it cannot be started."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # a terminal's Ctrl-C is for the parent, which tells us
                    preexec_fn=die_with_parent(),
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        return cls(process, await Channel.open(ours), tasks)

    def begin(self, number: int, settings: Message) -> None:
        """Make it worker ``number``."""
        self.number = number
        self._channel.send(**settings)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def prepare(self, change: int, revision: Revision) -> None:
        """Have a revision prepared; ConfigError when it is refused, WorkerEnded."""
        prepared = self._expect("change", change)
        self._channel.send(
            do="prepare", change=change, revision=revision.id, document=revision.document
        )
        try:
            async with asyncio.timeout(PREPARE_SECONDS):
                answer = await prepared
        except TimeoutError:
            raise QuantumError(f"worker {self.number} does not answer") from None
        finally:
            self._asked.pop(("change", change), None)
        if answer["told"] == "refused":
            raise ConfigError(*answer["error"])

    def commit(self, change: int) -> asyncio.Future[Message]:
        """Have what was prepared committed; the future is done when it is."""
        committed = self._expect("commit", change)
        self._channel.send(do="decide", change=change, commit=True)
        return committed

    def discard(self, change: int) -> None:
        """Have what was prepared dropped; fine when it was refused."""
        self._channel.send(do="decide", change=change, commit=False)

    async def report(self) -> None:
        """Refresh ``status`` and ``figures``; they stay as they were if it does not answer in time."""
        number = next(self._reports)
        answer = self._expect("report", number)
        self._channel.send(do="report", report=number)
        with contextlib.suppress(TimeoutError, WorkerEnded):
            async with asyncio.timeout(REPORT_SECONDS):
                message = await answer
                self.status, self.figures = message["status"], message["figures"]

    async def ended(self) -> int:
        """Wait until it ended; returns its exit status (negative: the signal)."""
        code = await self._process.wait()
        self.state = State.FAILED if code else State.TERMINATED
        await asyncio.wait([self._hearing])
        return code

    def stop(self) -> None:
        """Ask it to drain and end."""
        self.state = State.STOPPING
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _expect(self, kind: str, number: int) -> asyncio.Future[Message]:
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        if self._hearing.done():
            future.set_exception(self._failure())
            future.exception()  # nobody has to ask for it
        else:
            self._asked[kind, number] = future
        return future

    def _failure(self) -> WorkerEnded:
        return WorkerEnded(f"worker {self.number} ended")

    async def _hear(self) -> None:
        while (message := await self._channel.receive()) is not None:
            if message["told"] == "loaded":
                self.is_loaded = True
                continue
            if message["told"] == "report":
                key = "report", message["report"]
            else:
                kind = "commit" if message["told"] == "committed" else "change"
                key = kind, message["change"]
            waiting = self._asked.pop(key, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(self._failure())
                waiting.exception()
        self._asked.clear()
        self._channel.close()
