"""Opening the hop of a process: the token, the server, the directory, and the ``Hop`` on top."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from quantum.bus.api import Bus
from quantum.clock import Clock
from quantum.hop.resolve import Hop

if TYPE_CHECKING:
    import structlog
    from prometheus_client import CollectorRegistry


class OpenHop(Protocol):
    """The hop of this process, open. ``hop`` goes into every ServiceContext."""

    hop: Hop
    address: str

    async def announce(self, revision: str) -> None:
        """Tell the deployment that this process serves its rooms, at ``revision``; repeated by itself.

        Call it after the first commit and after each later one. Never raises for a bus that is away.
        """

    async def aclose(self, grace: float) -> None:
        """Withdraw the presence, finish what runs within ``grace`` seconds, close. Idempotent."""


async def open_hop(
    bus: Bus,
    rooms: frozenset[str],
    data_dir: Path,
    *,
    clock: Clock,
    metrics: CollectorRegistry,
    log: structlog.stdlib.BoundLogger,
    listen: str = "",
    advertise: str = "",
) -> OpenHop:
    """Open the hop for a process that runs ``rooms``.

    ``listen`` is ``unix//path`` or ``host:port`` (port 0: any); empty means a unix socket below
    ``<data_dir>/run``. ``advertise`` is what other processes are told instead of ``listen``.
    OSError when the address cannot be listened on.
    """
    raise NotImplementedError
