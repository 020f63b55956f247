"""A data-plane worker of ``quantum run --workers``: started by its parent alone, never by hand."""

from __future__ import annotations

import os
import socket
import sys


def main(arguments: list[str]) -> int:
    """Run the worker whose channel is the descriptor named in ``arguments``."""
    from quantum.http.placeholders.surroundings import use_environment
    from quantum.service import runner
    from quantum.service.children.channel import receive_first
    from quantum.service.children.settings import worker_options
    from services import catalog

    channel = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(channel.fileno(), False)
    use_environment(os.environ)
    options = worker_options(
        receive_first(channel),
        channel,
        manifests=catalog.MANIFESTS,
        registry=catalog.registry(),
        parse=catalog.parse,
    )
    return runner.run(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
