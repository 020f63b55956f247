"""What a worker is told at its start: the options of its parent that concern it.

They travel over the channel and not on the command line, where every user of the machine could read the
bus's token.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from quantum.hop.address import default_address
from quantum.ids import PROCESS_ID
from quantum.service.children.channel import Message
from quantum.service.options import RunOptions, Worker


def worker_settings(options: RunOptions, nats: str, token: str | None, number: int) -> Message:
    """Return the settings of worker ``number``; ``nats`` is the server that its parent uses."""
    return {
        "number": number,
        "parent": PROCESS_ID,
        "rooms": sorted(options.rooms & options.worker_rooms),
        "data_dir": str(options.data_dir),
        "nats": nats,
        "nats_token": token,
        "grace": options.grace,
        "log_level": options.log_level,
        "log_format": options.log_format,
        "version": options.version,
    }


def worker_options(settings: Message, channel: socket.socket, **catalog: Any) -> RunOptions:
    """Return the options of the worker that got ``settings``; ``catalog`` is what the CLI knows."""
    number, data_dir = settings["number"], Path(settings["data_dir"])
    return RunOptions(
        rooms=frozenset(settings["rooms"]),
        data_dir=data_dir,
        version=settings["version"],
        nats=settings["nats"],
        nats_token=settings["nats_token"],
        ops="",
        # The same socket after a restart: who knows the old process finds the new one.
        hop=default_address(data_dir, f"worker-{number}"),
        grace=settings["grace"],
        log_level=settings["log_level"],
        log_format=settings["log_format"],
        worker=Worker(number, channel, settings["parent"]),
        **catalog,
    )
