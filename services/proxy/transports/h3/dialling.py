"""Opening connections over QUIC. Loaded by transports that speak HTTP/3, and by no other."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable

from aioquic.quic.configuration import QuicConfiguration

from quantum.config.units import NetworkAddress
from services.proxy.transports.dialling import DialSettings, open_datagram_socket
from services.proxy.transports.h2.channels import SharedClient
from services.proxy.transports.h3.client import H3Client
from services.proxy.transports.h3.quic import ClientQuic


class QuicDialler:
    """Opens the connections of one transport."""

    def __init__(
        self, configuration: QuicConfiguration, settings: DialSettings, max_head_bytes: int
    ) -> None:
        """``configuration`` is what all of them share."""
        self._configuration = configuration
        self._settings = settings
        self._max_head_bytes = max_head_bytes

    async def open(
        self, address: NetworkAddress, server_name: str, on_lost: Callable[[SharedClient], None]
    ) -> SharedClient:
        """Begin a connection; its handshake is waited for by ``ready``. OSError: there is no such place."""
        loop = asyncio.get_running_loop()
        configuration = copy.copy(self._configuration)
        configuration.server_name = server_name
        sock = await open_datagram_socket(address, self._settings)
        try:
            _, client = await loop.create_datagram_endpoint(
                lambda: H3Client(
                    ClientQuic(configuration=configuration), loop, on_lost, self._max_head_bytes
                ),
                sock=sock,
            )
        except BaseException:
            if sock.fileno() != -1:  # a transport that took it has closed it
                sock.close()
            raise
        return client
