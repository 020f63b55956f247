"""Files that must be whole or absent, and readable by nobody else.

The layout is Caddy's: ``certificates/<issuer>/<name>/<name>.{crt,key,json}``,
``pki/authorities/<id>/{root,intermediate}.{crt,key}``, ``acme/<ca>/users/<email>/…``.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quantum.service.private import write_private

FILE_MODE = 0o600
FOLDER_MODE = 0o700


class Storage:
    """A folder of secrets. Methods block on the disk: call them in a thread. Errors are OSErrors."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, *parts: str) -> bytes | None:
        """Return a file's content, None when it is not there."""
        try:
            return self.root.joinpath(*parts).read_bytes()
        except FileNotFoundError:
            return None

    def place(self, key: str) -> Path:
        """Return where a key's content is; ValueError when it leads out of the storage."""
        root = self.root.resolve()
        path = (root / key).resolve()
        if not path.is_relative_to(root):
            raise ValueError(f"{key!r} leads out of the storage")
        return path

    def write(self, data: bytes, *parts: str) -> None:
        """Replace a file: after a crash it has the old content or the new, never a part of it."""
        path = self.root.joinpath(*parts)
        self._make_folder(path.parent)
        write_private(path, data)

    @contextmanager
    def locked(self, *parts: str) -> Iterator[None]:
        """Hold a folder for this process alone: replicas that share the disk make one CA, not two."""
        folder = self.root.joinpath(*parts)
        self._make_folder(folder)
        with (folder / ".lock").open("a") as file:
            Path(file.name).chmod(FILE_MODE)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _make_folder(self, folder: Path) -> None:
        missing = [f for f in (folder, *folder.parents) if f != self.root and not f.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:
            if made.is_relative_to(self.root):
                made.chmod(FOLDER_MODE)


def safe_name(text: str) -> str:
    """Return ``text`` as one file name, in certmagic's way: ``*.a.b`` is ``wildcard_.a.b``."""
    replaced = text.lower().replace("*", "wildcard_").replace(":", "-").replace("/", "-")
    kept = "".join(c for c in replaced if c.isalnum() or c in "._@-+")
    return kept.lstrip(".") or "_"
