"""The certificates this process serves: fetched from the certs room, kept on disk, exchanged while in use.

Edge makes no certificates and knows no authority. It asks for a name over the hop (keys never travel
on the bus), keeps a copy with mode 0600 so that it serves when certs is away, and fetches again when
the bus says that a newer one exists.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from quantum.bus.api import Entry, Subscription
from quantum.bus.subjects import CERTIFICATES, CertificateReady, key_of
from quantum.errors import BusUnavailable, HttpError
from quantum.modules.selection import CertificateSelection
from quantum.net.tls import TlsSettings, make_server_context, names_to_try
from quantum.service.api import ServiceContext
from quantum.tasks import TaskSet
from quantum.trust.certificates import KeyPair, ask_certificate
from services.edge.protocols.h3.quic import QuicCertificate, load_certificate
from services.edge.tls.selected import SelectedCertificates, SelectedFile
from services.edge.tls.tickets import SessionTickets

FETCH_SECONDS = 8.0
"""For one answer of the certs room: less than a handshake may take, so that it ends in an alert."""
REMEDY = "certificates come from the certs room, those of tls.certificates too: run it beside edge, on the same NATS"
"""Said where nobody answers: an edge alone has no certificate, whatever its configuration loads."""
PENDING_SECONDS = 0.25
"""Between two questions while the certificate is being obtained."""
REFUSED_SECONDS = 10.0
"""How long a name that nobody may have is not asked for again, and how many such names are known."""
REFUSED_NAMES = 4096
FINGERPRINT_DIGITS = 16
"""Of a fingerprint, in the names of the copies: 64 bits tell two certificates of one name apart."""


@dataclass(frozen=True)
class Pair:
    """A certificate chain with its key, in one PEM file."""

    name: str
    fingerprint: str
    file: Path


class CertificateStore:
    """All pairs of this process, by name, and the contexts made of them."""

    def __init__(self, context: ServiceContext, tasks: TaskSet) -> None:
        self._context = context
        self._tasks = tasks
        self._folder = context.data_dir / "edge" / "certificates"
        self._pairs: dict[str, Pair] = {}
        self._contexts: dict[tuple[str, TlsSettings], ssl.SSLContext] = {}
        self._parsed: dict[str, QuicCertificate] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._watch: Subscription | None = None
        self._tickets = SessionTickets(context)
        self._selected = SelectedCertificates(
            context, tasks, self._folder / "selected", self._forget_all
        )

    async def start(self) -> None:
        """Read the copies on disk; hear of new certificates as soon as there is a bus."""
        await asyncio.to_thread(self._read_copies)
        self._tasks.start(self._listen(), "certificates")
        self._tasks.start(self._tickets.run(), "tickets")

    async def aclose(self) -> None:
        """Stop listening."""
        if self._watch is not None:
            await self._watch.aclose()

    def find(
        self, name: str, settings: TlsSettings, selection: CertificateSelection | None = None
    ) -> ssl.SSLContext | None:
        """Return the context for a name, or for the wildcard above it, None when there is no pair.

        ``selection``: only a pair that it means will do.
        """
        pair = self._choose(name, selection)
        return self._context_of(pair, settings) if pair is not None else None

    def find_quic(
        self, name: str, selection: CertificateSelection | None = None
    ) -> QuicCertificate | None:
        """Return the same for QUIC, which takes the certificate itself."""
        pair = self._choose(name, selection)
        if pair is None:
            return None
        made = self._parsed.get(pair.fingerprint)
        if made is None:
            try:
                made = self._parsed[pair.fingerprint] = load_certificate(pair.file)
            except (OSError, ValueError) as error:
                self._unusable(pair, error)
        return made

    def _choose(
        self, name: str, selection: CertificateSelection | None
    ) -> Pair | SelectedFile | None:
        return self.pair(name) if selection is None else self._selected.find(selection, name)

    def _unusable(self, pair: Pair | SelectedFile, error: Exception) -> None:
        self._context.log.error(
            "certificate_unusable", name=pair.name, reason=str(error), file=str(pair.file)
        )
        if self._pairs.get(pair.name) is pair:
            del self._pairs[pair.name]

    def pair(self, name: str) -> Pair | None:
        """Return the pair for a name, or for the wildcard above it."""
        for candidate in names_to_try(name):
            pair = self._pairs.get(candidate)
            if pair is not None:
                return pair
        return None

    def has(self, name: str) -> bool:
        """Whether a pair for ``name`` is at hand."""
        return any(candidate in self._pairs for candidate in names_to_try(name))

    async def obtain(self, name: str, selection: CertificateSelection | None = None) -> bool:
        """Fetch the pair for ``name``; whether one is there now. Many who ask share one question."""
        if selection is not None:
            return await self._obtain_selected(name, selection)
        refused = self._refused.get(name)
        now = self._context.clock.monotonic()
        if refused is not None and now < refused:
            return False
        task = self._fetching.get(name)
        if task is None:
            task = self._fetching[name] = self._tasks.start(self._fetch(name), "fetch")
            task.add_done_callback(lambda _: self._fetching.pop(name, None))
        await asyncio.wait([task], timeout=FETCH_SECONDS)
        return self.has(name)

    async def _obtain_selected(self, name: str, selection: CertificateSelection) -> bool:
        """Fetch what the selection means; where there is nothing yet, the name's own may come to be of it."""
        await self._selected.obtain(selection)
        if self._selected.find(selection, name) is None and await self.obtain(name):
            await self._selected.obtain(selection)
        return self._selected.find(selection, name) is not None

    def _context_of(
        self, pair: Pair | SelectedFile, settings: TlsSettings
    ) -> ssl.SSLContext | None:
        key = pair.fingerprint, settings
        made = self._contexts.get(key)
        if made is None:
            try:
                made = make_server_context(pair.file, None, settings)
            except OSError as error:  # ssl.SSLError is one
                self._unusable(pair, error)
                return None
            self._contexts[key] = made
            self._tickets.adopt(made, pair.name, settings)
        return made

    # Fetching.

    async def _fetch(self, name: str) -> None:
        try:
            pair = await ask_certificate(self._context.hop, name)
            while pair is None:
                await self._context.clock.sleep(PENDING_SECONDS)
                pair = await ask_certificate(self._context.hop, name)
        except HttpError as error:
            if error.status in {403, 404}:
                self._remember_refusal(name)
                self._context.log.debug("certificate_refused", name=name, reason=str(error))
            else:
                self._context.log.warning(
                    "certificate_not_fetched", name=name, reason=str(error), remedy=REMEDY
                )
        except (OSError, ValueError, KeyError) as error:
            self._context.log.warning("certificate_not_fetched", name=name, reason=str(error))
        else:
            await self._keep(pair)

    async def _keep(self, pair: KeyPair) -> None:
        fingerprint = pair.fingerprint[:FINGERPRINT_DIGITS]
        file = self._folder / f"{key_of(pair.name)}.{fingerprint}.pem"
        await asyncio.to_thread(self._write, file, pair.name, pair.pem)
        self._take(Pair(pair.name, fingerprint, file))

    def _take(self, pair: Pair) -> None:
        old = self._pairs.get(pair.name)
        self._pairs[pair.name] = pair
        self._refused.pop(pair.name, None)
        if old is not None and old.fingerprint != pair.fingerprint:
            self._forget_all({old.fingerprint})
            self._context.log.info("certificate_exchanged", name=pair.name)

    def _forget_all(self, fingerprints: set[str]) -> None:
        """Drop what was made of certificates that are not shown any more."""
        for key in [key for key in self._contexts if key[0] in fingerprints]:
            del self._contexts[key]
        for fingerprint in fingerprints:
            self._parsed.pop(fingerprint, None)

    def _remember_refusal(self, name: str) -> None:
        self._refused[name] = self._context.clock.monotonic() + REFUSED_SECONDS
        if len(self._refused) > REFUSED_NAMES:
            self._refused.popitem(last=False)

    # The copies on disk.

    def _write(self, file: Path, name: str, pem: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = file.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(f"# {name}\n{pem}")
        temporary.replace(file)
        for other in self._folder.glob(f"{key_of(name)}.*.pem"):
            if other != file:
                other.unlink(missing_ok=True)

    def _read_copies(self) -> None:
        for file in sorted(self._folder.glob("*.pem")):
            first = file.read_text("ascii").partition("\n")[0]
            if first.startswith("# "):
                fingerprint = file.name.split(".")[-2]
                self._take(Pair(first[2:], fingerprint, file))

    # News.

    async def _listen(self) -> None:
        while self._watch is None:
            try:
                bucket = await self._context.bus.bucket(CERTIFICATES)
                self._watch = await bucket.watch(self._on_entry)
            except BusUnavailable as error:
                self._context.log.warning("certificate_news_unheard", reason=str(error))
                await self._context.clock.sleep(REFUSED_SECONDS)

    async def _on_entry(self, entry: Entry[CertificateReady]) -> None:
        ready = entry.value
        if ready is None:
            return
        self._selected.news()
        self._refused.pop(ready.name, None)
        pair = self._pairs.get(ready.name)
        if pair is not None and not ready.fingerprint.startswith(pair.fingerprint):
            await self.obtain(ready.name)
