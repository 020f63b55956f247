"""``python -m tests.rounds.delay QUEUE``: holds each packet of an NFQUEUE up for a moment of its own.

This kernel has no netem. Packets that are held up differently overtake one another, so the far end sees them
out of order too. Speaks nfnetlink_queue by itself (linux/netfilter/nfnetlink_queue.h); needs root.
"""

import asyncio
import random
import socket
import struct
import sys

NETLINK_NETFILTER, SUBSYSTEM = 12, 3 << 8
PACKET, VERDICT, CONFIG = 0, 1, 2
HEADER_ATTRIBUTE, COMMAND_ATTRIBUTE, PARAMETERS_ATTRIBUTE, LENGTH_ATTRIBUTE = 1, 1, 2, 3
BIND, COPY_NOTHING, ACCEPT, REQUEST = 1, 1, 1, 1
LONGEST_QUEUE = 4096
"""Packets held at once; the kernel drops more, which is only loss."""
LONGEST_SECONDS = 0.08
"""Of delay: a bad link over half the world."""


def attribute(kind: int, data: bytes) -> bytes:
    """Return an attribute of netlink, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


class Queue:
    """One queue of this namespace."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._socket.setblocking(False)
        self._send(CONFIG, attribute(COMMAND_ATTRIBUTE, struct.pack(">BxH", BIND, socket.AF_INET)))
        self._send(CONFIG, attribute(PARAMETERS_ATTRIBUTE, struct.pack(">IB", 0, COPY_NOTHING)))
        self._send(CONFIG, attribute(LENGTH_ATTRIBUTE, struct.pack(">I", LONGEST_QUEUE)))

    def _send(self, kind: int, attributes: bytes) -> None:
        body = struct.pack(">BBH", socket.AF_INET, 0, self._number) + attributes
        self._socket.send(
            struct.pack("=IHHII", 16 + len(body), SUBSYSTEM | kind, REQUEST, 0, 0) + body
        )

    def hold_up(self) -> None:
        """Take what came, and let each packet go when its time has come."""
        loop = asyncio.get_running_loop()
        try:
            data = self._socket.recv(1 << 16)
        except (BlockingIOError, OSError):  # ENOBUFS: more came than was taken, which is loss
            return
        while len(data) >= 16:
            size, kind = struct.unpack_from("=IH", data)
            if kind == SUBSYSTEM | PACKET:
                self._hold(data[20:size], loop)
            data = data[(size + 3) & ~3 :]

    def _hold(self, attributes: bytes, loop: asyncio.AbstractEventLoop) -> None:
        while len(attributes) >= 4:
            size, kind = struct.unpack_from("=HH", attributes)
            if kind == HEADER_ATTRIBUTE:
                (packet,) = struct.unpack_from(">I", attributes, 4)
                loop.call_later(random.uniform(0, LONGEST_SECONDS), self._let_go, packet)
                return
            attributes = attributes[(size + 3) & ~3 :]

    def _let_go(self, packet: int) -> None:
        self._send(VERDICT, attribute(2, struct.pack(">II", ACCEPT, packet)))

    async def run(self) -> None:
        """Go on until killed."""
        asyncio.get_running_loop().add_reader(self._socket, self.hold_up)
        print("ready", flush=True)
        await asyncio.Event().wait()


async def main(number: int) -> None:
    await Queue(number).run()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
