"""Local or remote: the one place that knows.

Rooms put the handlers of a revision into the ``HandlerTable`` of their process when they prepare it;
edge asks ``Hop.handler`` for each terminal handler of its routes. A room that runs in this process
answers directly; for one that does not, requests travel to a process that does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quantum.http.handler import Handler


class HandlerTable:
    """The terminal handlers of the rooms in this process, by room, revision and JSON path."""

    def __init__(self) -> None:
        self._handlers: dict[tuple[str, str], dict[str, Handler]] = {}

    def install(self, room: str, revision: str, handlers: Mapping[str, Handler]) -> None:
        """Make the handlers of a revision known; before commit, so that edge finds them."""
        self._handlers[room, revision] = dict(handlers)

    def retire(self, room: str, revision: str) -> None:
        """Forget a revision; fine when it is not known."""
        self._handlers.pop((room, revision), None)

    def find(self, room: str, revision: str, path: str) -> Handler | None:
        """Return the handler at ``path`` of ``revision``."""
        return self._handlers.get((room, revision), {}).get(path)

    def has_revision(self, room: str, revision: str) -> bool:
        """Whether that room of this process holds ``revision``."""
        return (room, revision) in self._handlers


SERVICE_REVISION = "-"
"""The revision under which a room installs handlers that belong to no configuration: its services
to other rooms (certs: ``certificates``, which gives edge key material)."""


class Hop:
    """Finds handlers, wherever they run."""

    def __init__(
        self,
        rooms: frozenset[str],
        table: HandlerTable,
        make_remote: Callable[[str, str, str], Handler],
    ) -> None:
        """``make_remote(room, revision, path)`` makes the handler that travels."""
        self._rooms = rooms
        self.table = table
        self.make_remote = make_remote

    def handler(self, room: str, revision: str, path: str) -> Handler:
        """Return the handler at ``path`` of ``revision`` in ``room``; KeyError is a defect of a local room."""
        if room not in self._rooms:
            return self.make_remote(room, revision, path)
        handler = self.table.find(room, revision, path)
        if handler is None:
            raise KeyError(f"room {room} has no handler at {path} in revision {revision}")
        return handler
