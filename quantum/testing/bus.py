"""check_bus: what every implementation of the bus must do, one coroutine per promise.

    @pytest.mark.parametrize("check", BUS_CHECKS, ids=lambda check: check.__name__)
    async def test_the_bus_keeps_its_promises(check):
        async with my_world() as world:
            await check(world)

A ``BusWorld`` makes connections to one server and can take that server away and bring it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

from pydantic import BaseModel

from quantum.bus.api import Bucket, Bus, Conflict, Entry, Log, ObjectStore, Stream, Subject
from quantum.errors import BusUnavailable

SECONDS = 30.0
"""What a check may wait for something that must happen, a restart of a server included."""


class Word(BaseModel):
    """The payload of the checks."""

    text: str


class Other(BaseModel):
    """A payload that is no Word."""

    number: int


FACT = Subject("quantum.check.word_said", Word, "A word was said")
WRONG_FACT = Subject("quantum.check.word_said", Other, "The same subject, another payload")
WORDS = Bucket("quantum_check_words", Word, "Words")
WRONG_WORDS = Bucket("quantum_check_words", Other, "The same bucket, another payload")
FLEETING = Bucket("quantum_check_fleeting", Word, "Words for a second", ttl=1.0)
LINES = Stream("quantum_check_lines", Word, "Lines")
BLOBS = ObjectStore("quantum_check_blobs", "Blobs")


class BusWorld(Protocol):
    """A server, connections to it, and its outages."""

    async def connect(self) -> Bus:
        """Return one more connection, ready for use."""

    async def take_away(self) -> None:
        """Make the server vanish without a word; data survives."""

    async def bring_back(self) -> None:
        """Make it answer again; returns when the connections have noticed."""

    async def pass_time(self, seconds: float) -> None:
        """Let the server's clock move on."""


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until ``condition`` holds."""
    try:
        async with asyncio.timeout(SECONDS):
            while not condition():  # noqa: ASYNC110 - conditions of outsiders have no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None


class Collector:
    """Collects what a subscription delivers."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    async def __call__(self, item: Any) -> None:
        """Note ``item``."""
        self.items.append(item)

    @property
    def texts(self) -> list[str]:
        """The texts of facts."""
        return [item.text for item in self.items]

    @property
    def pairs(self) -> list[tuple[str, str | None]]:
        """Key and text of entries, text None for a deletion."""
        return [(e.key, None if e.value is None else e.value.text) for e in self.items]


async def _expect(kind: type[BaseException], operation: Awaitable[Any]) -> None:
    try:
        await operation
    except kind:
        return
    raise AssertionError(f"{kind.__name__} expected")


async def facts_reach_every_subscriber_in_order(world: BusWorld) -> None:
    """Facts of one publisher arrive in order, at each subscriber."""
    one, two = await world.connect(), await world.connect()
    heard, also = Collector(), Collector()
    await one.subscribe(FACT, heard)
    await two.subscribe(FACT, also)
    for number in range(50):
        await one.publish(FACT, Word(text=str(number)))
    expected = [str(number) for number in range(50)]
    await until(lambda: heard.texts == expected, "all facts at the publisher's own subscriber")
    await until(lambda: also.texts == expected, "all facts at the other subscriber")


async def a_closed_subscription_hears_nothing_more(world: BusWorld) -> None:
    """After aclose no callback runs; aclose twice is fine."""
    bus = await world.connect()
    first, second = Collector(), Collector()
    subscription = await bus.subscribe(FACT, first)
    await bus.subscribe(FACT, second)
    await subscription.aclose()
    await subscription.aclose()
    await bus.publish(FACT, Word(text="late"))
    await until(lambda: second.texts == ["late"], "the fact at the open subscription")
    assert first.items == []


async def a_bad_payload_or_callback_does_not_end_a_subscription(world: BusWorld) -> None:
    """What does not parse is dropped; a callback that raises gets the next fact all the same."""
    bus, heard = await world.connect(), Collector()

    async def fragile(word: Word) -> None:
        await heard(word)
        if word.text == "break":
            raise RuntimeError("a subscriber's defect")

    await bus.subscribe(FACT, fragile)
    await bus.publish(WRONG_FACT, Other(number=1))
    await bus.publish(FACT, Word(text="break"))
    await bus.publish(FACT, Word(text="after"))
    await until(lambda: heard.texts == ["break", "after"], "the fact after the failure")


async def a_bucket_keeps_the_last_value(world: BusWorld) -> None:
    """Writes and deletions are seen by another connection."""
    writer = await (await world.connect()).bucket(WORDS)
    reader = await (await world.connect()).bucket(WORDS)
    assert await reader.get("a") is None
    assert await reader.keys() == []
    first = await writer.put("a", Word(text="one"))
    second = await writer.put("a", Word(text="two"))
    await writer.put("b.c", Word(text="three"))
    assert second > first
    assert await reader.get("a") == Entry("a", Word(text="two"), second)
    assert sorted(await reader.keys()) == ["a", "b.c"]
    await writer.delete("a")
    await writer.delete("never-there")
    assert await reader.get("a") is None
    assert await reader.keys() == ["b.c"]


async def only_one_writer_wins(world: BusWorld) -> None:
    """Writers compare and swap."""
    words = await (await world.connect()).bucket(WORDS)
    revision = await words.create("a", Word(text="one"))
    await _expect(Conflict, words.create("a", Word(text="two")))
    newer = await words.update("a", Word(text="two"), revision)
    await _expect(Conflict, words.update("a", Word(text="three"), revision))
    entry = await words.get("a")
    assert entry == Entry("a", Word(text="two"), newer)
    await words.delete("a")
    assert await words.create("a", Word(text="again")) > newer


async def a_watch_gives_the_present_then_the_changes(world: BusWorld) -> None:
    """A watch returns after the present values came."""
    bus = await world.connect()
    words, seen = await bus.bucket(WORDS), Collector()
    await words.put("a", Word(text="one"))
    await words.put("b", Word(text="two"))
    await words.put("a", Word(text="three"))
    await words.put("gone", Word(text="x"))
    await words.delete("gone")
    watch = await words.watch(seen)
    assert sorted(seen.pairs) == [("a", "three"), ("b", "two")]
    await words.put("c", Word(text="four"))
    await words.delete("b")
    await until(lambda: seen.pairs[2:] == [("c", "four"), ("b", None)], "the changes, in order")
    await watch.aclose()
    await words.put("d", Word(text="five"))
    assert len(seen.items) == 4


async def a_watch_of_an_empty_bucket_returns(world: BusWorld) -> None:
    """Nothing present is no reason to wait; a slow watcher misses nothing."""
    bus, seen = await world.connect(), Collector()
    words = await bus.bucket(WORDS)

    async def slow(entry: Entry[Word]) -> None:
        await asyncio.sleep(0.001)
        await seen(entry)

    await words.watch(slow)
    assert seen.items == []
    for number in range(100):
        await words.put(f"k{number}", Word(text="x"))
    await until(lambda: len(seen.items) == 100, "every entry at the slow watcher")


async def a_value_that_does_not_parse_is_skipped(world: BusWorld) -> None:
    """A watcher goes on after a value of another version."""
    bus, seen = await world.connect(), Collector()
    await (await bus.bucket(WRONG_WORDS)).put("odd", Other(number=1))
    words = await bus.bucket(WORDS)
    await words.watch(seen)
    await words.put("a", Word(text="one"))
    await until(lambda: seen.pairs == [("a", "one")], "the value that parses")


async def a_bucket_with_a_time_to_live_forgets(world: BusWorld) -> None:
    """After its ttl a key is gone, watchers hear of it, and it can be created again."""
    bus, seen = await world.connect(), Collector()
    fleeting = await bus.bucket(FLEETING)
    await fleeting.watch(seen)
    await fleeting.put("a", Word(text="one"))
    await world.pass_time(1.5)
    await until(lambda: seen.pairs == [("a", "one"), ("a", None)], "the end of the key's time")
    assert await fleeting.get("a") is None
    assert await fleeting.keys() == []
    await fleeting.create("a", Word(text="again"))


async def a_log_gives_every_entry_one_sequence(world: BusWorld) -> None:
    """Appending, bounds, and expectations that do not hold."""
    log = await (await world.connect()).stream(LINES, "share")
    assert await log.bounds() == (1, 0)
    assert await log.append(Word(text="one"), expected_last=0) == 1
    assert await log.append(Word(text="two")) == 2
    await _expect(Conflict, log.append(Word(text="x"), expected_last=1))
    assert await log.append(Word(text="three"), expected_last=2) == 3
    assert await log.bounds() == (1, 3)


async def what_another_stored_is_not_taken_for_ones_own(world: BusWorld) -> None:
    """Two who send the same at the same place: one of them is told, alone and with a chain."""
    one = await (await world.connect()).stream(LINES, "same")
    two = await (await world.connect()).stream(LINES, "same")
    assert await one.append(Word(text="same"), expected_last=0) == 1
    await _expect(Conflict, two.append(Word(text="same"), expected_last=0))
    few, many = [Word(text=str(n)) for n in range(5)], [Word(text=str(n)) for n in range(40)]
    assert await one.append_all(few, expected_last=1) == 6
    await _expect(Conflict, two.append_all(few, expected_last=1))
    assert await one.append_all(many, expected_last=6) == 46
    await _expect(Conflict, two.append_all(many, expected_last=6))
    assert await two.bounds() == (1, 46)


async def a_chain_is_stored_behind_what_it_expects(world: BusWorld) -> None:
    """Many at once keep their order; behind anything else nothing of them is stored."""
    log = await (await world.connect()).stream(LINES, "chain")
    words = [Word(text=str(n)) for n in range(200)]
    assert await log.append_all(words, expected_last=0) == 200
    got: list[tuple[int, str]] = []
    await _take(log, 0, 200, got)
    assert got == [(n + 1, str(n)) for n in range(200)]
    late = [Word(text="late"), Word(text="later")]
    await _expect(Conflict, log.append_all(late, expected_last=7))
    await _expect(Conflict, log.append_all(words[150:], expected_last=150))
    assert await log.bounds() == (1, 200)
    assert await log.identity() == await log.identity() != ""
    await log.purge(150)
    assert await log.bounds() == (151, 200)
    left: list[tuple[int, str]] = []
    await _take(log, 0, 50, left)
    assert left[0] == (151, "150")
    assert await log.append(Word(text="next"), expected_last=200) == 201


async def a_reader_is_spared_what_it_knows(world: BusWorld) -> None:
    """Entries up to what is known when they come are left out; those behind it come."""
    log = await (await world.connect()).stream(LINES, "known")
    words = [Word(text=str(n)) for n in range(30)]
    await log.append_all(words, expected_last=0)
    got: list[int] = []
    async for entry in log.read(0, lambda: 25):
        got.append(entry.revision)
        if entry.revision == 30:
            break
    assert got == [26, 27, 28, 29, 30]


async def blobs_are_kept_by_name(world: BusWorld) -> None:
    """What one connection stores the other reads, empty and large ones too."""
    one = await (await world.connect()).objects(BLOBS, "share")
    two = await (await world.connect()).objects(BLOBS, "share")
    assert await two.get("a/b") is None
    for name, data in {"a/b": b"x" * 512 * 1024, "empty": b""}.items():
        await one.put(name, data)
        await one.put(name, data)
        assert await two.get(name) == data
    listed = {held.name: held for held in await two.list()}
    assert {name: held.size for name, held in listed.items()} == {"a/b": 512 * 1024, "empty": 0}
    assert all(0 <= held.age < SECONDS for held in listed.values())
    assert await two.drop(listed["a/b"])
    assert not await one.drop(listed["a/b"])
    assert await one.get("a/b") is None
    assert [held.name for held in await one.list()] == ["empty"]
    await one.put("a/b", b"again")
    assert await two.get("a/b") == b"again"


async def what_is_put_again_is_not_dropped(world: BusWorld) -> None:
    """Of a put and a drop of what was listed before, whichever is first, the content stays."""
    writer = await (await world.connect()).objects(BLOBS, "raced")
    sweeper = await (await world.connect()).objects(BLOBS, "raced")
    blobs = {f"{number}": b"%d" % number * 100 for number in range(20)}
    for _ in range(5):
        await asyncio.gather(*(writer.put(name, data) for name, data in blobs.items()))
        listed = await sweeper.list()
        assert {held.name for held in listed} == set(blobs)
        await asyncio.gather(
            *(sweeper.drop(held) for held in listed),
            *(writer.put(name, data) for name, data in blobs.items()),
            *(sweeper.put(name, blobs[name]) for name in list(blobs)[::3]),
        )
        for name, data in blobs.items():
            assert await sweeper.get(name) == data
        assert await writer.tidy(0.0) == 0
    assert all([await sweeper.drop(held) for held in await sweeper.list()])
    assert await writer.list() == []


async def logs_of_two_keys_are_apart(world: BusWorld) -> None:
    """Each key has its own order."""
    bus = await world.connect()
    one, two = await bus.stream(LINES, "one"), await bus.stream(LINES, "=b25l")
    assert await one.append(Word(text="a")) == 1
    assert await two.append(Word(text="b")) == 1
    assert await one.bounds() == (1, 1)


async def _take(log: Log[Word], after: int, count: int, into: list[tuple[int, str]]) -> None:
    async with asyncio.timeout(SECONDS), aclosing(log.read(after)) as entries:  # type: ignore[type-var]
        async for entry in entries:
            assert entry.value is not None
            into.append((entry.revision, entry.value.text))
            if len(into) == count:
                return


async def a_log_is_read_from_any_place_and_followed(world: BusWorld) -> None:
    """Reading gives what is there after a sequence, then what comes."""
    bus = await world.connect()
    log = await bus.stream(LINES, "share")
    for number in range(1, 6):
        await log.append(Word(text=str(number)))
    got: list[tuple[int, str]] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(_take(log, 3, 3, got))
        await until(lambda: len(got) == 2, "what was there")
        await (await (await world.connect()).stream(LINES, "share")).append(Word(text="6"))
    assert got == [(4, "4"), (5, "5"), (6, "6")]


async def an_absent_bus_is_said_and_not_waited_for(world: BusWorld) -> None:
    """Operations raise BusUnavailable, facts are dropped, subscribing still returns."""
    bus = await world.connect()
    words, log = await bus.bucket(WORDS), await bus.stream(LINES, "share")
    await words.put("a", Word(text="one"))
    await world.take_away()
    await until(lambda: not bus.is_connected, "that the outage is noticed")
    await _expect(BusUnavailable, words.get("a"))
    await _expect(BusUnavailable, words.put("a", Word(text="two")))
    await _expect(BusUnavailable, words.keys())
    await _expect(BusUnavailable, log.append(Word(text="x")))
    await _expect(BusUnavailable, log.bounds())
    await bus.publish(FACT, Word(text="lost"))
    heard, seen = Collector(), Collector()
    await bus.subscribe(FACT, heard)
    await words.watch(seen)
    await world.bring_back()
    await until(lambda: seen.pairs == [("a", "one")], "the watch that began during the outage")

    async def say_again() -> None:
        while not heard.items:
            await bus.publish(FACT, Word(text="back"))
            await asyncio.sleep(0.05)

    async with asyncio.timeout(SECONDS):
        await say_again()
    assert heard.texts[0] == "back"


async def what_was_missed_in_an_outage_comes_after_it(world: BusWorld) -> None:
    """Watches give the present values again, deletions included; reads go on without gap."""
    bus, seen = await world.connect(), Collector()
    words, fleeting = await bus.bucket(WORDS), await bus.bucket(FLEETING)
    log = await bus.stream(LINES, "share")
    await words.watch(seen)
    fled = Collector()
    await fleeting.watch(fled)
    await words.put("a", Word(text="one"))
    await fleeting.put("f", Word(text="short"))
    await log.append(Word(text="1"))
    await until(lambda: bool(seen.items and fled.items), "the first entries")
    got: list[tuple[int, str]] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(_take(log, 0, 2, got))
        await until(lambda: len(got) == 1, "the first line")
        await world.take_away()
        await world.pass_time(2.0)
        await world.bring_back()
        await until(lambda: bus.is_connected, "the connection")
        await log.append(Word(text="2"))
    assert got == [(1, "1"), (2, "2")]
    await until(lambda: seen.pairs == [("a", "one"), ("a", "one")], "the present value again")
    await until(lambda: fled.pairs[-1] == ("f", None), "the deletion that was missed")
    await words.put("a", Word(text="after"))
    await until(lambda: seen.pairs[-1] == ("a", "after"), "a change after the outage")


BUS_CHECKS: list[Callable[[BusWorld], Awaitable[None]]] = [
    facts_reach_every_subscriber_in_order,
    a_closed_subscription_hears_nothing_more,
    a_bad_payload_or_callback_does_not_end_a_subscription,
    a_bucket_keeps_the_last_value,
    only_one_writer_wins,
    a_watch_gives_the_present_then_the_changes,
    a_watch_of_an_empty_bucket_returns,
    a_value_that_does_not_parse_is_skipped,
    a_bucket_with_a_time_to_live_forgets,
    a_log_gives_every_entry_one_sequence,
    what_another_stored_is_not_taken_for_ones_own,
    a_chain_is_stored_behind_what_it_expects,
    a_reader_is_spared_what_it_knows,
    blobs_are_kept_by_name,
    what_is_put_again_is_not_dropped,
    logs_of_two_keys_are_apart,
    a_log_is_read_from_any_place_and_followed,
    an_absent_bus_is_said_and_not_waited_for,
    what_was_missed_in_an_outage_comes_after_it,
]
"""The whole suite."""
