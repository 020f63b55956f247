"""Opening a folder: its store, its lock, its marker, and whose copy it is."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.sync.client.disk.calls import SystemCalls
from services.sync.client.disk.folder import STORE, FolderLost, LocalFolder
from services.sync.client.state import State

DATABASE = f"{STORE}/client.db"
LOCK = f"{STORE}/lock"


class FolderInUse(Exception):
    """Another client syncs this folder now."""


class OtherShare(Exception):
    """The folder is a copy of another share."""


@contextmanager
def open_folder(
    root: Path, server: str, *, is_read_only: bool = False
) -> Iterator[tuple[LocalFolder, State]]:
    """Yield the folder and its state; locked for this process unless it is only read.

    Raises FolderLost (it, or its marker, is missing), FolderInUse, OtherShare, StateBroken. A folder
    that was never synced is prepared.
    """
    if not root.is_dir():
        raise FolderLost(f"{root} is no directory")
    root = root.resolve()
    folder = LocalFolder(str(root), SystemCalls())
    store = root / STORE
    if is_read_only and not (root / DATABASE).exists():
        raise FolderLost(f"{root} was never synced")
    store.mkdir(mode=0o700, exist_ok=True)
    with _locked(root / LOCK, is_needed=not is_read_only):
        state = State.open(str(root / DATABASE))
        try:
            _identify(folder, state, server)
            yield folder, state
        finally:
            state.close()


def _identify(folder: LocalFolder, state: State, server: str) -> None:
    """Make a new folder ours, or make sure that it is the one that was synced with this server."""
    marker, known = state.fact("marker"), state.fact("server")
    if known and server and known != server:
        raise OtherShare(f"{folder.root} is synced with {known}")
    if not marker:
        marker = secrets.token_hex(16)
        state.set_fact("marker", marker)
        state.set_fact("server", server)
        state.commit()
        folder.prepare(marker)
    elif not folder.read_marker() and not state.synced:
        folder.prepare(marker)  # the first start ended in the middle
    elif folder.read_marker() != marker:
        raise FolderLost(f"{folder.root} is not the folder that was synced: its marker is missing")


@contextmanager
def _locked(path: Path, *, is_needed: bool) -> Iterator[None]:
    try:
        import fcntl
    except (
        ImportError
    ):  # pragma: no cover - Windows has no flock; two clients there are told by nobody
        yield
        return
    if not is_needed:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderInUse(f"another client syncs {path.parent.parent}") from error
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)
