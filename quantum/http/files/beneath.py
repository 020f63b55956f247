"""Names below a root, and whether what was opened really lies there.

The URL's path comes decoded and clean (``http/target.py``): what is joined here has no dot segments
and no NUL, so the only way out of the root is a symbolic link. Links are followed, as Caddy does, as
long as they end inside the root. That is not decided by looking first and opening later: the file is
opened, then the kernel is asked which file that was.
"""

# ruff: noqa: PTH115, PTH116 - names are str: system calls for each request, no Path objects
from __future__ import annotations

import os

_DESCRIPTORS = "/proc/self/fd"

LOOK = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_CLOEXEC
"""Opens a name without opening what it names, where the system can (Linux)."""


def join(root: str, path: str) -> str:
    """Return the file name for the clean path ``path`` (absolute, ``/`` separated) below ``root``."""
    return root.rstrip("/") + path


def is_beneath(root: str, name: str, descriptor: int) -> bool:
    """Whether the open file lies below ``root``; both are taken as they really are, links resolved."""
    real_root = _real(root)
    try:
        real = os.readlink(f"{_DESCRIPTORS}/{descriptor}")
    except OSError:
        # No /proc (another system, a bare container): resolve by name and compare identities.
        real = os.path.realpath(name)
        if not os.path.samestat(os.stat(real), os.fstat(descriptor)):
            return False
    return real.startswith(real_root.rstrip("/") + "/")


def status_beneath(root: str, name: str) -> os.stat_result | None:
    """Return what is known of a file or directory; None when it is not there, or not below ``root``.

    Nothing is opened for reading (``O_PATH``): devices and pipes notice nothing. The root itself is
    below the root.
    """
    try:
        descriptor = os.open(name, LOOK)
    except (OSError, ValueError):  # not there, not allowed, or no name at all (a NUL in it)
        return None
    try:
        if name.rstrip("/") == root.rstrip("/") or is_beneath(root, name, descriptor):
            return os.fstat(descriptor)
        return None
    finally:
        os.close(descriptor)


def _real(name: str) -> str:
    """Return where ``name`` leads; three system calls, ``realpath`` makes one for each folder and link."""
    try:
        descriptor = os.open(name, LOOK)
        try:
            return os.readlink(f"{_DESCRIPTORS}/{descriptor}")
        finally:
            os.close(descriptor)
    except OSError:
        return os.path.realpath(name)
