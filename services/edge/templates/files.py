"""Files that templates may read: below the root, as the file server keeps it, and no larger than a bound."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from typing import Any

from quantum.http.files.beneath import is_beneath, join, status_beneath
from quantum.http.target import normalise
from services.edge.templates.syntax import TemplateError
from services.edge.templates.values import Struct

MAX_FILE = 4 * 1024 * 1024
"""Bytes of a file that is read or included."""
MAX_LISTED = 10_000


class Files:
    """What is below one root."""

    def __init__(self, root: str) -> None:
        self._root = root

    def read(self, name: str) -> str:
        """Return a file's text; bytes that are no UTF-8 survive. TemplateError."""
        path = self._path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise TemplateError(f"{name}: {_reason(error)}") from None
        try:
            status = os.fstat(descriptor)
            if not is_beneath(self._root, path, descriptor) or not stat.S_ISREG(status.st_mode):
                raise TemplateError(f"{name}: no file below the root")
            if status.st_size > MAX_FILE:
                raise TemplateError(f"{name}: larger than {MAX_FILE} bytes")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(MAX_FILE).decode("utf-8", "surrogateescape")
        finally:
            os.close(descriptor)

    def names(self, name: str) -> list[str]:
        """Return the names in a directory, sorted."""
        path = self._path(name)
        status = status_beneath(self._root, path)
        if status is None or not stat.S_ISDIR(status.st_mode):
            raise TemplateError(f"{name}: no directory below the root")
        with os.scandir(path) as entries:
            found = [entry.name for _, entry in zip(range(MAX_LISTED), entries, strict=False)]
        return sorted(found)

    def exists(self, name: str) -> bool:
        """Whether there is a file or directory of that name."""
        return status_beneath(self._root, self._path(name)) is not None

    def status(self, name: str) -> Struct:
        """Return Go's FileInfo."""
        path = self._path(name)
        status = status_beneath(self._root, path)
        if status is None:
            raise TemplateError(f"{name}: not found")
        members: dict[str, Any] = {
            "Name": path.rstrip("/").rpartition("/")[2],
            "Size": status.st_size,
            "IsDir": stat.S_ISDIR(status.st_mode),
            "Mode": stat.filemode(status.st_mode),
            "ModTime": datetime.fromtimestamp(status.st_mtime, UTC),
        }
        return Struct(members)

    def _path(self, name: str) -> str:
        if "\0" in name or "\\" in name:
            raise TemplateError(f"{name!r} is no name of a file")
        return join(self._root, normalise(f"/{name}"))


def _reason(error: Exception) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else str(error)
