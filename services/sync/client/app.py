"""The client put together: real disk, real network, real time."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from quantum.clock import Clock
from services.sync.client.disk.folder import LocalFolder
from services.sync.client.disk.patterns import IGNORE_FILE, Patterns
from services.sync.client.disk.scanner import Scanner
from services.sync.client.pace import Pace
from services.sync.client.planning.actions import Plan
from services.sync.client.planning.model import Mode, Node
from services.sync.client.progress import Outcome, Progress
from services.sync.client.remote.api import Offline
from services.sync.client.remote.http import ANSWER_SECONDS, CONNECT_SECONDS, HttpRemote
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica
from services.sync.client.rounds import Rounds
from services.sync.client.settings import FIRST_RETRY, Settings
from services.sync.client.state import State
from services.sync.client.steps import Steps
from services.sync.client.transfers.downloads import Downloads
from services.sync.client.transfers.lists import Cutting
from services.sync.client.transfers.local import LocalLists
from services.sync.client.transfers.together import Together
from services.sync.client.transfers.uploads import Uploads

if TYPE_CHECKING:
    from services.sync.client.session import Report

ATTEMPTS = 5
"""Times a single sync is begun when the server is away: some four seconds in all."""


@dataclass(frozen=True)
class Options:
    """What to sync with what."""

    server: URL
    root: Path
    settings: Settings
    token: str = ""
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    rate: int = 0
    """Bytes per second in both directions together; 0 is no limit."""
    verify_tls: bool = True


class Client:
    """One folder and one share. Made inside ``open_folder`` and a running loop."""

    def __init__(
        self, options: Options, folder: LocalFolder, state: State, clock: Clock, progress: Progress,
        http: aiohttp.ClientSession, executor: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        settings = options.settings
        self._options, self._clock, self._http, self._state = options, clock, http, state
        exclude = [*options.exclude, *_own_patterns(options.root)]
        patterns = Patterns(options.include, exclude)
        self._hashes = state.hashes()
        cutting = Cutting()
        scanner = Scanner(
            folder, patterns, lambda: int(clock.now().timestamp() * 1e9), self._hashes, cutting
        )
        run = _in_threads(executor)
        self.remote = HttpRemote(http, options.server)
        self.view = RemoteView(state, settings.client, _takes(patterns))
        self.replica = Replica(folder, scanner, state, run)
        pace = Pace(options.rate, clock)
        numbers = count()
        start = secrets.token_hex(8)  # asked for once: the system takes long to answer

        def token() -> str:
            return f"{start}-{next(numbers):x}"

        lists = LocalLists(self.replica, state, run, cutting)
        uploads = Uploads(self.replica, self.remote, lists, run, pace, progress)
        downloads = Downloads(self.replica, self.view, self.remote, lists, run, pace, progress)
        steps = Steps(
            self.replica, self.view, self.remote, settings.mode, run, uploads, downloads,
            token,
        )  # fmt: skip
        together = Together(
            self.replica, self.view, self.remote, uploads, run, pace, progress,
            token, is_mirror=settings.mode is Mode.MIRROR,
        )  # fmt: skip
        self.rounds = Rounds(
            self.replica, self.view, self.remote, state, steps, together, settings, clock, progress
        )

    async def once(self) -> Outcome:
        """Sync and return. What arrives while others write is for the next time."""
        await self.rounds.recover()
        try:
            outcome = await self._sync()
            if self.view.awaited:
                await self.rounds.refresh()
            return outcome
        finally:
            self._save()

    async def _sync(self) -> Outcome:
        """Sync; go on where it stopped when the server is away for a moment."""
        for attempt in range(ATTEMPTS):
            try:
                return await self.rounds.sync()
            except Offline as error:
                if attempt == ATTEMPTS - 1:
                    raise
                await self._clock.sleep(error.retry_after or FIRST_RETRY * 2**attempt)
        raise AssertionError

    async def plan(self) -> Plan:
        """Return what a sync would do, and do nothing."""
        return await self.rounds.prepare()

    async def follow(self, report: Report) -> None:
        """Stay in sync until cancelled, or until an error that waiting does not cure."""
        from services.sync.client.remote.live import Live  # late: a single sync needs none of them
        from services.sync.client.session import Session
        from services.sync.client.watch import watch

        random = Random()  # noqa: S311 - spreads attempts
        session = Session(self.rounds, self.replica, self.view, self._clock, random, report)
        live = Live(
            self._http, self.remote.live_url, self.view, session, self._options.settings.client,
            self._options.token, self._clock, random,
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(
                    watch(self.replica.folder.root, self._clock, session.changed_here)
                )
                group.create_task(live.run())
                group.create_task(session.run())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the first one ended the others
        finally:
            self._save()

    def _save(self) -> None:
        self._state.save_hashes(self._hashes, self.replica.tree)
        self._state.drop_lists()
        self._state.commit()


def follow_patterns(options: Options, state: State) -> None:
    """Forget what takes part no more, and list anew: it is neither deleted, nor not there.

    Call it before a Client is made that syncs.
    """
    exclude = [*options.exclude, *_own_patterns(options.root)]
    rules = json.dumps({"include": options.include, "exclude": exclude})
    if state.fact("patterns") == rules:
        return
    takes = _takes(Patterns(options.include, exclude))
    for tree, forget in ((state.synced, state.set_synced), (state.remote, state.set_remote)):
        for path in [path for path, node in tree.items() if not takes(path, node)]:
            forget(path, None)
    state.set_fact("patterns", rules)
    state.set_fact("log", "")
    state.commit()


def patterns_of(state: State) -> dict[str, list[str]]:
    """Return ``include`` and ``exclude`` of the last sync."""
    return dict(json.loads(state.fact("patterns") or "{}"))


@asynccontextmanager
async def connect(
    options: Options,
) -> AsyncIterator[tuple[aiohttp.ClientSession, ThreadPoolExecutor]]:
    """Yield connections to the server and threads for the disk."""
    parallel = options.settings.parallel
    fields = {"X-Client-Id": options.settings.client, "User-Agent": "quantum-sync"}
    if options.token:
        fields["Authorization"] = f"Bearer {options.token}"
    timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)
    connector = aiohttp.TCPConnector(limit=parallel + 2, ssl=options.verify_tls)
    executor = ThreadPoolExecutor(min(parallel, 16), "sync")
    try:
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=fields, raise_for_status=False
        ) as http:
            yield http, executor
    finally:
        executor.shutdown(wait=True)


def _own_patterns(root: Path) -> list[str]:
    """Return the patterns that the folder brings itself."""
    try:
        return (root / IGNORE_FILE).read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _takes(patterns: Patterns) -> Callable[[str, Node], bool]:
    return lambda path, node: patterns.takes(path, is_directory=node.is_directory)


def _in_threads(executor: ThreadPoolExecutor) -> Callable[..., Awaitable[Any]]:
    async def run(function: Callable[..., Any], *arguments: Any) -> Any:
        """Run in a thread. Cancelled, it waits: a thread that goes on would use files that were closed."""
        work = asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            while not work.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            raise

    return run
