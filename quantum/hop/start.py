"""Opening the hop of a process: the token, the server, the directory, and the ``Hop`` on top."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from quantum.bus.api import Bus
from quantum.clock import Clock
from quantum.hop.address import default_address, reachable
from quantum.hop.directory import Directory
from quantum.hop.envelope import Address
from quantum.hop.remote import HopMetrics, RemoteHandler
from quantum.hop.resolve import HandlerTable, Hop
from quantum.hop.server import HopServer
from quantum.hop.token import obtain_token
from quantum.ids import PROCESS_ID
from quantum.net.listen import cannot_listen

if TYPE_CHECKING:
    import structlog
    from prometheus_client import CollectorRegistry


class OpenHop:
    """The hop of this process, open. ``hop`` goes into every ServiceContext."""

    def __init__(
        self,
        hop: Hop,
        rooms: frozenset[str],
        server: HopServer,
        directory: Directory,
        advertise: str,
    ) -> None:
        self.hop = hop
        self.address = advertise or reachable(server.address)
        self.directory = directory
        self.server = server
        self._rooms = rooms

    async def announce(self, revision: str) -> None:
        """Tell the deployment that this process serves its rooms, at ``revision``; repeated by itself.

        Call it after the first commit and after each later one. Never raises for a bus that is away.
        """
        await self.directory.announce(self._rooms, self.address, revision)

    async def aclose(self, grace: float) -> None:
        """Withdraw the presence, finish what runs within ``grace`` seconds, close. Idempotent."""
        await self.directory.withdraw()
        await self.server.aclose(grace)
        await self.directory.aclose()


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
    process: str = PROCESS_ID,
    parent: str = "",
) -> OpenHop:
    """Open the hop for a process that runs ``rooms``.

    ``listen`` is ``unix//path`` or ``host:port`` (port 0: any); empty means a unix socket below
    ``<data_dir>/run``, named for the rooms, so that a process that was restarted is found where it
    was. ``advertise`` is what other processes are told instead of ``listen``; by default a wildcard
    is told as this machine's name. ``parent`` is the process that answers for this one, if it is a
    worker.
    QuantumError when the address cannot be listened on. Waits for the bus when the deployment's token is
    not known yet.
    """
    run = data_dir / "run"
    token = await obtain_token(bus, run / "hop.token", clock, log)
    table = HandlerTable()
    server = HopServer(table, token)
    if listen:
        try:
            await server.listen(listen)
        except OSError as error:
            raise cannot_listen("--hop", listen, error) from error
    else:
        await _listen_near(server, data_dir, "-".join(sorted(rooms)), process)
    directory = Directory(bus, run / "rooms.json", clock, log, process, parent)
    await directory.open()
    counters = HopMetrics(metrics)

    def make_remote(room: str, revision: str, path: str) -> RemoteHandler:
        return RemoteHandler(directory, Address(room, revision, path), token, counters)

    log.info("hop_opened", address=server.address, rooms=sorted(rooms))
    return OpenHop(Hop(rooms, table, make_remote), rooms, server, directory, advertise)


async def _listen_near(server: HopServer, data_dir: Path, name: str, process: str) -> None:
    """Take the rooms' socket, or one of this process when another replica has it."""
    try:
        await server.listen(default_address(data_dir, name))
    except OSError:
        await server.listen(default_address(data_dir, process))
