"""Where a hop listens: ``unix//absolute/path`` or ``host:port``. It decides trust and defaults."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

MAX_UNIX_PATH = 100
"""The kernel's limit is 107 bytes (``sun_path``); a longer path gets a short one under /tmp."""
BACKLOG = 1024
"""Connections are few and live long; this is for a whole deployment that comes back at once."""


def unix_path(address: str) -> str | None:
    """Return the socket's path, None for a TCP address."""
    return address.removeprefix("unix/") if address.startswith("unix/") else None


def split_host(address: str) -> tuple[str, int]:
    """Return host and port; ValueError when it is no ``host:port``."""
    host, mark, port = address.rpartition(":")
    if not mark or not port.isdigit():
        raise ValueError(f"{address!r} is neither unix//path nor host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def reachable(address: str) -> str:
    """Return what other machines can connect to: this one's name in the place of a wildcard."""
    if unix_path(address) is not None:
        return address
    host, port = split_host(address)
    return f"{socket.gethostname()}:{port}" if host in {"", "0.0.0.0", "::"} else address


def default_address(data_dir: Path, process: str) -> str:
    """Return a unix socket of this process, below the data directory if its path is short enough."""
    path = (data_dir / "run" / f"{process}.sock").absolute()
    if len(os.fsencode(path)) > MAX_UNIX_PATH:
        mark = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
        path = Path(tempfile.gettempdir()) / f"quantum-{os.getuid()}-{mark}" / f"{process}.sock"
    return f"unix/{path}"


async def listen(
    address: str, make: Callable[[], asyncio.BaseProtocol]
) -> tuple[asyncio.AbstractServer, str]:
    """Listen on ``address``; returns the server and the address with the port it got.

    A unix socket is for its user alone (0600, in a directory that is 0700 if made here). A socket
    file that nobody answers on is removed. OSError when the address cannot be had.
    """
    loop = asyncio.get_running_loop()
    path = unix_path(address)
    if path is not None:
        bound = _bind_unix(Path(path))
        return await loop.create_unix_server(make, sock=bound, backlog=BACKLOG), address
    host, port = split_host(address)
    server = await loop.create_server(make, host or None, port, backlog=BACKLOG)
    port = server.sockets[0].getsockname()[1]
    return server, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind_unix(path: Path) -> socket.socket:
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True)
    owner = path.parent.stat()
    if owner.st_uid not in {0, os.geteuid()}:
        raise PermissionError(f"{path.parent} belongs to another user: a socket there is not safe")
    if path.exists() and not _answers(path):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(os.fspath(path))
        path.chmod(0o600)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True


def remove_socket(address: str) -> None:
    """Remove the file of a unix socket that is not listened on any more; fine when it is gone."""
    path = unix_path(address)
    if path is not None:
        Path(path).unlink(missing_ok=True)
