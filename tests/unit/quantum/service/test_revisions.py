"""Which configuration a process runs, on a bus that may be away."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest
import structlog

from quantum.bus.memory import MemoryBus, MemoryServer
from quantum.bus.subjects import CONFIG, CONFIG_APPLIED, ConfigRevision
from quantum.errors import ConfigError
from quantum.service.revisions import Revisions
from quantum.testing.bus import Collector
from quantum.testing.clock import ManualClock, settle
from quantum.testing.context import FakeSwitch, make_revision


def parse(document):
    if "bad" in document:
        raise ConfigError("bad", "refused")
    text = json.dumps(document, sort_keys=True).encode()
    return make_revision(hashlib.sha256(text).hexdigest()[:16], document=document)


class Member:
    """One process of the deployment."""

    def __init__(self, world, directory, *, rooms=("proxy",), file=None):
        self.file = file
        self.bus = MemoryBus(world)
        self.switch = FakeSwitch(parse)
        self.data_dir = directory
        self.revisions = Revisions(
            self.bus,
            self.switch,
            clock=world.clock,
            rooms=frozenset(rooms),
            data_dir=directory,
            load=None if file is None else lambda: self.file,
            log=structlog.get_logger("test"),
            process=directory.name,
        )

    @property
    def word(self):
        return self.switch.active.document["word"] if self.switch.active else None

    async def close(self):
        await self.revisions.aclose()
        await self.bus.aclose()


@pytest.fixture
async def world():
    server = MemoryServer(ManualClock())
    yield server
    await server.aclose()


@pytest.fixture
async def make(world, tmp_path):
    members = []

    def make(name="one", **options):
        members.append(Member(world, tmp_path / name, **options))
        return members[-1]

    yield make
    for member in members:
        await member.close()


async def put(bus, world, word, **more):
    document = {"word": word, **more}
    revision = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
    value = ConfigRevision(
        revision=revision, document=document, author="test", at=world.clock.now()
    )
    await (await bus.bucket(CONFIG)).put("active", value)
    await settle()


async def active(bus):
    entry = await (await bus.bucket(CONFIG)).get("active")
    return entry and entry.value.document["word"]


async def test_a_file_is_applied_and_becomes_active_where_there_is_none(make):
    member = make(file={"word": "file"})
    await member.revisions.start()
    await settle()
    assert member.word == "file"
    assert await active(member.bus) == "file"


async def test_the_active_revision_wins_over_the_file_of_a_process_without_admin(make, world):
    member = make(file={"word": "file"})
    await put(member.bus, world, "active")
    await member.revisions.start()
    await settle()
    assert [r.document["word"] for r in member.switch.applied] == ["file", "active"]
    assert await active(member.bus) == "active"


async def test_the_file_of_the_process_with_admin_wins_over_the_active_revision(make, world):
    member, other = make(rooms=("admin",), file={"word": "file"}), make("other", file={"word": "x"})
    await put(member.bus, world, "active")
    await other.revisions.start()
    await settle()
    assert other.word == "active"
    await member.revisions.start()
    await settle()
    assert [r.document["word"] for r in member.switch.applied] == ["file"]
    assert await active(member.bus) == "file"
    assert other.word == "file"


async def test_a_bad_file_refuses_the_start(make):
    with pytest.raises(ConfigError, match="bad: refused"):
        await make(file={"bad": 1}).revisions.start()


async def test_every_process_follows_and_says_so(make, world):
    one, two, heard = make(file={"word": "a"}), make("two", file={"word": "a"}), Collector()
    await one.bus.subscribe(CONFIG_APPLIED, heard)
    await one.revisions.start()
    await two.revisions.start()
    await put(one.bus, world, "b")
    assert (one.word, two.word) == ("b", "b")
    told = [fact for fact in heard.items if fact.revision == one.switch.active.id]
    assert [fact.error for fact in told] == ["", ""]
    assert told[0].rooms == ["proxy"]


async def test_a_refused_revision_is_answered_and_the_old_one_stays(make, world):
    member, heard = make(file={"word": "a"}), Collector()
    await member.bus.subscribe(CONFIG_APPLIED, heard)
    await member.revisions.start()
    await put(member.bus, world, "b", bad=1)
    assert member.word == "a"
    assert heard.items[-1].error == "bad: refused"
    await put(member.bus, world, "c")
    assert member.word == "c"


async def test_a_defect_of_a_room_is_an_answer_too(make, world):
    class Broken:
        async def prepare(self, revision):
            if revision.document["word"] == "b":
                raise KeyError("surprise")
            return self

        def commit(self):
            pass

    member, heard = make(file={"word": "a"}), Collector()
    member.switch.use(Broken())
    await member.bus.subscribe(CONFIG_APPLIED, heard)
    await member.revisions.start()
    await put(member.bus, world, "b")
    assert heard.items[-1].error == "KeyError: 'surprise'"
    assert member.word == "a"


async def test_without_file_and_bus_the_kept_revision_serves(make, world):
    first = make(file={"word": "kept"})
    await first.revisions.start()
    first.revisions.keep(first.switch.active)
    await first.close()
    again = Member(world, first.data_dir)
    again.bus.cut()
    await again.revisions.start()
    assert again.word == "kept"
    await put(MemoryBus(world), world, "newer")
    await again.bus.restore()
    await settle()
    assert again.word == "newer"
    await again.close()


async def test_without_file_the_active_revision_is_preferred_to_the_kept_one(make, world):
    member = make()
    (member.data_dir / "config").mkdir(parents=True)
    (member.data_dir / "config/active.json").write_text('{"word": "kept"}')
    await put(member.bus, world, "active")
    await member.revisions.start()
    assert [r.document["word"] for r in member.switch.applied] == ["active"]


async def test_a_damaged_kept_revision_is_passed_over(make, world):
    member = make()
    (member.data_dir / "config").mkdir(parents=True)
    (member.data_dir / "config/active.json").write_text('{"word": ')
    starting = asyncio.get_running_loop().create_task(member.revisions.start())
    await settle()
    assert not starting.done()
    await put(member.bus, world, "first")
    assert (await starting).document == {"word": "first"}


async def test_a_file_read_again_leads_the_deployment(make):
    one, two = make(file={"word": "a"}), make("two", file={"word": "a"})
    await one.revisions.start()
    await two.revisions.start()
    await settle()
    two.file = {"word": "edited"}
    await two.revisions.reload()
    await settle()
    assert (one.word, two.word) == ("edited", "edited")


async def test_a_bad_file_read_again_changes_nothing(make, world):
    member = make(file={"word": "a"})
    await member.revisions.start()
    member.file = {"bad": 1}
    await member.revisions.reload()
    assert member.word == "a"
    await put(member.bus, world, "b")
    assert member.word == "b"


async def test_a_file_read_again_while_the_bus_is_away_leads_when_it_is_back(make, world):
    one, two = make(file={"word": "a"}), make("two", file={"word": "a"})
    await one.revisions.start()
    await two.revisions.start()
    await settle()
    one.bus.cut()
    one.file = {"word": "edited"}
    await one.revisions.reload()
    await put(two.bus, world, "meanwhile")
    assert (one.word, two.word) == ("edited", "meanwhile")
    await one.bus.restore()
    await world.clock.advance(2)
    assert (one.word, two.word) == ("edited", "edited")


async def test_the_newest_revision_is_kept_whatever_the_order_of_writes(make):
    member = make(file={"word": "a"})
    await member.revisions.start()
    for word in "bcd":
        await member.switch.apply(parse({"word": word}))
        member.revisions.keep(member.switch.active)
    await member.revisions.aclose()
    assert json.loads((member.data_dir / "config/active.json").read_text()) == {"word": "d"}


async def test_a_revision_that_asks_for_it_is_not_kept_and_neither_is_the_one_before(make):
    member = make(file={"word": "a"})
    await member.revisions.start()
    kept = member.data_dir / "config/active.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text('{"word": "before"}')
    await member.switch.apply(parse({"word": "b", "admin": {"config": {"persist": False}}}))
    member.revisions.keep(member.switch.active)
    await member.revisions.aclose()
    assert not kept.exists()
