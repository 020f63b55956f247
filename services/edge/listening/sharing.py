"""Addresses when several worker processes serve one machine: which are shared, and who has the others.

TCP ports are shared by SO_REUSEPORT: every worker has a socket of its own and the kernel spreads the
connections. UDP and unix sockets cannot be shared so; worker 1 has them.
"""

from __future__ import annotations

from quantum.config.units import NetworkAddress
from quantum.errors import ConfigError

SOLE = 1
"""The worker that has what cannot be shared."""


def is_served_by(worker: int, address: NetworkAddress, place: str) -> bool:
    """Whether ``worker`` (0: there are no others) serves a stream address.

    ConfigError at ``place`` for one that means something else in every process.
    """
    if not worker:
        return True
    if address.is_fd:
        raise ConfigError(place, f"{address} cannot be shared by workers", "run without --workers")
    if not address.is_unix and address.port == 0:
        raise ConfigError(place, "workers cannot share any free port", "name a port")
    return not address.is_unix or worker == SOLE
