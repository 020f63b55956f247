"""Listening sockets: opened before anything is torn down, so that a port that is taken changes nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from quantum.config.units import NetworkAddress
from quantum.errors import QuantumError, in_words
from quantum.net.address import SocketAddress, stream_addresses

BACKLOG = 4096
"""Connections the kernel queues for us: its own usual bound (net.core.somaxconn)."""

UNSENT_BYTES = 256 * 1024
"""What the kernel takes of an answer beyond what is on its way (TCP_NOTSENT_LOWAT). It would take up to four
megabytes for each client that reads slowly, and a thousand of those exhaust the memory of all connections."""

_REMEDIES = {
    errno.EADDRINUSE: "something listens there already: end it, or choose another port",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE or a lower net.ipv4.ip_unprivileged_port_start",
}


def remedy(error: OSError) -> str:
    """Return what to do about an address that cannot be listened on."""
    return _REMEDIES.get(error.errno or 0, "is the port free, and allowed?")


def cannot_listen(flag: str, address: str, error: OSError) -> QuantumError:
    """Return the error that names the flag whose address cannot be listened on, and the remedy."""
    return QuantumError(f"{flag} {address}: {in_words(error)} ({remedy(error)})")


@dataclass(frozen=True)
class KeepAlive:
    """TCP keepalive of accepted connections: seconds, seconds, probes; negative leaves the system's."""

    idle: float = 15.0
    interval: float = 15.0
    count: int = 9


def open_listeners(address: NetworkAddress, *, reuse_port: bool = False) -> list[socket.socket]:
    """Return bound, listening, non-blocking sockets for one address (one port); OSError if it cannot.

    ``reuse_port`` lets several processes share a TCP port; the kernel spreads connections.
    """
    if address.is_fd:
        return [_adopt(int(address.host))]
    if address.is_unix:
        return [_listen_unix(address)]
    opened: list[socket.socket] = []
    try:
        port = address.port
        for place in stream_addresses(address, port):
            if port == 0 and opened:  # a name with two addresses gets the same free port on both
                place = _at_port(place, opened[0].getsockname()[1])
            opened.append(_listen_tcp(place, reuse_port=reuse_port))
    except OSError:
        close_all(opened)
        raise
    return opened


def close_all(sockets: list[socket.socket]) -> None:
    """Close sockets; what fails to close is gone anyway."""
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.close()


def tune(sock: socket.socket, keep_alive: KeepAlive) -> None:
    """Set keepalive and UNSENT_BYTES on a listener: Linux hands its options on to what it accepts."""
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    if keep_alive.interval < 0:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (
        (socket.TCP_KEEPIDLE, int(keep_alive.idle)),
        (socket.TCP_KEEPINTVL, int(keep_alive.interval)),
        (socket.TCP_KEEPCNT, keep_alive.count),
    )
    for option, value in options:
        if value > 0:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _at_port(place: SocketAddress, port: int) -> SocketAddress:
    host, _, *rest = place.address
    return SocketAddress(place.family, (host, port, *rest), place.v6_only)


def _listen_tcp(place: SocketAddress, *, reuse_port: bool) -> socket.socket:
    sock = socket.socket(place.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if place.v6_only is not None:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, place.v6_only)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(place.address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _listen_unix(address: NetworkAddress) -> socket.socket:
    path = address.host
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if path.startswith("@"):
            sock.bind("\0" + path[1:])
        else:
            _remove_stale(Path(path))
            sock.bind(path)
            Path(path).chmod(address.mode)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a process that is gone; OSError (in use) when one answers."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} is there and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except (BlockingIOError, PermissionError):
            pass
    raise OSError(f"{path} is in use by another process")


def _adopt(descriptor: int) -> socket.socket:
    """Take over a listening socket that was inherited; the descriptor itself stays as it is."""
    sock = socket.socket(fileno=os.dup(descriptor))
    sock.setblocking(False)
    sock.listen(BACKLOG)
    return sock
