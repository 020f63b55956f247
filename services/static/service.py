"""The static room in one process: it keeps the file servers of the configurations in use."""

from __future__ import annotations

from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.service.handlers import HandlerRoom


class StaticService:
    """Makes the room's handlers; files need nothing to be started or stopped."""

    def __init__(self, context: ServiceContext) -> None:
        self._room = HandlerRoom(context)

    async def start(self) -> None:
        """Nothing to open: each handler looks at its own root."""

    async def prepare(self, revision: Revision) -> Prepared:
        """Make the file servers of ``revision``."""
        return await self._room.prepare(revision)

    async def stop(self, grace: float) -> None:
        """Close the handlers; a file that is being sent belongs to its response."""
        await self._room.aclose()
