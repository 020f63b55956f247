"""Which configuration a process runs: its file's, the deployment's, or the last one it had.

The deployment's active revision is the key ``active`` of the CONFIG bucket. Every process follows it
and says what became of it (CONFIG_APPLIED); each keeps the one it runs in its data directory, so
that it starts without a bus too.

A process started with a file applies it at once. The file becomes the active revision when this
process runs the admin room, or when there is none; otherwise the active one wins once it is seen.
A file that is read again on a signal, or because it changed, always becomes the active revision.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantum.bus.api import Bus, Conflict, Entry, KeyValue
from quantum.bus.subjects import CONFIG, CONFIG_APPLIED, ConfigApplied, ConfigRevision
from quantum.clock import Clock
from quantum.errors import BusUnavailable, ConfigError
from quantum.ids import PROCESS_ID
from quantum.service.api import ConfigSwitch, Revision
from quantum.service.private import write_private
from quantum.tasks import TaskSet

if TYPE_CHECKING:
    import structlog

ACTIVE = "active"
ADMIN_ROOM = "admin"
RETRY_SECONDS = 1.0
"""Between attempts to make a file the active revision while the bus is away."""
WRITE_SECONDS = 5.0
"""What a stop waits for the disk."""


class Revisions:
    """Follows and leads the configuration of the deployment, for one process."""

    def __init__(
        self,
        bus: Bus,
        switch: ConfigSwitch,
        *,
        clock: Clock,
        rooms: frozenset[str],
        data_dir: Path,
        load: Callable[[], Any] | None,
        log: structlog.stdlib.BoundLogger,
        process: str = PROCESS_ID,
    ) -> None:
        self._bus = bus
        self._switch = switch
        self._clock = clock
        self._rooms = rooms
        self._kept = data_dir / "config" / "active.json"
        self._load = load
        self._log = log
        self._process = process
        self._tasks = TaskSet("revisions")
        self._writes = TaskSet("revisions:keep")
        self._bucket: KeyValue[ConfigRevision] | None = None
        self._leading: Revision | None = None
        self._seen = asyncio.Event()
        self._writing = asyncio.Lock()

    async def start(self) -> Revision:
        """Apply the first revision and follow the deployment from then on.

        ConfigError when the file cannot be used. Without a file it waits until there is a revision.
        """
        self._bucket = await self._bus.bucket(CONFIG)
        if self._load is None:
            return await self._start_without_file()
        revision = self._switch.parse(self._load())
        await self._switch.apply(revision)
        is_leader = ADMIN_ROOM in self._rooms
        if is_leader:
            self._leading = revision
        self._tasks.start(self._introduce(revision, replace=is_leader), "introduce")
        await self._bucket.watch(self._follow)
        return revision

    async def reload(self) -> None:
        """Read the file again and lead the deployment to it; a refusal is logged, nothing changes."""
        if self._load is None:
            self._log.warning("config_reload_ignored", reason="started without a file")
            return
        try:
            revision = self._switch.parse(await asyncio.to_thread(self._load))
            self._leading = revision
            await self._switch.apply(revision)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the old one serves on
            self._leading = None
            is_expected = isinstance(error, ConfigError | OSError)
            self._log.error("config_reload_failed", error=str(error), exc_info=not is_expected)
            return
        self._tasks.start(self._introduce(revision, replace=True), "introduce")

    def keep(self, revision: Revision) -> None:
        """Write ``revision`` to the data directory, in the background."""
        self._writes.start(self._write(revision), "keep")

    async def aclose(self) -> None:
        """Stop following; a revision that is being written is written to the end. Idempotent."""
        await self._tasks.aclose()
        await self._writes.wait(WRITE_SECONDS)
        await self._writes.aclose()

    async def _start_without_file(self) -> Revision:
        """Take the deployment's revision, else the kept one, else wait for one."""
        assert self._bucket is not None
        await self._bucket.watch(self._follow)
        if self._switch.active is None and (kept := self._read_kept()) is not None:
            await self._switch.apply(kept)
            self._log.info("config_kept_used", revision=kept.id)
            self._tasks.start(self._introduce(kept, replace=False), "introduce")
        if self._switch.active is None:
            self._log.warning("config_awaited", reason="no file, none active, none kept")
        while (active := self._switch.active) is None:
            await self._seen.wait()
            self._seen.clear()
        return active

    def _read_kept(self) -> Revision | None:
        try:
            return self._switch.parse(json.loads(self._kept.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ConfigError) as error:
            self._log.error("config_kept_unusable", file=str(self._kept), error=str(error))
            return None

    async def _follow(self, entry: Entry[ConfigRevision]) -> None:
        """Apply what became active; one at a time, in order."""
        if entry.key != ACTIVE or entry.value is None:
            return
        if self._leading is not None and entry.value.revision != self._leading.id:
            return  # about to be replaced by ours
        # What this process wrote it had applied before; by now it may have applied a newer one.
        error = "" if entry.value.process == self._process else await self._take(entry.value)
        fact = ConfigApplied(
            process=self._process,
            rooms=sorted(self._rooms),
            revision=entry.value.revision,
            error=error,
        )
        await self._bus.publish(CONFIG_APPLIED, fact)
        self._seen.set()

    async def _take(self, value: ConfigRevision) -> str:
        """Apply a revision of the bus; return what is wrong with it."""
        active = self._switch.active
        if active is not None and active.id == value.revision:
            return ""
        try:
            await self._switch.apply(self._switch.parse(value.document))
        except ConfigError as error:
            self._log.error("config_refused", revision=value.revision, error=str(error))
            return str(error)
        except Exception as error:  # noqa: BLE001 - a room's defect is an answer to the deployment too
            self._log.error("config_refused", revision=value.revision, exc_info=error)
            return f"{type(error).__name__}: {error}"
        return ""

    async def _introduce(self, revision: Revision, *, replace: bool) -> None:
        """Make ``revision`` the active one (``replace``), or so if there is none yet."""
        while True:
            try:
                await self._put(revision, replace=replace)
                break
            except BusUnavailable:
                await self._clock.sleep(RETRY_SECONDS)
        if self._leading is revision:
            self._leading = None

    async def _put(self, revision: Revision, *, replace: bool) -> None:
        assert self._bucket is not None
        value = ConfigRevision(
            revision=revision.id,
            document=revision.document,
            author=f"file ({self._process})",
            at=self._clock.now(),
            process=self._process,
        )
        held = await self._bucket.get(ACTIVE)
        if held is not None and held.value is not None and held.value.revision == revision.id:
            return
        active = self._switch.active
        if active is not None and active.id != revision.id:
            return  # the admin API was faster: what it applied is the newer one
        if replace:
            await self._bucket.put(ACTIVE, value)
        elif held is None:
            try:
                await self._bucket.create(ACTIVE, value)
            except Conflict:
                self._log.debug("config_not_introduced", reason="another process was faster")

    async def _write(self, revision: Revision) -> None:
        async with self._writing:
            if self._switch.active is not revision:
                return  # a newer one is about to be written
            data = json.dumps(revision.document, indent=1, ensure_ascii=False).encode()
            try:
                if _is_persistent(revision.document):
                    await asyncio.to_thread(write_private, self._kept, data)
                else:
                    await asyncio.to_thread(self._kept.unlink, missing_ok=True)
            except OSError as error:
                self._log.error("config_not_kept", file=str(self._kept), error=str(error))


def _is_persistent(document: Any) -> bool:
    """Whether a document lets itself be kept on the disk: ``admin.config.persist``."""
    admin = document.get("admin") or {}
    return (admin.get("config") or {}).get("persist") is not False
