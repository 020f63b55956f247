"""Noticing that a file changed."""

from __future__ import annotations

import asyncio
import os

import pytest

from quantum.service.watching import watch_file
from quantum.testing.clock import ManualClock


@pytest.fixture
async def watched(tmp_path):
    path, clock, changes = tmp_path / "q.json", ManualClock(), []
    path.write_text("one")

    async def note():
        changes.append(path.read_text())

    task = asyncio.get_running_loop().create_task(watch_file(path, clock, note))
    await clock.advance(1)
    yield path, clock, changes
    task.cancel()


async def test_a_new_content_is_told_once(watched):
    path, clock, changes = watched
    path.write_text("two!")
    await clock.advance(3)
    assert changes == ["two!"]


async def test_a_touched_file_is_no_change(watched):
    path, clock, changes = watched
    os.utime(path, (1, 1))
    await clock.advance(3)
    assert changes == []


async def test_a_file_that_is_replaced_is_a_change_and_its_absence_none(watched):
    path, clock, changes = watched
    path.unlink()
    await clock.advance(2)
    assert changes == []
    path.write_text("new!")
    await clock.advance(2)
    assert changes == ["new!"]


async def test_the_same_size_within_one_tick_of_the_file_system_is_seen_by_its_inode(watched):
    path, clock, changes = watched
    status = path.stat()
    other = path.with_name("other")
    other.write_text("two")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    await clock.advance(2)
    assert changes == ["two"]
