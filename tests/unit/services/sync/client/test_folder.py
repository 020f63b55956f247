"""The folder never overwrites, or deletes, what it has not seen."""

import hashlib

import pytest

from services.sync.client.disk.folder import DISPLACED, DISPLACED_SECONDS, INCOMING, LocalChanged
from tests.unit.services.sync.client.conftest import write


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def incoming(folder, disk, data: bytes) -> str:
    place = f"/{INCOMING}/new"
    write(disk, place[1:], data)
    return place


def test_a_new_file_takes_a_free_name_and_no_other(folder, disk):
    folder.place(incoming(folder, disk, b"new"), "a", None, "", sha(b"new"))
    with pytest.raises(LocalChanged):
        folder.place(incoming(folder, disk, b"newer"), "a", None, "", sha(b"newer"))
    assert disk.files() == {"a": b"new"}
    assert folder.calls.entries(f"/{INCOMING}") == []


def test_a_file_that_was_changed_since_it_was_looked_at_stays(folder, disk):
    write(disk, "a", b"old")
    seen = folder.status("a")
    write(disk, "a", b"edited")
    with pytest.raises(LocalChanged):
        folder.place(incoming(folder, disk, b"new"), "a", seen, sha(b"old"), sha(b"new"))
    with pytest.raises(LocalChanged):
        folder.remove("a", seen, sha(b"old"))
    assert disk.files() == {"a": b"edited"}


def test_a_save_in_the_last_moment_before_the_exchange_stays(folder, disk, monkeypatch):
    write(disk, "a", b"old")
    seen = folder.status("a")
    swap = folder.calls.swap

    def late(one, other):
        if disk.files()["a"] == b"old":
            write(disk, "a", b"saved late")
        swap(one, other)

    monkeypatch.setattr(folder.calls, "swap", late)
    with pytest.raises(LocalChanged):
        folder.place(incoming(folder, disk, b"new"), "a", seen, sha(b"old"), sha(b"new"))
    assert disk.files() == {"a": b"saved late"}


def test_a_program_that_still_has_the_replaced_file_open_loses_nothing(folder, disk):
    write(disk, "a", b"old")
    held = disk.find("/a")
    folder.place(incoming(folder, disk, b"new"), "a", folder.status("a"), sha(b"old"), sha(b"new"))
    folder.sweep(0.0, str)
    held.data = held.durable = b"written late"
    held.modified = disk.stamp()
    back = folder.sweep(DISPLACED_SECONDS + 1, lambda path: path + " copy")
    assert back == ["a copy"]
    assert disk.files() == {"a": b"new", "a copy": b"written late"}


def test_what_was_replaced_and_not_touched_is_gone_after_a_while(folder, disk):
    write(disk, "a", b"old")
    folder.remove("a", folder.status("a"), sha(b"old"))
    assert folder.sweep(0.0, str) == folder.sweep(1.0, str) == []
    assert len(folder.calls.entries(f"/{DISPLACED}")) == 1
    folder.sweep(DISPLACED_SECONDS + 1, str)
    assert folder.calls.entries(f"/{DISPLACED}") == []


def test_a_start_brings_back_what_only_the_dead_process_had(folder, disk):
    write(disk, f"{DISPLACED}/{sha(b'old')}.{sha(b'new')}.t.a.txt", b"never seen")
    write(disk, f"{DISPLACED}/{sha(b'old')}.{sha(b'new')}.u.b.txt", b"old")
    write(disk, f"{DISPLACED}/{sha(b'old')}.{sha(b'new')}.v.c.txt", b"new")
    write(disk, f"{INCOMING}/half", b"hal")
    assert folder.recover(lambda path: "copy of " + path) == ["copy of a.txt"]
    assert disk.files() == {"copy of a.txt": b"never seen"}
    assert folder.calls.entries(f"/{INCOMING}") == []


def test_nothing_is_written_below_what_is_no_directory(folder, disk):
    write(disk, "a", b"a file, or a link")
    with pytest.raises(LocalChanged):
        folder.place(incoming(folder, disk, b"x"), "a/b", None)
    with pytest.raises(LocalChanged):
        folder.make_directory("a/b")


def test_a_directory_with_something_in_it_is_not_removed(folder, disk):
    folder.make_directory("d")
    write(disk, "d/ignored.tmp", b"x")
    with pytest.raises(LocalChanged, match="not synced"):
        folder.remove_directory("d")


def test_the_trash_keeps_what_a_mirror_removes(folder, disk):
    folder.make_directory("d")
    write(disk, "d/a", b"mine")
    folder.remove("d/a", folder.status("d/a"), sha(b"mine"), trash="today")
    assert disk.find("/.quantum/trash/today/d/a").data == b"mine"
