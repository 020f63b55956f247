"""Whom a room trusts among upstreams, and as whom it presents itself to them.

The proxy speaks to upstreams and the health room probes them: both read the same fields. Roots come
from pools (``quantum.trust.pools``); our own certificates (``client_certificate_automate``) from the
certs room, which renews them. ``prepare`` fetches both before a revision is built; a context that
presents a certificate takes the next one when the bus says that there is one.
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from quantum.bus.api import Entry, Subscription
from quantum.bus.subjects import CERTIFICATES, CertificateReady, key_of
from quantum.errors import BusUnavailable, ConfigError, HttpError
from quantum.modules.config import ModuleConfig
from quantum.net.client_tls import Roots
from quantum.service.api import Revision, ServiceContext
from quantum.service.private import write_private
from quantum.tasks import TaskSet
from quantum.trust.certificates import KeyPair, ask_certificate
from quantum.trust.pools import START_SECONDS, Patience, TrustedPools

CERTIFICATE_SECONDS = START_SECONDS
"""How long a certificate of our own may take: a local authority signs at once, once it is up."""
RETRY_SECONDS = 5.0
"""Between attempts to hear of renewals while the bus is away."""


class OfThisMachine:
    """A PeerTrust that knows files and the configuration, and asks nobody."""

    def __init__(self) -> None:
        self._pools = TrustedPools()

    def roots_of(self, pool: ModuleConfig) -> Roots:
        """Return what a pool of this machine trusts."""
        return self._pools.roots_of(pool)

    def identify(self, context: ssl.SSLContext, name: str) -> None:
        """Refuse: certificates are made by the certs room."""
        raise ValueError(f"there is no certificate for {name}: no certs room to ask")


class UpstreamTrust:
    """A PeerTrust of one room in one process."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._pools = TrustedPools(context.hop)
        self._folder = context.data_dir / context.room / "identities"
        self._files: dict[str, Path] = {}
        self._users: dict[str, weakref.WeakSet[ssl.SSLContext]] = {}
        self._tasks = TaskSet(f"{context.room}:trust")
        self._watch: Subscription | None = None

    async def prepare(self, revision: Revision) -> None:
        """Fetch what the proxies of ``revision`` name; ConfigError says what cannot be had."""
        proxies = [m for m in revision.modules if m.spec.id == "http.handlers.reverse_proxy"]
        places = tuple(f"{module.path}." for module in proxies)
        await self._pools.fetch(m for m in revision.modules if m.path.startswith(places))
        names = list(_names(proxies))
        for place, name in names:
            await self._obtain(name, place)
        if names and self._watch is None:
            self._tasks.start(self._hear(), "renewals")

    async def aclose(self) -> None:
        """Stop hearing of renewals."""
        if self._watch is not None:
            await self._watch.aclose()
        await self._tasks.aclose()

    def roots_of(self, pool: ModuleConfig) -> Roots:
        """Return what a pool trusts."""
        return self._pools.roots_of(pool)

    def identify(self, context: ssl.SSLContext, name: str) -> None:
        """Load the certificate for ``name`` into ``context``, and each that follows it."""
        file = self._files.get(name)
        if file is None:
            raise ValueError(f"there is no certificate for {name} yet")
        context.load_cert_chain(file)
        self._users.setdefault(name, weakref.WeakSet()).add(context)

    # Our certificates.

    async def _obtain(self, name: str, place: str) -> None:
        try:
            async with asyncio.timeout(CERTIFICATE_SECONDS):
                pair = await self._ask(name, Patience())
        except (HttpError, TimeoutError, ValueError, KeyError) as error:
            if name in self._files:
                return  # an older one serves until the renewal comes
            problem = (
                f"no certificate for {name}: {error or 'the certs room did not answer in time'}"
            )
            raise ConfigError(place, problem, "see the log of the certs room") from error
        await asyncio.to_thread(self._keep, name, pair)

    async def _ask(self, name: str, patience: Patience) -> KeyPair:
        """Ask until there is an answer: the certs room may be starting, or learning of the name."""
        while True:
            try:
                pair = await ask_certificate(self._context.hop, name)
            except HttpError as error:
                if not patience.bears(error.status):
                    raise
            else:
                if pair is not None:
                    return pair
            await asyncio.sleep(0.25)

    def _keep(self, name: str, pair: KeyPair) -> None:
        file = self._folder / f"{key_of(name)}.pem"
        write_private(file, pair.pem.encode("ascii"))
        self._files[name] = file

    async def _hear(self) -> None:
        while self._watch is None:
            try:
                bucket = await self._context.bus.bucket(CERTIFICATES)
                self._watch = await bucket.watch(self._on_entry)
            except BusUnavailable as error:
                self._context.log.warning("renewals_unheard", reason=str(error))
                await self._context.clock.sleep(RETRY_SECONDS)

    async def _on_entry(self, entry: Entry[CertificateReady]) -> None:
        ready = entry.value
        if ready is None or ready.name not in self._files:
            return
        try:
            pair = await ask_certificate(self._context.hop, ready.name)
            if pair is None:
                return
            await asyncio.to_thread(self._keep, ready.name, pair)
            for context in self._users.get(ready.name, ()):
                context.load_cert_chain(self._files[ready.name])
        except (HttpError, OSError, ValueError, KeyError) as error:
            self._context.log.warning("identity_not_renewed", name=ready.name, reason=str(error))
            return
        self._context.log.info("identity_renewed", name=ready.name)


def _names(proxies: Iterable[ModuleConfig]) -> Iterator[tuple[str, str]]:
    for module in proxies:
        transport = module.config.transport
        tls: Any = getattr(transport.config, "tls", None) if transport is not None else None
        name = getattr(tls, "client_certificate_automate", "")
        if name:
            yield f"{module.path}.transport.tls.client_certificate_automate", name
