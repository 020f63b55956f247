"""Opening a file that a URL names, never one outside the root (``http/files/beneath``), and ``hide``."""

# ruff: noqa: PTH100, PTH116 - names are str: system calls for each request, no Path objects
from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence

from quantum.http.files.beneath import is_beneath

Hidden = Callable[[str], bool]

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Non-blocking, so that a named pipe that took a file's place cannot hold the event loop."""


class OutsideRoot(Exception):
    """A file that was opened lies outside the root."""


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
