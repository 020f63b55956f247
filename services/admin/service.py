"""The admin room: one listener, moved when the configuration moves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quantum.errors import BusUnavailable, ConfigError
from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.tasks import TaskSet
from services.admin.api import AdminApi
from services.admin.config import AdminConfig
from services.admin.listener import AdminListener
from services.admin.loading import Loader
from services.admin.origin import OriginRules
from services.admin.store import RevisionStore


class AdminService:
    """A Service."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._store = RevisionStore(context)
        self._api = AdminApi(context, self._store)
        self._listener: AdminListener | None = None
        self._loader = Loader(context, self._store)
        self._tasks = TaskSet("admin", self._on_failure)

    @property
    def listener(self) -> AdminListener | None:
        """The listener in force, None while the API is off."""
        return self._listener

    async def start(self) -> None:
        """Listen for the other processes' answers."""
        try:
            await self._store.start()
        except BusUnavailable as error:  # changes are then applied here alone
            self._context.log.warning("config_answers_unheard", reason=str(error))

    async def prepare(self, revision: Revision) -> Prepared:
        """Open the listener of ``revision`` unless it is the one that is open."""
        config: AdminConfig = revision.section("admin") or AdminConfig()
        if config.disabled:
            return _Swap(lambda: self._move(None, revision), None)
        if self._listener is not None and self._listener.address == config.listen:
            kept, rules = self._listener, OriginRules.of(config)
            return _Swap(lambda: self._keep(kept, rules, revision), None)
        listener = AdminListener(config, self._api, self._context.log)
        try:
            listener.bind()
        except OSError as error:
            raise ConfigError(
                "admin.listen",
                f"cannot listen on {config.listen}: {error.strerror or error}",
                "choose another address, or disable the admin API",
            ) from error
        return _Swap(lambda: self._move(listener, revision), listener)

    async def stop(self, grace: float) -> None:
        """Finish what was asked, then close."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.aclose()
        await self._loader.aclose()
        await self._tasks.wait(min(grace, 1.0))
        await self._tasks.aclose()
        await self._store.aclose()

    def _keep(self, listener: AdminListener, rules: OriginRules, revision: Revision) -> None:
        listener.rules = rules
        self._loader.follow(revision)
        self._tasks.start(self._store.note(revision), "note")

    def _move(self, listener: AdminListener | None, revision: Revision) -> None:
        old, self._listener = self._listener, listener
        if listener is not None:
            self._tasks.start(listener.serve(), "serve")
        if old is not None:
            self._tasks.start(old.aclose(), "close")
        self._loader.follow(revision)
        self._tasks.start(self._store.note(revision), "note")

    def _on_failure(self, failure: BaseException) -> None:
        self._context.stop_process(f"the admin API failed: {failure}")


@dataclass(frozen=True)
class _Swap:
    """A prepared revision; ``opened`` is a listener made for it."""

    take: Callable[[], None]
    opened: AdminListener | None

    def commit(self) -> None:
        """Take it."""
        self.take()

    async def discard(self) -> None:
        """Close what was opened for nothing."""
        if self.opened is not None:
            self.opened.abandon()
