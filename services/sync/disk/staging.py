"""Contents that come together: written as temporary files and as chunks, made durable by one sync.

All functions block; callers run them in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from services.sync.content.directory import ChunkDirectory, write_all
from services.sync.content.manifest import Manifest
from services.sync.disk.folder import Folder


@dataclass(frozen=True, slots=True)
class Staged:
    """A content that is durable and has no name yet."""

    temporary: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Small:
    """A content in memory, its hash, its time in nanoseconds."""

    data: bytes
    hash: str
    modified_ns: int


def stage(folder: Folder, chunks: ChunkDirectory, contents: Sequence[Small]) -> list[Staged]:
    """Store contents. OSError: then nothing of them is left."""
    names: list[str] = []
    fresh: list[str] = []
    try:
        with folder.temporaries() as create:
            for content in contents:
                name, descriptor = create()
                names.append(name)
                try:
                    write_all(descriptor, content.data)
                    os.utime(descriptor, ns=(content.modified_ns, content.modified_ns))
                finally:
                    os.close(descriptor)
        manifests = chunks.add_all([(each.hash, each.data) for each in contents], fresh)
        fresh += [folder.temporary_path(name) for name in names]
        chunks.sync(fresh)
    except BaseException:
        for name in names:
            folder.drop_temporary(name)
        raise
    return [Staged(name, manifest) for name, manifest in zip(names, manifests, strict=True)]
