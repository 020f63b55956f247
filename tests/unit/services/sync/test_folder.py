"""The folder on the server: what is opened once for many steps, and what was seen of it."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sync.content.directory import ChunkDirectory
from services.sync.disk.folder import Folder
from services.sync.disk.plain import PlainDirectory
from services.sync.disk.seen import Seen, SeenTable
from services.sync.disk.survey import Survey, _outermost
from services.sync.rules.tree import Node

FILE = Seen("h", 1, 1, 1, is_directory=False)
PATHS = st.lists(st.sampled_from(["a", "b", "a b", "c-"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(st.tuples(st.booleans(), PATHS), max_size=60), PATHS)
def test_what_is_below_a_directory_is_what_begins_with_its_name(steps, asked):
    table = SeenTable()
    for is_noted, path in steps:
        if is_noted:
            table.note(path, FILE)
        else:
            table.forget(path)
        for top in ("", asked):
            prefix = f"{top}/" if top else ""
            wanted = sorted(p for p in table.paths if p.startswith(prefix))
            assert sorted(table.below(top)) == wanted


@given(st.lists(PATHS | st.just(""), max_size=30))
def test_the_outermost_paths_cover_all_others_and_none_of_each_other(paths):
    kept = _outermost(paths)
    covered = lambda path, top: not top or path == top or path.startswith(f"{top}/")  # noqa: E731
    assert all(any(covered(path, top) for top in kept) for path in paths)
    assert not any(one != other and covered(one, other) for one in kept for other in kept)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = Folder(str(tmp_path))
    assert folder.open_store()
    folder.opened = 0
    opens = folder._open_directory

    def count(path):
        folder.opened += 1
        return opens(path)

    monkeypatch.setattr(folder, "_open_directory", count)
    return folder


def place(folder, path, data=b"x"):
    name, descriptor = folder.create_temporary()
    os.write(descriptor, data)
    os.close(descriptor)
    folder.place(name, path)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_directory_is_opened_once_while_much_is_done_below_it(folder):
    folder.make_directories("d/e")
    folder.opened = 0
    with folder.holding():
        for number in range(100):
            place(folder, f"d/e/{number}")
            assert folder.stat(f"d/e/{number}") is not None
    assert folder.opened == 2  # it, and where temporary files are
    held = descriptors()
    with folder.holding():
        place(folder, "d/e/more")
    assert descriptors() == held


def test_a_directory_that_was_moved_is_not_taken_for_the_one_that_has_its_name_now(folder):
    folder.make_directories("old")
    with folder.holding():
        place(folder, "old/first")
        folder.move("old", "new")
        folder.make_directories("old")
        place(folder, "old/second")
        folder.remove("old/second")
        folder.remove("old")
        folder.make_directories("old")
        place(folder, "old/third")
    assert [path for path, _ in folder.scan()] == ["new", "new/first", "old", "old/third"]


def test_more_directories_than_may_be_held_are_still_reached(folder):
    with folder.holding():
        for number in range(200):
            folder.make_directories(f"d{number}")
            place(folder, f"d{number}/file")
    assert len(dict(folder.scan())) == 400


def test_a_look_at_many_files_opens_each_directory_once(folder, tmp_path):
    seen = SeenTable()
    paths = [f"d{number % 7}/f{number}" for number in range(700)]
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
        status = (tmp_path / path).stat()
        seen.note(path, Seen("h", status.st_mtime_ns, 1, status.st_ino, is_directory=False))
    chunks = ChunkDirectory(str(tmp_path / ".quantum"))
    findings = Survey(folder, seen, chunks, lambda path: 0.0).look(paths)
    assert (findings.found, findings.is_complete) == ([], True)
    assert folder.opened == 7


def test_a_file_that_came_unseen_to_a_new_name_is_kept_beside_it(folder, tmp_path):
    plain = PlainDirectory(folder, SeenTable(), ChunkDirectory(str(tmp_path / "chunks")))
    (Path(folder.root) / "a").write_bytes(b"somebody's")
    name, descriptor = folder.create_temporary()
    os.write(descriptor, b"ours")
    os.close(descriptor)
    digest = hashlib.sha256(b"ours").hexdigest()
    node = Node("a", 4, digest, "2026-01-15T10:30:00Z", is_directory=False, version=1)
    plain.put_file(node, None, name, lambda path: f"{path} (copy)")
    assert (Path(folder.root) / "a").read_bytes() == b"ours"
    assert (Path(folder.root) / "a (copy)").read_bytes() == b"somebody's"
    assert plain.copies == ["a (copy)"]
    assert plain.seen.paths["a"].hash == digest
