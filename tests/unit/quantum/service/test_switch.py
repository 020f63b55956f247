"""Changing the configuration in all rooms or in none."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from quantum.errors import ConfigError, QuantumError
from quantum.service.switch import Switch
from quantum.testing.context import make_revision


class Room:
    def __init__(self, name, notes, *, refuses=(), fails_to_commit=False, fails_to_discard=False):
        self.name = name
        self.notes = notes
        self.refuses = refuses
        self.fails_to_commit = fails_to_commit
        self.fails_to_discard = fails_to_discard

    async def prepare(self, revision):
        await asyncio.sleep(0)
        if revision.id in self.refuses:
            raise ConfigError("a.b", "refused")
        self.notes.append(f"{self.name} prepare {revision.id}")
        return Prepared(self, revision.id)


class Prepared:
    def __init__(self, room, id):
        self.room = room
        self.id = id

    def commit(self):
        if self.room.fails_to_commit:
            raise RuntimeError("broken")
        self.room.notes.append(f"{self.room.name} commit {self.id}")

    async def discard(self):
        if self.room.fails_to_discard:
            raise RuntimeError("stuck")
        self.room.notes.append(f"{self.room.name} discard {self.id}")


@pytest.fixture
def notes():
    return []


@pytest.fixture
def broken():
    return []


@pytest.fixture
def switch(broken):
    return Switch(
        lambda document: make_revision(document["id"]),
        metrics=CollectorRegistry(),
        log=structlog.get_logger("test"),
        on_broken=broken.append,
    )


async def test_all_rooms_prepare_before_any_commits(switch, notes):
    switch.use([Room("a", notes), Room("b", notes)])
    await switch.apply(make_revision("1"))
    assert notes == ["a prepare 1", "b prepare 1", "a commit 1", "b commit 1"]
    assert switch.active.id == "1"


async def test_one_refusal_discards_all_and_keeps_the_old_revision(switch, notes):
    switch.use([Room("a", notes), Room("b", notes), Room("c", notes, refuses=("2",))])
    await switch.apply(make_revision("1"))
    del notes[:]
    with pytest.raises(ConfigError, match=r"a\.b: refused"):
        await switch.apply(make_revision("2"))
    assert notes == ["a prepare 2", "b prepare 2", "b discard 2", "a discard 2"]
    assert switch.active.id == "1"


async def test_the_revision_in_force_is_nothing_to_do(switch, notes):
    switch.use([Room("a", notes)])
    await switch.apply(make_revision("1"))
    await switch.apply(make_revision("1"))
    assert notes == ["a prepare 1", "a commit 1"]


async def test_changes_at_the_same_time_come_one_after_the_other(switch, notes):
    switch.use([Room("a", notes), Room("b", notes)])
    await asyncio.gather(*(switch.apply(make_revision(n)) for n in "12"))
    assert notes == [
        f"{room} {step} {n}" for n in "12" for step in ("prepare", "commit") for room in "ab"
    ]


async def test_a_cancelled_change_is_undone(switch, notes):
    switch.use([Room("a", notes), Room("b", notes)])
    change = asyncio.get_running_loop().create_task(switch.apply(make_revision("1")))
    while not notes:
        await asyncio.sleep(0)
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change
    assert notes == ["a prepare 1", "a discard 1"]
    assert switch.active is None
    await switch.apply(make_revision("2"))
    assert switch.active.id == "2"


async def test_a_failing_discard_does_not_hide_the_refusal(switch, notes):
    switch.use(
        [Room("a", notes), Room("b", notes, fails_to_discard=True), Room("c", notes, refuses="1")]
    )
    with capture_logs() as logs, pytest.raises(ConfigError):
        await switch.apply(make_revision("1"))
    assert "a discard 1" in notes
    assert "config_discard_failed" in [entry["event"] for entry in logs]


async def test_a_failing_commit_is_reported_and_the_others_commit(switch, notes, broken):
    switch.use([Room("a", notes, fails_to_commit=True), Room("b", notes)])
    with pytest.raises(QuantumError, match="could not commit"):
        await switch.apply(make_revision("1"))
    assert "b commit 1" in notes
    assert [str(error) for error in broken] == ["broken"]
    assert switch.active is None


async def test_listeners_hear_of_what_was_applied_only(switch, notes):
    heard = []
    switch.on_applied.append(lambda revision: heard.append(revision.id))
    switch.use([Room("a", notes, refuses=("2",))])
    await switch.apply(make_revision("1"))
    with pytest.raises(ConfigError):
        await switch.apply(make_revision("2"))
    assert heard == ["1"]
