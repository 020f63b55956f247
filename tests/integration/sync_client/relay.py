"""A relay between a client and a server that counts what passes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

BLOCK = 65536


@dataclass
class Counted:
    """Where to connect, and the bytes that passed in both directions."""

    url: str
    up: int = 0
    down: int = 0

    @property
    def total(self) -> int:
        return self.up + self.down


@contextmanager
def counting(port: int) -> Iterator[Counted]:
    listener = socket.create_server(("127.0.0.1", 0))
    counted = Counted(f"http://127.0.0.1:{listener.getsockname()[1]}")

    def pump(source: socket.socket, to: socket.socket, direction: str) -> None:
        with source:
            with suppress(OSError):
                while data := source.recv(BLOCK):
                    setattr(counted, direction, getattr(counted, direction) + len(data))
                    to.sendall(data)
            with suppress(OSError):
                to.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for arguments in ((client, server, "up"), (server, client, "down")):
                    threads.append(threading.Thread(target=pump, args=arguments))
                    threads[-1].start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    try:
        yield counted
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        listener.close()
