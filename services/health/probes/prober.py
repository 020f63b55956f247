"""Chooses the way of asking that a check names, and makes a sample of whatever happens."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable

import aiohttp

from services.health.checks import Check
from services.health.probes.http import HttpProbe
from services.health.probes.streams import ask_grpc, ask_tcp
from services.health.verdict import Sample


class Prober:
    """Sends checks."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` is a monotonic clock, for the time a check took."""
        self._now = now
        self._http = HttpProbe()

    async def probe(self, check: Check) -> Sample:
        """Return a sample, whatever happens; never later than the check's timeout."""
        began = self._now()
        try:
            async with asyncio.timeout(check.active.timeout):
                reason = await self._ask(check)
        except TimeoutError:
            reason = f"no answer within {check.active.timeout:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = words(error)
        return Sample(not reason, reason, self._now() - began)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _ask(self, check: Check) -> str:
        protocol = check.active.protocol
        if protocol == "tcp":
            return await ask_tcp(check)
        if protocol == "grpc":
            return await ask_grpc(check)
        return await self._http.ask(check)


def words(error: Exception) -> str:
    """Say what went wrong as an operator would, not as the library does, which repeats the address."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, socket.gaierror):
        return (cause.strerror or str(cause)).lower()
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
        return os.strerror(cause.errno).lower()
    return str(cause) or type(cause).__name__
