"""The certificates this room answers for: found, obtained, renewed, announced.

One revision's wishes are an ``Arrangement``; the book keeps what was obtained across revisions. A
name is obtained once at a time, however many ask. What edge may see of it travels two ways: the fact
that it exists by the CERTIFICATES bucket, the material itself only by answering a request.
"""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from quantum.bus.subjects import CERTIFICATES, CertificateReady, key_of
from quantum.errors import BusUnavailable
from quantum.service.api import ServiceContext
from quantum.tasks import TaskSet
from services.certs.files import LoadedCertificates
from services.certs.issuers.api import IssuanceFailed
from services.certs.material import Material, wildcard_of
from services.certs.names import PermittedNames
from services.certs.plans import Plan, Plans
from services.certs.renewal import is_due, retry_delay
from services.certs.vault import Vault

MAX_REFUSED = 1024
"""Names remembered that were asked for and not permitted: a coming revision may bring them, and
strangers' guesses must not fill the memory."""


@dataclass(frozen=True)
class Arrangement:
    """What one revision says about certificates."""

    permitted: PermittedNames
    plans: Plans
    loaded: LoadedCertificates
    automate: tuple[str, ...] = ()


@dataclass
class _Failure:
    count: int
    next_try: datetime.datetime


class CertificateBook:
    """All certificates of this process. Lives as long as the room."""

    def __init__(self, context: ServiceContext, vault: Vault) -> None:
        self._context = context
        self._vault = vault
        self._log = context.log
        self._tasks = TaskSet("certs:book")
        self._arrangements: list[Arrangement] = []  # in force, then prepared ones
        self._permitted: PermittedNames | None = None
        self._held: dict[str, Material] = {}
        self._obtaining: dict[str, asyncio.Task[Material | IssuanceFailed]] = {}
        self._failures: dict[str, _Failure] = {}
        self._refused: dict[str, None] = {}
        self._unannounced: dict[str, Material] = {}
        self._gone: set[str] = set()
        self._announcing: asyncio.Task[None] | None = None
        self._issued = Counter(
            "quantum_certs_issuances_total",
            "Attempts to obtain a certificate",
            ["issuer", "outcome"],
            registry=context.metrics,
        )
        self._ends = Gauge(
            "quantum_certs_not_after_seconds",
            "When the certificate ends, as a Unix time",
            ["name"],
            registry=context.metrics,
        )

    # What the room's handler asks.

    async def find(self, name: str) -> tuple[str, Material | None]:
        """Return the certificate for a normalised name with the name it is kept under.

        The material is None while it is being obtained. KeyError: no configuration names it.
        IssuanceFailed: it cannot be had now.
        """
        for arrangement in reversed(self._arrangements):
            if (loaded := arrangement.loaded.find(name)) is not None:
                return name if name in loaded.subjects else wildcard_of(name), loaded
            if (managed := arrangement.permitted.resolve(name)) is not None:
                return managed, await self._have(managed, arrangement.plans.plan_for(managed))
        if len(self._refused) < MAX_REFUSED:
            self._refused[name] = None
        raise KeyError(name)

    def all(self) -> dict[str, Material]:
        """Return every certificate at hand, by name."""
        found = dict(self._held)
        for arrangement in self._arrangements:
            for material in arrangement.loaded.all():
                found.update(dict.fromkeys(material.subjects, material))
        return found

    def pending(self) -> list[str]:
        """Return the names that have none yet."""
        return sorted(({*self._failures} | {*self._obtaining}) - {*self._held})

    # What a change of the configuration asks.

    def prepare(self, arrangement: Arrangement) -> None:
        """Know the names of a coming revision: edge prepares it too and asks for them."""
        self._arrangements.append(arrangement)

    def commit(self, arrangement: Arrangement) -> None:
        """Take it in force; start on what it automates and on what was refused until now."""
        is_same = self._permitted == arrangement.permitted
        self._permitted = arrangement.permitted
        self._arrangements = [arrangement]
        for name in [n for n in self._held if arrangement.permitted.resolve(n) is None]:
            del self._held[name]
            self._failures.pop(name, None)
            self._gone.add(name)
        self._announce_soon()
        wanted = {n for n in self._refused if arrangement.permitted.resolve(n) is not None}
        for material in arrangement.loaded.all():
            self._announce_loaded(material)
        if not is_same:
            self._tasks.start(self._resume(arrangement), "resume")
        for name in wanted | set(arrangement.automate):
            self._refused.pop(name, None)
            self._tasks.start(self._try(name), "obtain")

    def discard(self, arrangement: Arrangement) -> None:
        """Forget a revision that does not come."""
        if arrangement in self._arrangements[1:] or len(self._arrangements) == 1:
            self._arrangements.remove(arrangement)

    # What the clock asks.

    async def tick(self) -> None:
        """Do what is due: renewals, failed names again, changed files, announcements."""
        if not self._arrangements:
            return
        arrangement = self._arrangements[0]
        now = self._context.clock.now()
        for material in await asyncio.to_thread(arrangement.loaded.refresh, self._log):
            self._log.info("certificate_file_reloaded", subjects=material.subjects)
            self._announce_loaded(material)
        for name, material in list(self._held.items()):
            plan = arrangement.plans.plan_for(name)
            if _is_stale(material, plan, now) and self._may_try(name, now):
                self._start(name, plan)
        for name in [n for n, f in self._failures.items() if n not in self._held]:
            if self._may_try(name, now):
                self._start(name, arrangement.plans.plan_for(name))
        self._announce_soon()

    async def aclose(self) -> None:
        """Stop what runs."""
        await self._tasks.aclose()

    # Obtaining.

    async def _resume(self, arrangement: Arrangement) -> None:
        """Take up what was obtained before: edge may serve a copy of it and not ask again.

        The disk says what that was, and the bus, should the disk be a new one.
        """
        names = set(await asyncio.to_thread(self._vault.names))
        try:
            bucket = await self._context.bus.bucket(CERTIFICATES)
            entries = [await bucket.get(key) for key in await bucket.keys()]
            names |= {entry.value.name for entry in entries if entry and entry.value}
        except BusUnavailable as error:
            self._log.debug("certificates_unlisted", reason=str(error))
        for name in sorted(names):
            if name not in self._held and arrangement.permitted.resolve(name) == name:
                await self._try(name)

    async def _try(self, name: str) -> None:
        """Have a certificate that nobody waits for; failures were logged and are tried again."""
        try:
            await self.find(name)
        except (KeyError, IssuanceFailed) as error:
            self._log.debug("certificate_not_obtained", name=name, reason=str(error))

    async def _have(self, name: str, plan: Plan) -> Material | None:
        now = self._context.clock.now()
        held = self._held.get(name)
        if held is None:  # while the disk is read, another may obtain it
            held = await self._load(name, plan) or self._held.get(name)
        if held is not None and held.not_after > now and _is_signed_by(held, plan):
            return held
        if not plan.is_prompt:
            if self._may_try(name, now):
                self._start(name, plan)
            return None
        outcome = await asyncio.shield(self._start(name, plan))
        if isinstance(outcome, IssuanceFailed):
            raise outcome
        return outcome

    async def _load(self, name: str, plan: Plan) -> Material | None:
        """Take what an earlier run obtained, if it has life left."""
        for issuer in plan.issuers:
            stored = await asyncio.to_thread(self._vault.find, name, issuer)
            if stored is not None and stored.not_after > self._context.clock.now():
                self._hold(name, stored)
                return stored
        return None

    def _may_try(self, name: str, now: datetime.datetime) -> bool:
        failure = self._failures.get(name)
        return name not in self._obtaining and (failure is None or now >= failure.next_try)

    def _start(self, name: str, plan: Plan) -> asyncio.Task[Material | IssuanceFailed]:
        task = self._obtaining.get(name)
        if task is None:
            task = self._obtaining[name] = self._tasks.start(self._obtain(name, plan), "obtain")
        return task

    async def _obtain(self, name: str, plan: Plan) -> Material | IssuanceFailed:
        """Return a failure instead of raising it: often nobody waits, and it was logged."""
        try:
            material = await self._ask(name, plan)
        except IssuanceFailed as error:
            self._note_failure(name, error)
            return error
        finally:
            self._obtaining.pop(name, None)
        self._failures.pop(name, None)
        self._hold(name, material)
        return material

    async def _ask(self, name: str, plan: Plan) -> Material:
        last = IssuanceFailed("no issuer", ordered=False)
        for issuer in plan.issuers:
            try:
                material = await issuer.issue(name, plan.key_type)
                await asyncio.to_thread(self._vault.keep, name, material)
            except (IssuanceFailed, OSError) as error:
                last = (
                    error
                    if isinstance(error, IssuanceFailed)
                    else IssuanceFailed(str(error), ordered=False)
                )
                self._issued.labels(issuer.key, "failed").inc()
                self._log.warning(
                    "certificate_refused", name=name, issuer=issuer.key, reason=last.reason
                )
                continue
            self._issued.labels(issuer.key, "issued").inc()
            self._log.info(
                "certificate_issued",
                name=name,
                issuer=issuer.key,
                not_after=material.not_after.isoformat(),
            )
            return material
        raise last

    def _note_failure(self, name: str, error: IssuanceFailed) -> None:
        before = self._failures.get(name)
        count = before.count + 1 if before is not None else 1
        wait = datetime.timedelta(seconds=retry_delay(count, ordered=error.ordered))
        self._failures[name] = _Failure(count, self._context.clock.now() + wait)

    def _hold(self, name: str, material: Material) -> None:
        self._held[name] = material
        self._ends.labels(name).set(material.not_after.timestamp())
        self._announce_later(name, material)

    # Telling.

    def _announce_loaded(self, material: Material) -> None:
        for name in material.subjects:
            self._announce_later(name, material)

    def _announce_later(self, name: str, material: Material) -> None:
        self._gone.discard(name)
        self._unannounced[name] = material
        self._announce_soon()

    def _announce_soon(self) -> None:
        """Announce in the background: who asked for a certificate does not wait for the bus."""
        if self._announcing is None or self._announcing.done():
            self._announcing = self._tasks.start(self._announce(), "announce")

    async def _announce(self) -> None:
        """Write what changed to the bucket; what the bus does not take now stays for the next tick."""
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
            self._log.debug("certificates_unannounced", reason=str(error))


def _ready(name: str, material: Material) -> CertificateReady:
    return CertificateReady(
        name=name,
        subjects=list(material.subjects),
        fingerprint=material.fingerprint,
        not_after=material.not_after,
        issuer=material.issuer,
    )


def _is_signed_by(material: Material, plan: Plan) -> bool:
    return any(issuer.key == material.issuer for issuer in plan.issuers)


def _is_stale(material: Material, plan: Plan, now: datetime.datetime) -> bool:
    due = is_due(now, material.not_before, material.not_after, plan.ratio)
    return due or not _is_signed_by(material, plan)
