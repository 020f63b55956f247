"""Opening sockets to upstreams: names, families side by side, a local address, what goes first.

Go's way with several addresses: the first family is tried alone for ``fallback_delay`` seconds, then the
next beside it; the first that answers is taken (RFC 8305 in small). What must stand before everything
else on a connection (a PROXY header) is sent here, before TLS.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantum.config.units import NetworkAddress
from quantum.tasks import TaskSet
from services.proxy.discovery.resolver import LookupFailed, Resolver

KEEP_ALIVE_PROBES = 9
"""Unanswered TCP probes that end a connection: Linux' default, and Go's."""

_FAMILIES = {"tcp4": socket.AF_INET, "tcp6": socket.AF_INET6}
SocketAddress = tuple[int, Any]
"""A family and what ``connect`` wants of it."""


@dataclass(frozen=True)
class DialSettings:
    """Seconds (0: none), the local (IP, port) to connect from, who is asked for names (None: the system)."""

    timeout: float = 3.0
    fallback_delay: float = 0.3
    probe_interval: float = 30.0
    local_address: tuple[str, int] | None = None
    resolver: Resolver | None = None


async def open_socket(
    address: NetworkAddress, settings: DialSettings, first: bytes = b""
) -> socket.socket:
    """Return a connected socket on which ``first`` was sent; OSError or TimeoutError."""
    async with asyncio.timeout(settings.timeout or None):
        sock = await _connected(address, settings)
        try:
            if first:
                await asyncio.get_running_loop().sock_sendall(sock, first)
        except BaseException:
            sock.close()
            raise
    return sock


async def open_datagram_socket(address: NetworkAddress, settings: DialSettings) -> socket.socket:
    """Return a UDP socket that is connected to ``address``: the first of several."""
    family, sockaddr = (await targets_of(address, settings.resolver))[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if settings.local_address is not None:
            sock.bind(settings.local_address)
        sock.connect(sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connected(address: NetworkAddress, settings: DialSettings) -> socket.socket:
    if address.is_unix:
        path = "\0" + address.host[1:] if address.host.startswith("@") else address.host
        return await _connect((socket.AF_UNIX, path), settings)
    targets = await targets_of(address, settings.resolver)
    if len(targets) == 1 or settings.fallback_delay <= 0:
        return await _in_turn(targets, settings)
    return await _side_by_side(targets, settings)


async def targets_of(address: NetworkAddress, resolver: Resolver | None) -> list[SocketAddress]:
    """Return where ``address`` is, at least one; OSError when its name is not known."""
    host, family = address.host or "localhost", _FAMILIES.get(address.network, socket.AF_UNSPEC)
    hosts = [host]
    if resolver is not None and not is_ip(host):
        kinds = {socket.AF_INET: ("A",), socket.AF_INET6: ("AAAA",)}.get(family, ("A", "AAAA"))
        try:
            hosts = await resolver.addresses(host, kinds)
        except LookupFailed as failure:
            raise OSError(str(failure)) from failure
    loop = asyncio.get_running_loop()
    found = []
    for one in hosts:
        found += await loop.getaddrinfo(one, address.port, family=family, type=socket.SOCK_STREAM)
    return [(int(family), sockaddr) for family, _, _, _, sockaddr in found]


def is_ip(host: str) -> bool:
    """Whether ``host`` is an address and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


async def _in_turn(targets: Sequence[SocketAddress], settings: DialSettings) -> socket.socket:
    failure: OSError = OSError("no address")
    for target in targets:
        try:
            return await _connect(target, settings)
        except OSError as error:
            failure = error
    raise failure


async def _side_by_side(targets: Sequence[SocketAddress], settings: DialSettings) -> socket.socket:
    """Try one family, after ``fallback_delay`` or its failure the other beside it."""
    first = [t for t in targets if t[0] == targets[0][0]]
    others = [t for t in targets if t[0] != targets[0][0]]
    if not others:
        return await _in_turn(first, settings)
    tasks = TaskSet("proxy:dial_families")
    primary = tasks.start(_kept(_in_turn(first, settings)))
    await asyncio.wait([primary], timeout=settings.fallback_delay)
    running = {primary}
    if not (primary.done() and isinstance(primary.result(), socket.socket)):
        running.add(tasks.start(_kept(_in_turn(others, settings))))
    try:
        return await _first_of(running)
    finally:
        for task in running:
            if not task.cancel():
                continue
            task.add_done_callback(_close_late)


async def _kept(attempt: Any) -> socket.socket | OSError:
    """Return the failure instead of raising it: nobody may be waiting for it."""
    try:
        sock: socket.socket = await attempt
        return sock
    except OSError as error:
        return error


async def _first_of(running: set[asyncio.Task[socket.socket | OSError]]) -> socket.socket:
    waiting, failure = set(running), OSError("no address")
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            outcome = task.result()
            if isinstance(outcome, socket.socket):
                return outcome
            failure = outcome
    raise failure


def _close_late(task: asyncio.Task[socket.socket | OSError]) -> None:
    """Close a socket that came too late to be wanted."""
    if not task.cancelled() and isinstance(late := task.result(), socket.socket):
        late.close()


async def _connect(target: SocketAddress, settings: DialSettings) -> socket.socket:
    family, sockaddr = target
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            _tune(sock, settings)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _tune(sock: socket.socket, settings: DialSettings) -> None:
    """Bind to the local address; let the kernel notice upstreams that vanished without a word."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    interval = int(settings.probe_interval)
    if interval > 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_ALIVE_PROBES)
    if settings.local_address is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(settings.local_address)
