"""A content on its way into the folder: a file in ``.quantum/incoming`` until it is whole and durable."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from services.sync.client.disk.calls import Calls
from services.sync.client.disk.folder import READ_SIZE


class Temporary:
    """Written in order, hashed on the way. Every method but ``close`` blocks."""

    def __init__(self, place: str, calls: Calls) -> None:
        self.place = place
        self._calls = calls
        self._digest = hashlib.sha256()
        self._descriptor = -1
        self.size = 0

    def resume(self) -> int:
        """Open what an interrupted download left; return how much that is."""
        try:
            descriptor = self._calls.open(self.place)
        except FileNotFoundError:
            return 0
        try:
            while chunk := self._calls.read(descriptor, READ_SIZE):
                self._digest.update(chunk)
                self.size += len(chunk)
        finally:
            self._calls.close(descriptor)
        self._descriptor = self._calls.append(self.place)
        return self.size

    def begin(self) -> None:
        """Begin with nothing."""
        self.discard()
        self._digest, self.size = hashlib.sha256(), 0
        self._descriptor = self._calls.create(self.place)

    def write(self, data: bytes) -> None:
        """Append."""
        self._calls.write(self._descriptor, data)
        self._digest.update(data)
        self.size += len(data)

    def finish(self) -> tuple[str, int]:
        """Make the content durable; return its hash and size."""
        self._calls.sync(self._descriptor)
        self.close()
        return self._digest.hexdigest(), self.size

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            self._calls.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Close and remove the file."""
        self.close()
        with suppress(FileNotFoundError):
            self._calls.unlink(self.place)
