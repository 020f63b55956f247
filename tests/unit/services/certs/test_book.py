"""The book of certificates: one attempt at a time, renewal, failures, announcements."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantum.bus.subjects import CERTIFICATES, key_of
from quantum.testing.clock import settle
from quantum.testing.context import TestContext, make_context
from services.certs.arrangement import Arrangement
from services.certs.book import CertificateBook
from services.certs.config import AuthorityConfig
from services.certs.files import LoadedCertificates
from services.certs.issuers.api import IssuanceFailed
from services.certs.issuers.authority import Authority
from services.certs.keeping.storage import Storage
from services.certs.keeping.vault import Vault
from services.certs.material import Material, key_pem, make_key
from services.certs.names import PermittedNames
from services.certs.plans import Plan

HOUR = 3600


class FakeIssuer:
    """Signs with a real authority, when it is told to and how often it was asked."""

    def __init__(self, world: World, key: str = "fake", *, is_prompt: bool = True) -> None:
        self._world = world
        self.key = key
        self.is_prompt = is_prompt
        self.asked: list[str] = []
        self.suggested: list[str] = []
        self.moment: Any = None
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None

    def recognises(self, material: Material) -> bool:
        return True

    async def suggest(self, material: Material) -> tuple[Any, float]:
        self.suggested.append(material.fingerprint)
        return self.moment, 3600.0

    async def issue(self, name: str, key_type: str) -> Material:
        self.asked.append(name)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        key = make_key(key_type)
        chain = self._world.authority.sign(key.public_key(), name, 12 * HOUR)
        return Material.from_pem(chain, key_pem(key), self.key)


class World:
    """A book and its surroundings."""

    def __init__(self, folder: Path) -> None:
        self.context: TestContext = make_context("certs", folder)
        self.storage = Storage(folder)
        self.vault = Vault(self.storage)
        self.authority = Authority("local", AuthorityConfig(), self.storage, self.context.clock)
        self.book = CertificateBook(self.context, self.vault)

    def use(
        self,
        *names: str,
        issuers: tuple[Any, ...],
        sources: list[Any] | None = None,
        obtained: frozenset[str] = frozenset(),
    ) -> None:
        plans = SimpleNamespace(plan_for=lambda name: Plan(issuers))
        loaded = LoadedCertificates(sources or [])
        loaded.load()
        arrangement = Arrangement(
            PermittedNames(frozenset(names), obtained=obtained), plans, loaded
        )
        self.book.prepare(arrangement)
        self.book.commit(arrangement)

    async def tick(self, seconds: float = 0) -> None:
        await self.context.clock.advance(seconds)
        await self.book.tick()
        await self.settled()

    async def settled(self) -> None:
        """Return when the book has nothing under way."""
        while len(self.book._tasks):
            await self.book._tasks.wait(5.0)


@pytest.fixture
async def world(tmp_path: Path):
    made = World(tmp_path)
    yield made
    await made.book.aclose()


async def test_many_who_ask_at_once_get_one_certificate(world: World):
    issuer = FakeIssuer(world)
    world.use("a.test", issuers=(issuer,))
    found = await asyncio.gather(*(world.book.find("a.test") for _ in range(20)))
    assert len({material.fingerprint for _, material in found}) == 1
    assert issuer.asked == ["a.test"]


async def test_a_loaded_certificate_is_shown_unless_it_is_to_be_ignored(world: World):
    issuer = FakeIssuer(world)
    ready = await issuer.issue("a.test", "p256")
    source = SimpleNamespace(path="x", stamp=lambda: (), read=lambda: [ready])
    issuer.asked.clear()
    world.use("a.test", "b.test", issuers=(issuer,), sources=[source])
    assert await world.book.find("a.test") == ("a.test", ready)
    assert issuer.asked == []
    world.use("a.test", issuers=(issuer,), sources=[source], obtained=frozenset({"a.test"}))
    name, found = await world.book.find("a.test")
    assert (name, issuer.asked) == ("a.test", ["a.test"])
    assert found is not None
    assert found.fingerprint != ready.fingerprint


async def test_a_wildcard_is_obtained_once_for_all_its_names(world: World):
    issuer = FakeIssuer(world)
    world.use("*.b.test", issuers=(issuer,))
    assert (await world.book.find("x.b.test"))[0] == "*.b.test"
    await world.book.find("y.b.test")
    assert issuer.asked == ["*.b.test"]


async def test_strangers_are_refused_and_remembered_in_moderation(world: World):
    issuer = FakeIssuer(world)
    world.use("a.test", issuers=(issuer,))
    for number in range(5000):
        with pytest.raises(KeyError):
            await world.book.find(f"n{number}.evil.example")
    assert issuer.asked == []
    assert len(world.book._refused) <= 1024


async def test_a_name_that_was_refused_is_obtained_when_the_configuration_brings_it(world: World):
    issuer = FakeIssuer(world)
    world.use("a.test", issuers=(issuer,))
    with pytest.raises(KeyError):
        await world.book.find("new.test")
    world.use("a.test", "new.test", issuers=(issuer,))
    await world.settled()
    assert issuer.asked == ["new.test"]
    bucket = await world.context.bus.bucket(CERTIFICATES)
    assert (await bucket.get(key_of("new.test"))).value.name == "new.test"


async def test_renewal_begins_when_a_third_is_left_and_is_announced(world: World):
    issuer = FakeIssuer(world)
    world.use("a.test", issuers=(issuer,))
    _, first = await world.book.find("a.test")
    await world.tick(7.9 * HOUR)
    assert issuer.asked == ["a.test"]
    await world.tick(0.2 * HOUR)
    assert issuer.asked == ["a.test", "a.test"]
    _, second = await world.book.find("a.test")
    assert second.fingerprint != first.fingerprint
    bucket = await world.context.bus.bucket(CERTIFICATES)
    assert (await bucket.get(key_of("a.test"))).value.fingerprint == second.fingerprint


async def test_a_failed_renewal_keeps_the_old_certificate_and_waits_longer_each_time(world: World):
    issuer = FakeIssuer(world)
    world.use("a.test", issuers=(issuer,))
    _, first = await world.book.find("a.test")
    issuer.failure = IssuanceFailed("no", ordered=True)
    await world.tick(8.1 * HOUR)
    assert (await world.book.find("a.test"))[1] is first
    await world.tick(30)
    assert len(issuer.asked) == 2
    await world.tick(31)
    assert len(issuer.asked) == 3
    await world.tick(61)
    assert len(issuer.asked) == 3
    issuer.failure = None
    await world.tick(300)
    assert (await world.book.find("a.test"))[1] is not first


async def test_an_issuer_that_takes_its_time_keeps_nobody_waiting(world: World):
    issuer = FakeIssuer(world, is_prompt=False)
    issuer.gate = asyncio.Event()
    world.use("a.test", issuers=(issuer,))
    assert await world.book.find("a.test") == ("a.test", None)
    assert await world.book.find("a.test") == ("a.test", None)
    await settle()
    assert world.book.pending() == ["a.test"]
    issuer.gate.set()
    await world.settled()
    assert (await world.book.find("a.test"))[1] is not None
    assert issuer.asked == ["a.test"]


async def test_the_next_issuer_is_asked_when_one_refuses(world: World):
    first, second = FakeIssuer(world, "first"), FakeIssuer(world, "second")
    first.failure = IssuanceFailed("no", ordered=True)
    world.use("a.test", issuers=(first, second))
    assert (await world.book.find("a.test"))[1].issuer == "second"


async def test_when_nobody_signs_who_waits_hears_why(world: World):
    issuer = FakeIssuer(world)
    issuer.failure = OSError(28, "No space left on device")
    world.use("a.test", issuers=(issuer,))
    with pytest.raises(IssuanceFailed, match="No space left"):
        await world.book.find("a.test")


async def test_a_restart_finds_what_was_obtained_before(world: World, tmp_path: Path):
    world.use("a.test", issuers=(FakeIssuer(world),))
    _, first = await world.book.find("a.test")
    again = World(tmp_path)
    issuer = FakeIssuer(again)
    again.use("a.test", issuers=(issuer,))
    assert (await again.book.find("a.test"))[1].fingerprint == first.fingerprint
    assert issuer.asked == []
    await again.book.aclose()


async def test_a_restart_goes_on_renewing_although_nobody_asks(world: World, tmp_path: Path):
    world.use("a.test", issuers=(FakeIssuer(world),))
    await world.book.find("a.test")
    again = World(tmp_path)
    issuer = FakeIssuer(again)
    again.use("a.test", issuers=(issuer,))
    await again.settled()
    await again.tick(9 * HOUR)
    assert issuer.asked == ["a.test"]
    await again.book.aclose()


async def test_a_name_of_an_earlier_configuration_is_not_taken_up(world: World, tmp_path: Path):
    world.use("a.test", issuers=(FakeIssuer(world),))
    await world.book.find("a.test")
    again = World(tmp_path)
    again.use("b.test", issuers=(FakeIssuer(again),))
    await again.settled()
    assert again.book.all() == {}
    await again.book.aclose()


async def test_a_torn_pair_on_disk_is_obtained_anew(world: World, tmp_path: Path):
    world.use("a.test", issuers=(FakeIssuer(world),))
    await world.book.find("a.test")
    world.storage.write(key_pem(make_key("p256")), "certificates", "fake", "a.test", "a.test.key")
    again = World(tmp_path)
    issuer = FakeIssuer(again)
    again.use("a.test", issuers=(issuer,))
    assert (await again.book.find("a.test"))[1] is not None
    assert issuer.asked == ["a.test"]
    await again.book.aclose()


async def test_another_issuer_in_the_configuration_replaces_the_certificate(world: World):
    world.use("a.test", issuers=(FakeIssuer(world, "old"),))
    await world.book.find("a.test")
    world.use("a.test", issuers=(FakeIssuer(world, "new"),))
    assert (await world.book.find("a.test"))[1].issuer == "new"


async def test_a_name_that_left_the_configuration_is_withdrawn(world: World):
    world.use("a.test", issuers=(FakeIssuer(world),))
    await world.book.find("a.test")
    await world.settled()
    bucket = await world.context.bus.bucket(CERTIFICATES)
    assert await bucket.keys() == [key_of("a.test")]
    world.use("b.test", issuers=(FakeIssuer(world),))
    await world.settled()
    assert await bucket.keys() == []
    with pytest.raises(KeyError):
        await world.book.find("a.test")


async def test_without_the_bus_certificates_are_had_and_announced_later(world: World):
    world.context.bus.cut()
    world.use("a.test", issuers=(FakeIssuer(world),))
    assert (await world.book.find("a.test"))[1] is not None
    await world.context.bus.restore()
    await world.tick()
    bucket = await world.context.bus.bucket(CERTIFICATES)
    assert await bucket.keys() == [key_of("a.test")]


async def test_a_prepared_revision_is_answered_for_and_a_discarded_one_no_more(world: World):
    issuer = FakeIssuer(world)
    world.use("a.test", issuers=(issuer,))
    plans = SimpleNamespace(plan_for=lambda name: Plan((issuer,)))
    coming = Arrangement(PermittedNames(frozenset({"b.test"})), plans, LoadedCertificates([]))
    world.book.prepare(coming)
    assert (await world.book.find("b.test"))[1] is not None
    assert (await world.book.find("a.test"))[1] is not None
    world.book.discard(coming)
    with pytest.raises(KeyError):
        await world.book.find("b.test")


async def test_a_renewed_file_is_picked_up_and_a_broken_one_is_not(world: World, tmp_path: Path):
    from services.certs.config import LoadFiles
    from services.certs.files import file_sources

    certificate, key = tmp_path / "x.crt", tmp_path / "x.key"

    def write() -> str:
        private = make_key("p256")
        chain = world.authority.sign(private.public_key(), "x.test", HOUR)
        certificate.write_bytes(chain)
        key.write_bytes(key_pem(private))
        return Material.from_pem(chain, key_pem(private), "").fingerprint

    first = write()
    config = LoadFiles.parse([{"certificate": str(certificate), "key": str(key)}])
    world.use(issuers=(), sources=file_sources(config, "load_files", world.storage))
    assert (await world.book.find("x.test"))[1].fingerprint == first
    key.write_bytes(b"half a ke")
    await world.tick()
    assert (await world.book.find("x.test"))[1].fingerprint == first
    second = write()
    await world.tick()
    assert (await world.book.find("x.test"))[1].fingerprint == second
    bucket = await world.context.bus.bucket(CERTIFICATES)
    assert (await bucket.get(key_of("x.test"))).value.fingerprint == second


async def test_who_looks_on_the_disk_while_another_obtains_gets_what_was_obtained(world: World):
    issuer = FakeIssuer(world)
    load, looked, obtained = world.book._load, asyncio.Event(), asyncio.Event()

    async def slow_load(name: str, plan: Plan) -> Any:
        stored = await load(name, plan)
        if not looked.is_set():
            looked.set()
            await obtained.wait()
        return stored

    world.book._load = slow_load
    world.use("a.test", issuers=(issuer,))
    first = asyncio.get_running_loop().create_task(world.book.find("a.test"))
    await looked.wait()
    assert (await world.book.find("a.test"))[1] is not None
    obtained.set()
    assert (await first)[1] is not None
    await world.settled()
    assert issuer.asked == ["a.test"]


async def test_a_certificate_is_renewed_when_its_authority_would_like_it(world: World):
    issuer = FakeIssuer(world)
    world.use("a.test", issuers=(issuer,))
    _, first = await world.book.find("a.test")
    assert first is not None
    await world.tick()
    assert len(issuer.suggested) == 1
    await world.tick(1800)
    assert len(issuer.suggested) == 1  # it said: in an hour
    issuer.moment = world.context.clock.now()
    await world.tick(1801)
    await world.tick()
    assert (await world.book.find("a.test"))[1] != first
    issuer.moment = first.not_after + datetime.timedelta(days=1)  # later than any sense
    await world.tick()
    second = (await world.book.find("a.test"))[1]
    await world.tick(9 * HOUR)
    assert (await world.book.find("a.test"))[1] == second
    await world.tick(3 * HOUR)
    assert (await world.book.find("a.test"))[1] != second
