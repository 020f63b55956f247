"""Uploads under way: for each a file of bytes and a record, below the hidden folder. Functions block.

The offset of an upload is the size of its file, and what is reported was synced before. One writer
at a time, whatever process it is in: the file is locked while bytes are appended.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from services.sync.disk.folder import TEMPORARY
from services.sync.disk.incoming import Received
from services.sync.share.paths import HIDDEN

KEPT_SECONDS = 24 * 3600
"""How long an upload is kept after its last byte: a night without a network."""

MOST_UPLOADS = 10_000
"""Uploads under way in one share: as many as clients."""

READ_SIZE = 1024 * 1024


class NoUpload(Exception):
    """No such upload: it never was, was completed, or has expired."""


class Busy(Exception):
    """Somebody else is appending to it."""


class Upload(BaseModel):
    """What is known of one upload. ``length`` is None while the client has not said it."""

    model_config = ConfigDict(extra="ignore")
    id: str
    path: str
    length: int | None
    expires: datetime
    metadata: str = ""
    is_partial: bool = False
    makes_copy: bool = False
    if_match: list[str] | None = None
    if_none_match: list[str] = []
    base: int | None = None
    modified: str | None = None
    client: str = "server"
    dialect: str = "tus"


class UploadStore:
    """The uploads of one share."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._folder = Path(root) / HIDDEN / "uploads"

    def create(self, upload: Upload) -> None:
        """Begin an upload; OSError when there are too many of them."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if sum(1 for _ in self._folder.glob("*.json")) >= MOST_UPLOADS:
            raise OSError(28, "too many uploads under way")
        self._data(upload.id).touch(mode=0o600, exist_ok=False)
        self.save(upload)

    def save(self, upload: Upload) -> None:
        """Keep a record, in one step."""
        record = self._record(upload.id)
        fresh = record.with_suffix(f".{secrets.token_hex(4)}")
        fresh.write_text(upload.model_dump_json())
        fresh.replace(record)

    def load(self, upload_id: str, now: datetime) -> tuple[Upload, int]:
        """Return an upload and its durable offset; NoUpload."""
        if not upload_id.isalnum():
            raise NoUpload(upload_id)
        try:
            upload = Upload.model_validate_json(self._record(upload_id).read_text())
            with self._data(upload_id).open("rb") as file:
                os.fsync(file.fileno())
                size = os.fstat(file.fileno()).st_size
        except (FileNotFoundError, ValueError):
            raise NoUpload(upload_id) from None
        if upload.expires <= now:
            self.remove(upload_id)
            raise NoUpload(upload_id)
        return upload, size

    @contextmanager
    def appending(self, upload_id: str) -> Iterator[int]:
        """Hold the file open at its end, alone; Busy, NoUpload."""
        try:
            descriptor = os.open(self._data(upload_id), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoUpload(upload_id) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        except BlockingIOError:
            raise Busy(upload_id) from None
        finally:
            os.close(descriptor)

    def finished(self, upload_id: str) -> Received:
        """Return the bytes as a content that can be given a name; the upload stays till ``remove``."""
        digest = hashlib.sha256()
        name = secrets.token_hex(12)
        data = self._data(upload_id)
        try:
            with data.open("rb") as file:
                while piece := file.read(READ_SIZE):
                    digest.update(piece)
                os.fsync(file.fileno())
                status = os.fstat(file.fileno())
            place = Path(self._root) / TEMPORARY / name
            place.hardlink_to(data)
        except FileNotFoundError:
            raise NoUpload(upload_id) from None
        place.chmod(0o644)
        return Received(name, status.st_size, digest.digest(), status.st_mtime_ns, status.st_ino)

    def concatenate(self, upload_id: str, parts: list[str]) -> None:
        """Append the bytes of other uploads, in order; NoUpload."""
        with self.appending(upload_id) as descriptor:
            for part in parts:
                try:
                    with self._data(part).open("rb") as file:
                        while piece := file.read(READ_SIZE):
                            append(descriptor, piece)
                except FileNotFoundError:
                    raise NoUpload(part) from None

    def remove(self, upload_id: str) -> None:
        """Forget an upload and its bytes; fine when there is none."""
        for path in (self._record(upload_id), self._data(upload_id)):
            with suppress(FileNotFoundError):
                path.unlink()

    def sweep(self, now: datetime) -> None:
        """Remove what has expired."""
        for record in self._folder.glob("*.json"):
            with suppress(NoUpload):
                self.load(record.stem, now)

    def _record(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.json"

    def _data(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.data"


def append(descriptor: int, data: bytes) -> None:
    """Write all of ``data`` at the end."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
