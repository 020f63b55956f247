"""Private files and the lock of a data directory."""

from __future__ import annotations

import os
import stat

import pytest

from quantum.service.private import DataDirInUse, DataDirLock, make_private_dir, write_private


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_directory_that_was_open_is_closed(tmp_path):
    path = tmp_path / "a" / "b"
    path.mkdir(parents=True, mode=0o755)
    make_private_dir(path)
    assert mode(path) == 0o700


def test_a_file_is_replaced_in_one_step_and_private_whatever_was_there(tmp_path):
    path = tmp_path / "d" / "secret"
    write_private(path, b"one")
    path.chmod(0o644)
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert mode(path) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["secret"]


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    path = tmp_path / "secret"
    write_private(path, b"one")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"two")
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


def test_one_holder_per_room(tmp_path):
    first, second = DataDirLock(tmp_path, ["edge"]), DataDirLock(tmp_path, ["edge", "admin"])
    first.acquire()
    with pytest.raises(DataDirInUse, match=f"edge already runs .*process {os.getpid()}"):
        second.acquire()
    third = DataDirLock(tmp_path, ["admin"])
    third.acquire()  # the refused one let go of what it had
    first.release()
    first.release()
    third.release()
    second.acquire()
    second.release()
