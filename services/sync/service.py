"""The sync room in one process: it keeps the handlers of the configurations in use, and their shares."""

from __future__ import annotations

from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.service.handlers import HandlerRoom
from services.sync.shares import Shares


class SyncService:
    """Makes the room's handlers; shares start with the first handler that needs them."""

    def __init__(self, context: ServiceContext) -> None:
        shares = Shares(context.bus, context.clock, context.data_dir / "sync", context.metrics)
        self._room = HandlerRoom(context, {Shares: shares})

    async def start(self) -> None:
        """Nothing to open: which folders there are is in the configuration."""

    async def prepare(self, revision: Revision) -> Prepared:
        """Make the handlers of ``revision``."""
        return await self._room.prepare(revision)

    async def stop(self, grace: float) -> None:
        """Say goodbye to the clients and close the shares; nothing that was answered is lost."""
        await self._room.aclose()
