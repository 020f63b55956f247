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

from quantum.modules.selection import CertificateSelection
from quantum.service.api import ServiceContext
from quantum.tasks import TaskSet
from services.certs.arrangement import Arrangement, is_signed_by, is_stale, may_have, place_of
from services.certs.issuers.api import IssuanceFailed, Issuer
from services.certs.keeping.announcements import Announcements
from services.certs.keeping.vault import Vault
from services.certs.material import Material, wildcard_of
from services.certs.names import PermittedNames
from services.certs.ondemand.managed import ManagedCertificates
from services.certs.ondemand.permission import Gate, PermissionDenied
from services.certs.plans import Plan
from services.certs.renewal import retry_delay
from services.certs.suggestions import Suggestions

MAX_REFUSED = 1024
"""Names remembered that were asked for and not permitted: a coming revision may bring them, and
strangers' guesses must not fill the memory."""


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
        self._gate = Gate()
        self._announcements = Announcements(context, self._tasks)
        self._managed = ManagedCertificates(context.clock)
        self._suggestions = Suggestions(context.clock)
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
            permitted = arrangement.permitted
            loaded = arrangement.loaded.find(name)
            if loaded is not None and permitted.resolve(name) not in permitted.obtained:
                return name if name in loaded.subjects else wildcard_of(name), loaded
            managed, plan = place_of(name, arrangement)
            if (given := await self._given(name, plan)) is not None:
                return name, given
            if managed is not None:
                return managed, await self._have(managed, plan)
            if plan.on_demand:
                return name, await self._have_on_demand(name, plan)
        if len(self._refused) < MAX_REFUSED:
            self._refused[name] = None
        raise KeyError(name)

    def all(self) -> dict[str, Material]:
        """Return every certificate at hand, by name."""
        found = {**self._held, **self._managed.all()}
        for arrangement in self._arrangements:
            for material in arrangement.loaded.all():
                found.update(dict.fromkeys(material.subjects, material))
        return found

    def selected(self, selection: CertificateSelection) -> list[Material]:
        """Return what a policy may choose from: of a coming revision, else of the one in force."""
        obtained = [*self._held.values(), *self._managed.all().values()]
        for arrangement in reversed(self._arrangements):
            known = {m.fingerprint: m for m in [*arrangement.loaded.all(), *obtained]}
            found = [material for material in known.values() if material.fits(selection)]
            if found:
                return found
        return []

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
        for name in [n for n in self._held if not may_have(n, arrangement)]:
            self._drop(name)
        self._managed.clear()  # asked again when a client wants them
        self._announcements.send()
        wanted = {n for n in self._refused if arrangement.permitted.resolve(n) is not None}
        for material in arrangement.loaded.all():
            self._tell_all(material)
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
            self._tell_all(material)
        for name, material in list(self._held.items()):
            plan = arrangement.plans.plan_for(name)
            self._ask_when(name, material, plan)
            moment = self._suggestions.moment(name, material)
            if is_stale(material, plan, now, moment) and self._may_try(name, now):
                if arrangement.permitted.resolve(name) is not None:
                    self._start(name, plan)
                else:
                    self._tasks.start(self._renew_on_demand(name, plan), "renew")
        for name in self._managed.due():
            self._tasks.start(self._given(name, arrangement.plans.plan_for(name)), "managed")
        for name in [n for n, f in self._failures.items() if n not in self._held]:
            is_ours = arrangement.permitted.resolve(name) is not None
            if is_ours and self._may_try(name, now):
                self._start(name, arrangement.plans.plan_for(name))
        self._announcements.send()

    async def aclose(self) -> None:
        """Stop what runs."""
        await self._tasks.aclose()

    # Obtaining.

    async def _resume(self, arrangement: Arrangement) -> None:
        """Take up what was obtained before: edge may serve a copy of it and not ask again.

        The disk says what that was, and the bus, should the disk be a new one.
        """
        names = set(await asyncio.to_thread(self._vault.names)) | await self._announcements.names()
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
        if held is not None and held.not_after > now and is_signed_by(held, plan):
            return held
        if not plan.is_prompt:
            if self._may_try(name, now):
                self._start(name, plan)
            return None
        outcome = await asyncio.shield(self._start(name, plan))
        if isinstance(outcome, IssuanceFailed):
            raise outcome
        return outcome

    async def _given(self, name: str, plan: Plan) -> Material | None:
        """Return what a manager has for ``name``, None when none has anything."""
        if not plan.managers:
            return None
        before = self._managed.find(name)
        material = await self._managed.get(name, plan.managers)
        if material is None:
            if before is not None:
                self._announcements.forget(name)
        elif before is None or before.fingerprint != material.fingerprint:
            self._announcements.tell(name, material)
        return material

    async def _have_on_demand(self, name: str, plan: Plan) -> Material | None:
        """Have a certificate for a name that only a client spelled out; KeyError when it is not allowed."""
        now = self._context.clock.now()
        held = self._held.get(name)
        if held is not None and held.not_after > now and is_signed_by(held, plan):
            return held
        if name not in self._obtaining:
            if not self._may_try(name, now):
                raise IssuanceFailed(
                    "the last attempt failed; it is too early to try again", ordered=False
                )
            try:
                await self._gate.check(plan.permission, name)
            except PermissionDenied as denied:
                self._log.debug("certificate_not_permitted", name=name, reason=str(denied))
                raise KeyError(name) from None
        return await self._have(name, plan)

    async def _renew_on_demand(self, name: str, plan: Plan) -> None:
        """Renew what a client asked for once, if it is still allowed; else let it go."""
        try:
            if plan.on_demand:
                await self._gate.check(plan.permission, name)
                await self._start(name, plan)
                return
        except IssuanceFailed as error:
            self._note_failure(name, error)
            return
        except PermissionDenied as denied:
            self._log.info("certificate_given_up", name=name, reason=str(denied))
        self._drop(name)
        self._announcements.send()

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
                material = await self._issue(issuer, name, plan)
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

    async def _issue(self, issuer: Issuer, name: str, plan: Plan) -> Material:
        if plan.reuses_keys:
            key = await asyncio.to_thread(self._vault.key_of, name, issuer.key)
            if key is not None:
                return await issuer.issue(name, plan.key_type, key)
        return await issuer.issue(name, plan.key_type)

    def _ask_when(self, name: str, material: Material, plan: Plan) -> None:
        issuers = [issuer for issuer in plan.issuers if issuer.key == material.issuer]
        if issuers and self._suggestions.is_due(name, material):
            self._tasks.start(self._suggestions.ask(name, material, issuers[0]), "suggestion")

    def _drop(self, name: str) -> None:
        self._suggestions.forget(name)
        self._held.pop(name, None)
        self._failures.pop(name, None)
        self._announcements.forget(name)

    def _note_failure(self, name: str, error: IssuanceFailed) -> None:
        before = self._failures.get(name)
        count = before.count + 1 if before is not None else 1
        wait = datetime.timedelta(seconds=retry_delay(count, ordered=error.ordered))
        self._failures[name] = _Failure(count, self._context.clock.now() + wait)

    def _tell_all(self, material: Material) -> None:
        for name in material.subjects:
            self._announcements.tell(name, material)

    def _hold(self, name: str, material: Material) -> None:
        self._held[name] = material
        self._ends.labels(name).set(material.not_after.timestamp())
        self._announcements.tell(name, material)
