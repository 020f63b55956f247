"""From the path of a URL to a file, and never to one outside the root.

The URL's path comes decoded and clean (``http/target.py``): what is joined here has no dot segments
and no NUL, so the only way out of the root is a symbolic link. Links are followed, as Caddy does, as
long as they end inside the root; one that leads out is not found. That is not decided by looking
first and opening later: the file is opened, then the kernel is asked which file that was.
"""

# ruff: noqa: PTH100, PTH115, PTH116 - names are str: system calls for each request, no Path objects
from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence

Hidden = Callable[[str], bool]

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Non-blocking, so that a named pipe that took a file's place cannot hold the event loop."""

_DESCRIPTORS = "/proc/self/fd"


class OutsideRoot(Exception):
    """A file that was opened lies outside the root."""


def join(root: str, path: str) -> str:
    """Return the file name for the clean path ``path`` (absolute, ``/`` separated) below ``root``."""
    return root.rstrip("/") + path


def open_beneath(root: str, name: str) -> tuple[int, os.stat_result]:
    """Open a regular file for reading; OutsideRoot, FileNotFoundError or another OSError.

    The caller owns the descriptor. Directories, devices, pipes and sockets are FileNotFoundError.
    """
    if not stat.S_ISREG(os.stat(name).st_mode):  # opening a device can have effects: look first
        raise FileNotFoundError(errno.ENOENT, "not a regular file", name)
    descriptor = os.open(name, OPEN_FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", name)
        if not is_beneath(root, name, descriptor):
            raise OutsideRoot(name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def is_beneath(root: str, name: str, descriptor: int) -> bool:
    """Whether the open file lies below ``root``; both are taken as they really are, links resolved."""
    real_root = os.path.realpath(root)
    try:
        real = os.readlink(f"{_DESCRIPTORS}/{descriptor}")
    except OSError:
        # No /proc (another system, a bare container): resolve by name and compare identities.
        real = os.path.realpath(name)
        if not os.path.samestat(os.stat(real), os.fstat(descriptor)):
            return False
    return real.startswith(real_root.rstrip("/") + "/")


def compile_hidden(patterns: Sequence[str]) -> Hidden | None:
    """Return the test for ``hide``; None when nothing is hidden.

    A pattern without a slash hides what has a path component that matches it; one with a slash is
    made absolute and hides that path and all below it, or what matches it as a glob.
    """
    if not patterns:
        return None
    components = [_glob(p) for p in patterns if "/" not in p]
    absolute = [os.path.abspath(p) for p in patterns if "/" in p]
    wholes = [_glob(p) for p in absolute]

    def is_hidden(name: str) -> bool:
        name = os.path.abspath(name)
        if any(g.fullmatch(c) for g in components for c in name.split("/")):
            return True
        if any(name == p or name.startswith(p.rstrip("/") + "/") for p in absolute):
            return True
        return any(g.fullmatch(name) for g in wholes)

    return is_hidden


_GLOB_TOKEN = re.compile(r"\\(.)|(\*)|(\?)|\[(\^?)((?:\\.|[^\]\\])+)\]|(.)", re.DOTALL)


def _glob(pattern: str) -> re.Pattern[str]:
    """Compile a glob of Go's path/filepath: ``*`` and ``?`` stop at a slash, ``[^…]`` negates."""
    expression = ""
    for match in _GLOB_TOKEN.finditer(pattern):
        escaped, star, question, negated, members, plain = match.groups()
        if star:
            expression += "[^/]*"
        elif question:
            expression += "[^/]"
        elif members:
            expression += f"[{negated}{members.replace('[', chr(92) + '[')}]"
        else:
            expression += re.escape(escaped or plain)
    return re.compile(expression, re.DOTALL)
