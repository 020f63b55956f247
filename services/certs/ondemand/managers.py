"""``tls.get_certificate.*``: somebody else makes and renews the certificate; we ask for it.

A manager is asked when a client wants the name, and again every few minutes while the name is served,
so that its renewals arrive; Caddy asks at each handshake.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from quantum.net.fetch import Answer, FetchFailedError, Wish, fetch
from services.certs.issuers.api import IssuanceFailed
from services.certs.material import Material
from services.certs.ondemand.config import HttpManagerConfig, TailscaleManagerConfig

MANAGED = "managed"
"""The issuer of certificates that a manager gave."""
MAX_ANSWER = 128 * 1024
"""Bytes of a chain and a key."""
TAILSCALE_SOCKET = Path("/var/run/tailscale/tailscaled.sock")
TAILSCALE_ZONE = ".ts.net"

_CERTIFICATE = re.compile(b"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?")


class Manager(Protocol):
    """Has certificates ready."""

    async def get(self, name: str) -> Material | None:
        """Return the certificate for ``name``, None when it is not this manager's.

        IssuanceFailed: it should be, and cannot be had.
        """


class HttpManager:
    """A Manager: a web service that answers 200 with chain and key in PEM, or 204."""

    def __init__(self, config: HttpManagerConfig) -> None:
        self._url = config.url

    async def get(self, name: str) -> Material | None:
        """Ask with ``server_name``, as Caddy does; what else Caddy tells of the client is not known here."""
        joint = "&" if urlsplit(self._url).query else "?"
        url = f"{self._url}{joint}server_name={quote(name, safe='')}"
        answer = await _ask(Wish(url, max_bytes=MAX_ANSWER))
        if answer.status == 204:
            return None
        if answer.status != 200:
            raise IssuanceFailed(f"the certificate manager answers {answer.status}", ordered=False)
        return _material(answer.body, name)


class TailscaleManager:
    """A Manager: the certificates of ``*.ts.net`` names, from the Tailscale daemon of this machine."""

    def __init__(self, config: TailscaleManagerConfig) -> None:
        self._socket = TAILSCALE_SOCKET

    async def get(self, name: str) -> Material | None:
        """Ask the daemon's local API."""
        if not name.endswith(TAILSCALE_ZONE):
            return None
        if not self._socket.exists():
            problem = (
                f"no Tailscale daemon at {self._socket}: is tailscaled running on this machine?"
            )
            raise IssuanceFailed(problem, ordered=False)
        url = f"http://local-tailscaled.sock/localapi/v0/cert/{quote(name, safe='')}?type=pair"
        answer = await _ask(Wish(url, unix=str(self._socket), max_bytes=MAX_ANSWER, seconds=60.0))
        if answer.status != 200:
            raise IssuanceFailed(f"the Tailscale daemon answers {answer.status}", ordered=False)
        return _material(answer.body, name)


async def _ask(wish: Wish) -> Answer:
    try:
        return await fetch(wish)
    except FetchFailedError as error:
        raise IssuanceFailed(f"the certificate manager: {error}", ordered=False) from error


def _material(pem: bytes, name: str) -> Material:
    try:
        material = Material.from_pem(b"".join(_CERTIFICATE.findall(pem)), pem, MANAGED)
    except ValueError as error:
        raise IssuanceFailed(f"the certificate manager's answer: {error}", ordered=False) from error
    if not material.covers(name):
        raise IssuanceFailed(
            f"the certificate manager gave a certificate for {', '.join(material.subjects)}",
            ordered=False,
        )
    return material
