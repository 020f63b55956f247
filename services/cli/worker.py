"""A data-plane worker of ``quantum run --workers``: started by its parent alone, never by hand."""

from __future__ import annotations

import os
import socket
import sys


def main(arguments: list[str]) -> int:
    """Run the worker whose channel is the descriptor named in ``arguments``.

    All is loaded before the parent is asked which worker this is: it keeps one process waiting here, so
    that a dead one is replaced at once.
    """
    from quantum.http.placeholders.surroundings import use_environment
    from quantum.modules.spec import load
    from quantum.service import runner
    from quantum.service.children.channel import encode, receive_first
    from quantum.service.children.settings import worker_options
    from services import catalog

    channel = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(channel.fileno(), False)
    use_environment(os.environ)
    for manifest in catalog.MANIFESTS:
        if manifest.room in catalog.WORKER_ROOMS:
            load(manifest.service)
    channel.sendall(encode({"told": "loaded"}))
    try:
        settings = receive_first(channel)
    except (EOFError, ConnectionError):
        return 0  # the parent ended
    options = worker_options(
        settings,
        channel,
        manifests=catalog.MANIFESTS,
        registry=catalog.registry(),
        parse=catalog.parse,
    )
    return runner.run(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
