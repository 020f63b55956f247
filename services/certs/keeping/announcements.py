"""What the bus is to know of certificates: that one exists or is gone, never the key."""

from __future__ import annotations

import asyncio

from quantum.bus.subjects import CERTIFICATES, CertificateReady, key_of
from quantum.errors import BusUnavailable
from quantum.service.api import ServiceContext
from quantum.tasks import TaskSet
from services.certs.material import Material


class Announcements:
    """Writes what changed to the CERTIFICATES bucket; what the bus does not take now stays for later."""

    def __init__(self, context: ServiceContext, tasks: TaskSet) -> None:
        self._context = context
        self._tasks = tasks
        self._unannounced: dict[str, Material] = {}
        self._gone: set[str] = set()
        self._announcing: asyncio.Task[None] | None = None

    def tell(self, name: str, material: Material) -> None:
        """Say that ``name`` has this certificate now."""
        self._gone.discard(name)
        self._unannounced[name] = material
        self.send()

    def forget(self, name: str) -> None:
        """Say that ``name`` has none any more."""
        self._unannounced.pop(name, None)
        self._gone.add(name)

    def send(self) -> None:
        """Announce in the background: who asked for a certificate does not wait for the bus."""
        if self._announcing is None or self._announcing.done():
            self._announcing = self._tasks.start(self._announce(), "announce")

    async def names(self) -> set[str]:
        """Return the names that the bucket has; none while the bus is away."""
        try:
            bucket = await self._context.bus.bucket(CERTIFICATES)
            entries = [await bucket.get(key) for key in await bucket.keys()]
        except BusUnavailable as error:
            self._context.log.debug("certificates_unlisted", reason=str(error))
            return set()
        return {entry.value.name for entry in entries if entry and entry.value}

    async def _announce(self) -> None:
        try:
            while (self._unannounced or self._gone) and self._context.bus.is_connected:
                bucket = await self._context.bus.bucket(CERTIFICATES)
                for name, material in list(self._unannounced.items()):
                    await bucket.put(key_of(name), _ready(name, material))
                    if self._unannounced.get(name) is material:
                        del self._unannounced[name]
                for name in list(self._gone):
                    await bucket.delete(key_of(name))
                    self._gone.discard(name)
        except BusUnavailable as error:
            self._context.log.debug("certificates_unannounced", reason=str(error))


def _ready(name: str, material: Material) -> CertificateReady:
    return CertificateReady(
        name=name,
        subjects=list(material.subjects),
        fingerprint=material.fingerprint,
        not_after=material.not_after,
        issuer=material.issuer,
    )
