"""Disks that fail: one that is small, and one that forgets what was not synced when the power goes (root)."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

SMALL = "96m"
"""Enough for a share, its chunks and a bus of some hundred rounds."""
IMAGE_BYTES = 4 * 1024**3
"""Of the disk that loses its power: a hundred rounds fit. It is sparse, so a cut copies what was written alone."""
COMMIT_SECONDS = 300
"""Between commits of the journal that nobody asked for: what is not synced is lost for certain."""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A file system of its own that can be full."""
    _run("mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(directory))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=False)


class Losing:
    """A real ext4 in an image file, mounted at a directory.

    A power cut is a copy of the image as it is: what programs wrote and nobody synced is still in the
    kernel's memory, and not in it. Mounting the copy replays the journal, as a machine does that starts.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._image = directory.with_name(f"{directory.name}.disk")
        self.cuts = 0

    def mount(self) -> None:
        """Make the file system."""
        with self._image.open("wb") as image:
            image.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self._mount()

    def _mount(self) -> None:
        options = f"loop,commit={COMMIT_SECONDS}"
        _run("mount", "-o", options, str(self._image), str(self._directory))

    def lose(self) -> None:
        """Cut the power. Nobody may have a file open there any more."""
        self.cuts += 1
        copy = self._image.with_suffix(f".{self.cuts}")
        _run("cp", "--sparse=always", str(self._image), str(copy))
        self.unmount()
        self._image = copy
        self._mount()

    def unmount(self) -> None:
        """Take the file system away."""
        _run("umount", "-l", str(self._directory))
        self._image.unlink()


@contextlib.contextmanager
def losing_disk(directory: Path) -> Iterator[Losing]:
    """A file system that forgets."""
    disk = Losing(directory)
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()
