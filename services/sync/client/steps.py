"""Carrying out one step: on the disk, or on the server, with what it expects to find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from services.sync.client.disk.folder import LocalChanged
from services.sync.client.planning.actions import Action, Kind
from services.sync.client.planning.model import Mode
from services.sync.client.remote.api import Remote
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica, Run
from services.sync.client.transfers.downloads import Downloads
from services.sync.client.transfers.uploads import Uploads


class Steps:
    """Does what a plan says, one step at a time; notes the result in the two trees.

    Raises LocalChanged or a RemoteError when a step finds something else than it expected; then
    nothing was changed, and nothing is noted.
    """

    def __init__(
        self, replica: Replica, view: RemoteView, remote: Remote, mode: Mode, run: Run,
        uploads: Uploads, downloads: Downloads, token: Callable[[], str],
    ) -> None:  # fmt: skip
        """``token`` names temporary files."""
        self._replica = replica
        self._view = view
        self._remote = remote
        self._is_mirror = mode is Mode.MIRROR
        self._run = run
        self._uploads = uploads
        self._downloads = downloads
        self._token = token
        self.trash = ""
        self.confirm = ""
        self._does: dict[Kind, Callable[[Action], Awaitable[None]]] = {
            Kind.LOCAL_ASIDE: self._move_here,
            Kind.LOCAL_MOVE: self._move_here,
            Kind.LOCAL_DELETE: self._delete_here,
            Kind.LOCAL_MKDIR: self._make_here,
            Kind.DOWNLOAD: self._download,
            Kind.REMOTE_MOVE: self._move_there,
            Kind.REMOTE_DELETE: self._delete_there,
            Kind.REMOTE_MKDIR: self._make_there,
            Kind.UPLOAD: self._upload,
        }

    async def do(self, action: Action) -> None:
        """Carry out one step."""
        await self._does[action.kind](action)

    # On the disk.

    async def _move_here(self, action: Action) -> None:
        if action.kind is Kind.LOCAL_ASIDE:
            await self._run(self._replica.folder.make_parents, action.to)
        await self._run(self._replica.folder.move, action.path, action.to)
        self._replica.moved(action.path, action.to)

    async def _delete_here(self, action: Action) -> None:
        assert action.expect is not None
        folder = self._replica.folder
        if action.expect.is_directory:
            await self._run(folder.remove_directory, action.path)
        else:
            status = self._replica.status.get(action.path)
            if status is None:
                raise LocalChanged(f"{action.path} was not looked at")
            trash = self.trash if self._is_mirror else ""
            remove = self._remover(trash)
            await self._run(remove, action.path, status, action.expect.hash)
        self._replica.set(action.path, None)

    def _remover(self, trash: str) -> Callable[..., None]:
        folder = self._replica.folder
        return lambda path, status, old: folder.remove(path, status, old, trash=trash)

    async def _make_here(self, action: Action) -> None:
        await self._run(self._replica.folder.make_directory, action.path)
        self._replica.set(action.path, action.node)

    async def _download(self, action: Action) -> None:
        path, wanted = action.path, action.node
        assert wanted is not None
        node, temporary = await self._downloads.fetch(action, wanted, self._token())
        expect = self._replica.status.get(path) if action.expect is not None else None
        if action.expect is not None and expect is None:
            await self._drop(temporary)
            raise LocalChanged(f"{path} was not looked at")
        if self._is_mirror and action.expect is not None and expect is not None:
            old, expect_gone = action.expect.hash, expect
            await self._run(self._remover(self.trash), path, expect_gone, old)
            expect = None
        old = action.expect.hash if action.expect is not None else ""
        status = await self._run(
            self._replica.folder.place, temporary, path, expect, old, node.hash
        )
        self._replica.placed(path, node, status)

    async def _drop(self, place: str) -> None:
        with suppress(FileNotFoundError):
            await self._run(self._replica.folder.calls.unlink, place)

    # On the server.

    async def _move_there(self, action: Action) -> None:
        assert action.expect is not None
        written = await self._remote.move(action.path, action.to, action.expect, self._view.cursor)
        self._view.moved(action.path, action.to, written.seq)

    async def _delete_there(self, action: Action) -> None:
        assert action.expect is not None
        written = await self._remote.delete(
            action.path, action.expect, self._view.cursor, self.confirm
        )
        self._view.wrote(action.path, None, written.seq)

    async def _make_there(self, action: Action) -> None:
        written = await self._remote.make_directory(action.path)
        self._view.wrote(action.path, action.node, written.seq)

    async def _upload(self, action: Action) -> None:
        assert action.node is not None
        written = await self._uploads.send(action, action.node)
        self._view.wrote(action.path, action.node, written.seq)
