"""The certs room: puts the parts together and gives them time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from quantum.bus.api import Subscription
from quantum.bus.subjects import CERTIFICATE_WANTED, CertificateWanted
from quantum.errors import BusUnavailable, ConfigError
from quantum.hop.resolve import SERVICE_REVISION
from quantum.service.api import Prepared, Revision, ServiceContext
from quantum.service.handlers import HandlerRoom
from quantum.tasks import TaskSet
from services.certs.acme_server.surroundings import AcmeSurroundings
from services.certs.arrangement import Arrangement
from services.certs.book import CertificateBook
from services.certs.config import PkiApp, TlsApp
from services.certs.endpoint import CertificatesEndpoint
from services.certs.files import LoadedCertificates
from services.certs.issuers.api import IssuanceFailed, Surroundings
from services.certs.issuers.authority import Authority
from services.certs.keeping.storage import Storage
from services.certs.keeping.tickets import TicketSecrets
from services.certs.keeping.vault import Vault
from services.certs.names import identities_of, normalise, permitted_names
from services.certs.plans import Plans, check_lifetimes

TICK_SECONDS = 5.0
"""How often files are looked at and renewals thought of: a five-minute certificate has a hundred
seconds left when it is due."""


class CertsService:
    """A Service."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._storage = Storage(context.data_dir)
        self._book = CertificateBook(context, Vault(self._storage))
        self._tickets = TicketSecrets(self._storage, context.clock)
        self._authorities: dict[str, Authority] = {}
        self._pki = PkiApp()
        self._coming: list[dict[str, Authority]] = []
        self._room = HandlerRoom(
            context,
            {AcmeSurroundings: AcmeSurroundings(self._storage, self._find_authority)},
        )
        self._tasks = TaskSet("certs")
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Serve the other rooms; begin the renewal loop."""
        endpoint = CertificatesEndpoint(
            self._book, self._find_authority, self._storage, self._tickets
        )
        self._context.hop.table.install(
            "certs", SERVICE_REVISION, {"certificates": endpoint, "pki": endpoint}
        )
        self._tasks.start(self._run(), "renewal")
        try:
            self._subscription = await self._context.bus.subscribe(
                CERTIFICATE_WANTED, self._on_wanted
            )
        except BusUnavailable as error:  # edge asks by the hop as well
            self._context.log.warning("certificate_wishes_unheard", reason=str(error))

    async def prepare(self, revision: Revision) -> Prepared:
        """Read the certificates of ``revision`` and make its issuers."""
        tls: TlsApp = revision.section("apps.tls") or TlsApp()
        pki: PkiApp = revision.section("apps.pki") or PkiApp()
        check_lifetimes(tls, pki)
        authorities = self._authorities_for(pki)
        surroundings = Surroundings(
            storage=self._storage,
            clock=self._context.clock,
            bus=self._context.bus,
            log=self._context.log,
            authority=partial(_get_authority, authorities),
            dns=tls.dns,
            resolvers=tls.resolvers,
        )
        loaded = _load(tls, self._storage)
        await asyncio.to_thread(loaded.load)
        automate = _automated(tls)
        arrangement = Arrangement(
            permitted_names(
                revision.section("apps.http"), [*automate, *identities_of(revision.modules)]
            ),
            Plans(tls, surroundings),
            loaded,
            automate,
        )
        self._book.prepare(arrangement)
        self._coming.append(authorities)
        try:
            handlers = await self._room.prepare(revision)
        except BaseException:
            self._coming.remove(authorities)
            self._book.discard(arrangement)
            raise

        def commit() -> None:
            handlers.commit()
            self._coming.remove(authorities)
            self._pki, self._authorities = pki, authorities
            self._tickets.config = tls.session_tickets
            self._book.commit(arrangement)

        async def discard() -> None:
            await handlers.discard()
            self._coming.remove(authorities)
            self._book.discard(arrangement)

        return _Swap(commit, discard)

    async def stop(self, grace: float) -> None:
        """Stop renewing; nothing here has to be finished."""
        if self._subscription is not None:
            await self._subscription.aclose()
        await self._tasks.aclose()
        await self._room.aclose()
        await self._book.aclose()
        self._context.hop.table.retire("certs", SERVICE_REVISION)

    async def _run(self) -> None:
        while True:
            await self._context.clock.sleep(TICK_SECONDS)
            try:
                await self._book.tick()
            except Exception as error:
                self._context.log.error("certificate_tick_failed", exc_info=error)

    async def _on_wanted(self, wanted: CertificateWanted) -> None:
        name = normalise(wanted.name)
        if name is None:
            return
        try:
            await self._book.find(name)
        except (KeyError, IssuanceFailed) as error:
            self._context.log.debug("certificate_wish_refused", name=name, reason=str(error))

    def _authorities_for(self, pki: PkiApp) -> dict[str, Authority]:
        """Return the authorities of a revision; one whose settings stay is the same object."""
        made: dict[str, Authority] = {}
        for name in {"local", *pki.certificate_authorities}:
            config = pki.authority(name)
            assert config is not None
            known = self._authorities.get(name)
            if known is not None and known.config == config:
                made[name] = known
            else:
                made[name] = Authority(name, config, self._storage, self._context.clock)
        return made

    def _find_authority(self, name: str) -> Authority | None:
        if not self._authorities:
            self._authorities = self._authorities_for(self._pki)
        for authorities in [*reversed(self._coming), self._authorities]:  # others prepare too
            if name in authorities:
                return authorities[name]
        return None


@dataclass(frozen=True)
class _Swap:
    """A prepared revision."""

    take: Callable[[], None]
    undo: Callable[[], Awaitable[None]]

    def commit(self) -> None:
        """Take it."""
        self.take()

    async def discard(self) -> None:
        """Undo it."""
        await self.undo()


def _get_authority(authorities: dict[str, Authority], name: str) -> Authority:
    if name not in authorities:
        raise ConfigError(
            "apps.pki.certificate_authorities", f"there is no authority {name!r}", "name it there"
        )
    return authorities[name]


def _load(tls: TlsApp, storage: Storage) -> LoadedCertificates:
    sources: list[Any] = []
    for module in tls.certificates.values():
        try:
            sources += module.spec.load_implementation()(module.config, module.path, storage)
        except ValueError as error:
            raise ConfigError(module.path, str(error)) from error
    return LoadedCertificates(sources)


def _automated(tls: TlsApp) -> tuple[str, ...]:
    module = tls.certificates.get("automate")
    names = module.config.root if module is not None else ()
    for index, name in enumerate(names):
        if normalise(name) is None:
            raise ConfigError(f"{module.path}[{index}]", f"{name!r} is no name for a certificate")
    return tuple(n for n in (normalise(name) for name in names) if n is not None)
