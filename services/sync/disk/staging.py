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


def stage(
    folder: Folder, chunks: ChunkDirectory, contents: Sequence[tuple[bytes, int]]
) -> list[Staged]:
    """Store contents, each with its time in nanoseconds. OSError: then nothing of them is left."""
    staged: list[Staged] = []
    fresh: list[str] = []
    try:
        with folder.temporaries() as create:
            for data, modified_ns in contents:
                manifest = chunks.add_bytes(data, fresh)
                name, descriptor = create()
                staged.append(Staged(name, manifest))
                try:
                    write_all(descriptor, data)
                    os.utime(descriptor, ns=(modified_ns, modified_ns))
                finally:
                    os.close(descriptor)
        fresh += [folder.temporary_path(each.temporary) for each in staged]
        chunks.sync(fresh)
    except BaseException:
        for each in staged:
            folder.drop_temporary(each.temporary)
        raise
    return staged
