"""Calls of the kernel that Python does not have: renameat2, syncfs, sync_file_range."""

from __future__ import annotations

import ctypes
import errno
import os

NOREPLACE, EXCHANGE = 1, 2
"""Flags of renameat2(2)."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTTY})


def rename(source: str, to: str, source_directory: int, directory: int, flags: int) -> None:
    """Rename below open directories, as renameat2 does; plainly where a file system cannot.

    Raises FileExistsError with NOREPLACE when the target is there, otherwise what os.rename raises.
    """
    if _LIBC.renameat2(source_directory, source.encode(), directory, to.encode(), flags) == 0:
        return
    code = ctypes.get_errno()
    if code not in _UNSUPPORTED:
        raise OSError(code, os.strerror(code), source)
    if flags == NOREPLACE:
        try:
            os.stat(to, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            raise FileExistsError(to)
    os.rename(source, to, src_dir_fd=source_directory, dst_dir_fd=directory)


def sync_file_system(descriptor: int) -> None:
    """Make all that was written to the file system of an open file durable (syncfs(2))."""
    if _LIBC.syncfs(descriptor):
        raise OSError(ctypes.get_errno(), "syncfs")


_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h


def begin_to_sync(descriptor: int) -> None:
    """Let the disk begin with what was written to a file; nobody waits, nothing is promised.

    What is made durable later is then on its way already, and does not come all at once.
    """
    call = getattr(_LIBC, "sync_file_range", None)
    if call is not None:
        call(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE_WRITE)
