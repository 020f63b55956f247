"""Disks that fail: one that is full for a moment, and one that forgets what was not synced when the power goes (root)."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

LARGEST = "8g"
"""Of the disk that fills: a share, its chunks, history and a bus of some two hundred rounds."""
IMAGE_BYTES = 4 * 1024**3
"""Of the disk that loses its power: a hundred rounds fit. It is sparse, so a cut copies what was written alone."""
COMMIT_SECONDS = 300
"""Between commits of the journal that nobody asked for: what is not synced is lost for certain."""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Filling:
    """A tmpfs that is made as small as what is on it, so that nothing more fits."""

    TRIES = 50
    """To shrink it: the kernel refuses when something was written since its use was asked."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fill(self) -> None:
        """Leave no room."""
        for _ in range(self.TRIES):
            found = os.statvfs(self._directory)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            with contextlib.suppress(subprocess.CalledProcessError):
                self._resize(str(used))
                return
        raise OSError(f"{self._directory} was written to faster than it could be filled")

    def free(self) -> None:
        """Give the room back."""
        self._resize(LARGEST)

    def _resize(self, size: str) -> None:
        _run("mount", "-o", f"remount,size={size}", str(self._directory))


@contextlib.contextmanager
def filling_disk(directory: Path) -> Iterator[Filling]:
    """A file system of its own that can be full."""
    _run("mount", "-t", "tmpfs", "-o", f"size={LARGEST}", "tmpfs", str(directory))
    try:
        yield Filling(directory)
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
