"""Carrying out one step: on the disk, or on the server, with what it expects to find."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from services.sync.client.disk.folder import INCOMING, LocalChanged
from services.sync.client.pace import Pace
from services.sync.client.planning.actions import Action, Kind
from services.sync.client.planning.model import Mode, Node
from services.sync.client.progress import Progress
from services.sync.client.remote.api import Download, Offline, Remote, RemoteError, Stale
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica, Run

BLOCK = 256 * 1024
"""Bytes read from or written to the disk in one trip to a thread."""

SMALL = 1024 * 1024
"""Files up to this size are read whole and sent in one piece."""

PARTIAL = 4 * 1024 * 1024
"""Downloads from this size on are continued after an interruption instead of begun again."""


class Steps:
    """Does what a plan says, one step at a time; notes the result in the two trees.

    Raises LocalChanged or a RemoteError when a step finds something else than it expected; then
    nothing was changed, and nothing is noted.
    """

    def __init__(
        self, replica: Replica, view: RemoteView, remote: Remote, mode: Mode, run: Run,
        pace: Pace, progress: Progress, token: Callable[[], str],
    ) -> None:  # fmt: skip
        self._replica = replica
        self._view = view
        self._remote = remote
        self._is_mirror = mode is Mode.MIRROR
        self._run = run
        self._pace = pace
        self._progress = progress
        self._token = token
        self._receiving: set[str] = set()
        self._torn: set[Action] = set()
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
        is_whole = wanted.size < PARTIAL or wanted.hash in self._receiving
        name = self._token() if is_whole else f"{wanted.hash}.part"
        self._receiving.add(wanted.hash)
        try:
            node, temporary = await self._receive(path, wanted, name, is_partial=not is_whole)
        finally:
            self._receiving.discard(wanted.hash)
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
        self._replica.set(path, node, status)

    async def _receive(
        self, path: str, wanted: Node, name: str, *, is_partial: bool
    ) -> tuple[Node, str]:
        """Fetch a content into a durable temporary file; return what it is and where."""
        writer = _Writer(self._replica.folder.full(f"{INCOMING}/{name}"), self._replica, self._run)
        start = await self._run(writer.resume) if is_partial else 0
        try:
            async with self._remote.download(path, start, wanted.hash) as download:
                if download.start != start or start == 0:
                    await self._run(writer.begin)
                async for chunk in download:
                    await self._pace.spend(len(chunk))
                    await self._run(writer.write, chunk)
                    self._progress.moved_bytes(len(chunk))
                digest, size = await self._run(writer.finish)
                if (digest, size) != (download.node.hash, download.node.size):
                    raise Offline(f"{path}: what arrived is not what was announced")
                if download.node != wanted:
                    self._learn(path, download)
                return download.node, writer.place
        except BaseException as error:
            await self._give_up(writer, keep=is_partial and isinstance(error, Offline))
            raise

    def _learn(self, path: str, download: Download) -> None:
        """Take a newer version than the one we came for, if we can tell that it is newer."""
        if self._view.has_cursor and download.seq <= self._view.cursor:
            raise Stale(f"{path} is not what was announced")
        self._view.wrote(path, download.node, download.seq)

    async def _give_up(self, writer: _Writer, *, keep: bool) -> None:
        writer.close()
        if not keep:
            await self._drop(writer.place)

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
        if action.node.size <= SMALL:
            content: bytes | AsyncIterator[bytes] = await self._run(self._read, action)
            await self._pace.spend(action.node.size)
            self._progress.moved_bytes(action.node.size)
        else:
            content = self._stream(action)
        try:
            written = await self._remote.upload(action.path, action.node, content, action.expect)
        except RemoteError:
            if action in self._torn:
                raise LocalChanged(f"{action.path} was changed while it was sent") from None
            raise
        finally:
            self._torn.discard(action)
        self._view.wrote(action.path, action.node, written.seq)

    def _read(self, action: Action) -> bytes:
        """Return a small file's content; LocalChanged when it is not what was planned."""
        assert action.node is not None
        calls, parts = self._replica.folder.calls, []
        try:
            descriptor = calls.open(self._replica.folder.full(action.path))
        except OSError as error:
            raise LocalChanged(f"{action.path}: {error.strerror}") from error
        try:
            while chunk := calls.read(descriptor, SMALL):
                parts.append(chunk)
        finally:
            calls.close(descriptor)
        data = b"".join(parts)
        if hashlib.sha256(data).hexdigest() != action.node.hash:
            raise LocalChanged(f"{action.path} was changed")
        return data

    async def _stream(self, action: Action) -> AsyncIterator[bytes]:
        """Yield a large file; its end only if the whole is what was planned."""
        assert action.node is not None
        calls, digest, last = self._replica.folder.calls, hashlib.sha256(), b""
        descriptor = await self._run(calls.open, self._replica.folder.full(action.path))
        try:
            while chunk := await self._run(calls.read, descriptor, BLOCK):
                digest.update(chunk)
                if last:
                    await self._pace.spend(len(last))
                    self._progress.moved_bytes(len(last))
                    yield last
                last = chunk
        finally:
            calls.close(descriptor)
        if digest.hexdigest() != action.node.hash:
            self._torn.add(action)
            raise Stale(f"{action.path} was changed while it was sent")
        yield last


class _Writer:
    """A temporary file on its way in. Every method but ``close`` blocks."""

    def __init__(self, place: str, replica: Replica, run: Run) -> None:
        self.place = place
        self._calls = replica.folder.calls
        self._digest = hashlib.sha256()
        self._size = 0
        self._descriptor = -1

    def resume(self) -> int:
        """Open what an interrupted download left; return how much that is."""
        try:
            descriptor = self._calls.open(self.place)
        except FileNotFoundError:
            return 0
        try:
            while chunk := self._calls.read(descriptor, BLOCK):
                self._digest.update(chunk)
                self._size += len(chunk)
        finally:
            self._calls.close(descriptor)
        self._descriptor = self._calls.append(self.place)
        return self._size

    def begin(self) -> None:
        """Begin with nothing."""
        self.close()
        with suppress(FileNotFoundError):
            self._calls.unlink(self.place)
        self._digest, self._size = hashlib.sha256(), 0
        self._descriptor = self._calls.create(self.place)

    def write(self, data: bytes) -> None:
        """Append."""
        self._calls.write(self._descriptor, data)
        self._digest.update(data)
        self._size += len(data)

    def finish(self) -> tuple[str, int]:
        """Make the content durable; return its hash and size."""
        self._calls.sync(self._descriptor)
        self.close()
        return self._digest.hexdigest(), self._size

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            self._calls.close(self._descriptor)
            self._descriptor = -1
