"""Small contents that were read by a look are sent without being read again, if they are still the same."""

import pytest

from services.sync.client.disk import kept
from services.sync.client.disk.folder import LocalChanged
from services.sync.client.disk.patterns import Patterns
from services.sync.client.disk.scanner import Scanner
from services.sync.client.planning.model import Node
from services.sync.client.transfers.lists import Cutting
from services.sync.client.transfers.uploads import Uploads
from tests.unit.services.sync.client.conftest import write


class _Replica:
    def __init__(self, folder):
        self.folder = folder


@pytest.fixture
def look(folder, disk):
    """Return a function that looks at everything, and returns nodes by path."""
    scanner = Scanner(folder, Patterns(), disk.stamp, {}, Cutting())
    return lambda: scanner.scan({}).tree


@pytest.fixture
def opened(folder, monkeypatch):
    """Return the paths that are opened from now on."""
    paths, before = [], folder.calls.open

    def noted(path):
        paths.append(path)
        return before(path)

    monkeypatch.setattr(folder.calls, "open", noted)
    return paths


@pytest.fixture
def read(folder):
    return Uploads(_Replica(folder), None, None, None, None, None).read


def test_a_file_is_read_once_to_be_hashed_and_sent(folder, disk, look, opened, read):
    write(disk, "a", b"content")
    node = look()["a"]
    assert read("a", node) == b"content"
    assert opened == ["/a"]
    assert read("a", node) == b"content"  # a second time: what was kept is gone
    assert opened == ["/a", "/a"]


def test_what_was_written_since_the_look_is_not_taken_for_what_was_seen(disk, look, read):
    write(disk, "a", b"before")
    node = look()["a"]
    write(disk, "a", b"after!")
    with pytest.raises(LocalChanged):
        read("a", node)


def test_what_is_kept_is_sent_for_its_own_hash_alone(disk, look, read):
    write(disk, "a", b"content")
    look()
    with pytest.raises(LocalChanged):
        read("a", Node(is_directory=False, hash="0" * 64, size=7))


def test_what_the_clock_cannot_tell_from_a_later_write_is_read_again(folder, disk, opened, read):
    write(disk, "a", b"content")
    now = disk.find("/a").modified
    node = Scanner(folder, Patterns(), lambda: now, {}, Cutting()).scan({}).tree["a"]
    assert read("a", node) == b"content"
    assert opened == ["/a", "/a"]


def test_beyond_the_budget_files_are_read_again(disk, look, opened, read, monkeypatch):
    monkeypatch.setattr(kept, "BUDGET", 2 * (kept.OVERHEAD + 7))
    for name in "abc":
        write(disk, name, b"content")
    found = look()
    for name in "abc":
        assert read(name, found[name]) == b"content"
    assert opened == ["/a", "/b", "/c", "/c"]
