"""The log of a nats-server is read for writes that failed."""

import os
from types import SimpleNamespace

import pytest

from quantum.service.children import write_errors
from quantum.service.children.write_errors import ROOM_BYTES, WriteErrors

LINE = b"[7] [ERR] Filestore [words] Critical write error: write 1.blk: no space left on device\n"


@pytest.fixture
def disk(monkeypatch):
    """Tells how much is free."""
    disk = SimpleNamespace(free=ROOM_BYTES)
    told = lambda path: SimpleNamespace(f_bavail=disk.free, f_frsize=1)  # noqa: E731
    monkeypatch.setattr(os, "statvfs", told)
    return disk


def test_a_server_is_stuck_from_the_line_that_tells_of_it(tmp_path, disk):
    log = tmp_path / "server.log"
    errors = WriteErrors(log)
    assert not errors.look()
    log.write_bytes(b"[7] [INF] Server is ready\n")
    assert not errors.look()
    log.write_bytes(log.read_bytes() + LINE)
    assert errors.look()
    assert errors.look(), "until it is started again"
    errors.forget()
    assert not errors.look()


def test_a_server_is_left_alone_while_its_disk_is_full(tmp_path, disk):
    log = tmp_path / "server.log"
    errors = WriteErrors(log)
    log.write_bytes(LINE)
    disk.free = ROOM_BYTES - 1
    assert not errors.look()
    disk.free = ROOM_BYTES
    assert errors.look()


def test_what_an_earlier_server_told_is_not_of_this_one(tmp_path, disk):
    log = tmp_path / "server.log"
    log.write_bytes(LINE)
    assert not WriteErrors(log).look()


def test_a_log_that_was_rotated_is_read_from_its_beginning(tmp_path, disk):
    log = tmp_path / "server.log"
    log.write_bytes(b"old\n" * 1000)
    errors = WriteErrors(log)
    log.write_bytes(LINE)
    assert errors.look()


def test_of_a_long_log_the_end_is_read(tmp_path, disk, monkeypatch):
    monkeypatch.setattr(write_errors, "MOST_BYTES", len(LINE))
    log = tmp_path / "server.log"
    errors = WriteErrors(log)
    log.write_bytes(b"x" * 10_000 + LINE)
    assert errors.look()
