"""``caddy.logging.writers.net``: lines to a socket, from a thread of their own, so that nothing waits for it.

Lines wait in a bounded queue while the peer is away or slow; what no longer fits is dropped and counted.
Standard error is told when the peer goes and when it is back.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading
import time
from collections import deque

from quantum.config.logs.section import NetWriter
from quantum.config.units import NetworkAddress

MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Some seconds of a busy access log; more is not worth the memory of a proxy."""
RECONNECT_SECONDS = 1.0
SEND_SECONDS = 10.0
"""A peer that takes nothing for so long is given up and connected to anew."""
CLOSE_SECONDS = 2.0
"""What the last lines have at the end."""

_DATAGRAMS = frozenset({"udp", "udp4", "udp6", "unixgram"})


class SocketWriter:
    """Writes lines to one address."""

    def __init__(self, config: NetWriter) -> None:
        """Connect; OSError when that fails and the configuration does not say ``soft_start``."""
        self.dropped = 0
        self._address = config.address
        self._timeout = config.dial_timeout or 10.0
        self._is_datagram = config.address.network in _DATAGRAMS
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ends_at: float | None = None
        self._socket: socket.socket | None = None
        self._is_away = False
        try:
            self._socket = _connected(self._address, self._timeout)
        except OSError as error:
            if not config.soft_start:
                raise
            self._tell(f"cannot be reached: {error}")
        self._thread = threading.Thread(target=self._run, name="log-net", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line, or drop it when too much waits."""
        data = (line + "\n").encode("utf-8", "replace")
        with self._changed:
            if self._bytes + len(data) > MAX_WAITING_BYTES or self._ends_at is not None:
                self.dropped += 1
                return
            self._lines.append(data)
            self._bytes += len(data)
            self._changed.notify()

    def close(self) -> None:
        """Let the thread send what waits and end, within CLOSE_SECONDS; returns at once."""
        with self._changed:
            if self._ends_at is None:
                self._ends_at = time.monotonic() + CLOSE_SECONDS
            self._changed.notify()

    def join(self) -> None:
        """Wait for the end of a writer that was closed."""
        self._thread.join(2 * CLOSE_SECONDS)

    def _run(self) -> None:
        while (data := self._next()) is not None:
            while not self._sent(data):
                if self._is_over():
                    break
                time.sleep(min(RECONNECT_SECONDS, CLOSE_SECONDS / 4))
        self._disconnect()
        self.dropped += len(self._lines)

    def _next(self) -> bytes | None:
        """Wait for a line; None at the end."""
        with self._changed:
            while not self._lines:
                if self._ends_at is not None:
                    return None
                self._changed.wait()
            if self._is_over():
                return None
            data = self._lines.popleft()
            self._bytes -= len(data)
            return data

    def _is_over(self) -> bool:
        return self._ends_at is not None and time.monotonic() >= self._ends_at

    def _sent(self, data: bytes) -> bool:
        try:
            if self._socket is None:
                self._socket = _connected(self._address, self._timeout)
            elif not self._is_datagram and _is_closed(self._socket):
                raise ConnectionResetError("closed by the peer")
            self._socket.sendall(data)
        except OSError as error:
            self._disconnect()
            self._tell(f"lines wait: {error}")
            return False
        if self._is_away:
            self._is_away = False
            self._say("is reached again")
        return True

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, problem: str) -> None:
        if not self._is_away:
            self._is_away = True
            self._say(problem)

    def _say(self, what: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"log to {self._address}: {what}\n")
            sys.stderr.flush()


def _is_closed(connection: socket.socket) -> bool:
    """Whether the peer ended a stream: the first line sent to it would be lost without an error."""
    looked = select.poll()  # a socket with a timeout would wait for something to read
    looked.register(connection, select.POLLIN)
    return bool(looked.poll(0)) and connection.recv(4096) == b""


def _connected(address: NetworkAddress, timeout: float) -> socket.socket:
    kind = socket.SOCK_DGRAM if address.network in _DATAGRAMS else socket.SOCK_STREAM
    if address.is_unix:
        path = f"\0{address.host[1:]}" if address.host.startswith("@") else address.host
        return _opened(socket.AF_UNIX, kind, path, timeout)
    family = {"4": socket.AF_INET, "6": socket.AF_INET6}.get(address.network[-1], socket.AF_UNSPEC)
    problem: OSError = OSError(f"{address.host} has no address")
    for found in socket.getaddrinfo(address.host or "localhost", address.port, family, kind):
        try:
            return _opened(found[0], kind, found[4], timeout)
        except OSError as error:
            problem = error
    raise problem


def _opened(family: int, kind: int, place: object, timeout: float) -> socket.socket:
    connection = socket.socket(family, kind)
    try:
        connection.settimeout(timeout)
        connection.connect(place)  # type: ignore[arg-type]
        connection.settimeout(SEND_SECONDS)
    except BaseException:
        connection.close()
        raise
    return connection
