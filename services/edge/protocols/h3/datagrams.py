"""A UDP socket that moves many datagrams per turn of the loop.

Reading: the socket is drained up to a limit at each wake-up, so that a connection answers a burst
once. Writing: datagrams of one size to one peer leave in one system call where the kernel can cut
them up (UDP_SEGMENT, Linux 4.18), which saves most of the cost of a large answer. A socket bound to
every interface remembers with each peer which of our addresses it called, and answers from there.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from quantum.net.address import peer_of

Address = tuple[Any, ...]
"""A peer: its socket address, and behind it, on a socket bound to every interface, our own in bytes."""

RECEIVE_BATCH = 64
"""Datagrams read before connections may answer: one 64 KiB burst of full-size packets."""

MAX_DATAGRAM = 2048
"""The largest datagram taken: QUIC over Ethernet stays below 1500; longer ones are cut and dropped."""

SEGMENTS = 40
"""Datagrams joined in one call: the kernel's limit is 64, and 64 KiB in bytes."""

QUEUE_LIMIT = 4096
"""Datagrams held while the socket is full; above it they are dropped, as a network would."""

BUFFER_BYTES = 4 * 1024 * 1024
"""Socket buffers: a burst of some hundred connections between two turns of the loop."""

_UDP_SEGMENT = 103  # linux/udp.h; the socket module does not name it
_IP_PKTINFO = 8  # linux/in.h, as above
_CONTROL_BYTES = 64
"""For one control message with a packet's addresses: 20 bytes and its header."""


class DatagramSocket:
    """One bound UDP socket; ``on_datagram`` per datagram, ``on_batch_end`` after each burst."""

    def __init__(
        self,
        sock: socket.socket,
        on_datagram: Callable[[bytes, Address], None],
        on_batch_end: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._socket = sock
        self._on_datagram = on_datagram
        self._on_batch_end = on_batch_end
        self._loop = loop
        self._queue: deque[tuple[bytes, int, Address]] = deque()
        self._can_segment = True
        self._is_v6 = sock.family == socket.AF_INET6
        self._width = 4 if self._is_v6 else 2
        bound = sock.getsockname()
        self._is_wild = bound[0] in {"::", "0.0.0.0"}
        self._bound = peer_of(bound)
        self.dropped = 0
        self._set_options()
        loop.add_reader(sock.fileno(), self._readable)

    def _set_options(self) -> None:
        sock = self._socket
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        if self._is_wild and self._is_v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif self._is_wild:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def close(self) -> None:
        """Stop reading and close the socket. Idempotent."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def local_of(self, address: Address) -> tuple[str, int]:
        """Return our end of a path, as (IP, port)."""
        if len(address) <= self._width:
            return self._bound
        family = socket.AF_INET6 if self._is_v6 else socket.AF_INET
        return peer_of((socket.inet_ntop(family, address[-1]), self._bound[1]))

    # Reading.

    def _readable(self) -> None:
        receive = self._receive_with_local if self._is_wild else self._receive
        for _ in range(RECEIVE_BATCH):
            try:
                data, address = receive()
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # an ICMP error of an earlier send: the connection's timers deal with it
            self._on_datagram(data, address)
        self._on_batch_end()

    def _receive(self) -> tuple[bytes, Address]:
        return self._socket.recvfrom(MAX_DATAGRAM)

    def _receive_with_local(self) -> tuple[bytes, Address]:
        data, controls, _, address = self._socket.recvmsg(MAX_DATAGRAM, _CONTROL_BYTES)
        for level, kind, value in controls:
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                return data, (*address, value[:16])
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                return data, (*address, value[8:12])  # where it was sent to, not where it arrived
        return data, address

    # Writing.

    def send(self, datagrams: list[tuple[bytes, Address]]) -> None:
        """Send them in order; what the socket does not take is kept and sent when it does."""
        index = 0
        while index < len(datagrams):
            data, address = datagrams[index]
            stop = self._run(datagrams, index)
            joined = data if stop == index + 1 else b"".join(d for d, _ in datagrams[index:stop])
            self._send(joined, len(data), address)
            index = stop

    def _run(self, datagrams: list[tuple[bytes, Address]], start: int) -> int:
        """Return where the run of equal sizes to one peer ends; its last one may be shorter."""
        if not self._can_segment:
            return start + 1
        first, address = datagrams[start]
        size = len(first)
        stop = start + 1
        limit = min(len(datagrams), start + min(SEGMENTS, 65000 // max(size, 1)))
        while stop < limit:
            data, peer = datagrams[stop]
            if peer != address or len(data) > size:
                break
            stop += 1
            if len(data) < size:
                break
        return stop

    def _send(self, data: bytes, size: int, address: Address) -> None:
        if self._queue or not self._try_send(data, size, address):
            if len(self._queue) >= QUEUE_LIMIT:
                self.dropped += 1
                return
            if not self._queue:
                self._loop.add_writer(self._socket.fileno(), self._writable)
            self._queue.append((data, size, address))

    def _try_send(self, data: bytes, size: int, address: Address) -> bool:
        try:
            if len(data) == size and len(address) <= self._width:
                self._socket.sendto(data, address)
            else:
                controls = self._controls(data, size, address)
                self._socket.sendmsg([data], controls, 0, address[: self._width])
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            if len(data) == size:
                return True  # unreachable just now: to QUIC that is a lost packet
            self._can_segment = False
            for piece in (data[at : at + size] for at in range(0, len(data), size)):
                self._send(piece, len(piece), address)
        return True

    def _controls(self, data: bytes, size: int, address: Address) -> list[tuple[int, int, bytes]]:
        """Return what to tell the kernel: how to cut ``data`` up, and which of our addresses to use."""
        controls: list[tuple[int, int, bytes]] = []
        if len(data) != size:
            controls.append((socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", size)))
        if len(address) > self._width:
            if self._is_v6:
                info = struct.pack("=16sI", address[-1], 0)
                controls.append((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info))
            else:
                info = struct.pack("=I4s4x", 0, address[-1])
                controls.append((socket.IPPROTO_IP, _IP_PKTINFO, info))
        return controls

    def _writable(self) -> None:
        while self._queue:
            if not self._try_send(*self._queue[0]):
                return
            self._queue.popleft()
        self._loop.remove_writer(self._socket.fileno())
