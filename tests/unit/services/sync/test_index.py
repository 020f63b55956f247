"""The index: what is committed is seen at once, whatever else is being read."""

import threading

import pytest

from services.sync.rules.operations import created, deleted
from services.sync.rules.tree import Node, ShareTree
from services.sync.share import history
from services.sync.share.index import Index
from services.sync.share.reading import Reader
from tests.unit.services.sync.conftest import make_entry


@pytest.fixture
def index(tmp_path):
    index = Index(tmp_path / "index.db")
    index.reset("log")
    yield index
    index.close()


def record(index, tree, count):
    """Record so many new files; return the last sequence."""
    done = []
    for _ in range(count):
        seq = tree.head + 1
        entry = make_entry(created(Node(f"f{seq}", 0, "", "", False, 0)), op_id=f"op-{seq}")
        done.append((seq, entry, tree.apply(seq, entry.operation)))
    index.record_all(done)
    return tree.head


@pytest.fixture
def paused_reader(index):
    """A thread that stands still in the middle of reading the past, until the test is over."""
    record(index, tree := ShareTree(), 300)
    is_reading, go_on = threading.Event(), threading.Event()

    def pause():
        is_reading.set()
        go_on.wait(20)

    index._read.set_progress_handler(pause, 200)  # called by SQLite as it works
    thread = threading.Thread(target=index.after, args=(0, 300))
    thread.start()
    assert is_reading.wait(20)
    yield tree
    go_on.set()
    thread.join(20)


def test_an_operation_is_found_by_its_id_while_a_thread_reads_the_past(index, paused_reader):
    last = record(index, paused_reader, 1)
    assert [each.seq for each in index.by_ids([f"op-{last}", "unknown"])] == [last]


def test_the_first_sequence_is_known_while_a_thread_reads_the_past(index, paused_reader):
    base = ShareTree()
    base.load(iter([]), {}, 7)
    index.trim(base)
    assert index.first() == 8


def test_the_tree_before_the_operations_comes_with_its_sequence(index, tmp_path):
    assert (index.first(), index.base().head, len(index.base())) == (1, 0, 0)
    record(index, tree := ShareTree(), 3)
    index.trim(tree)
    assert (index.first(), index.base().head, sorted(index.base().nodes)) == (
        4,
        3,
        ["f1", "f2", "f3"],
    )
    again = Index(tmp_path / "index.db")
    assert again.first() == 4
    again.close()


@pytest.fixture
def trimmed_between(index, monkeypatch):
    """An index of five operations that is trimmed to the last one while somebody reads its past."""
    record(index, tree := ShareTree(), 4)
    base = Reader.base

    def base_before_a_trim(self):
        found = base(self)
        index.trim(tree)
        return found

    monkeypatch.setattr(Reader, "base", base_before_a_trim)
    last = ShareTree()
    index.load(last)
    record(index, last, 1)
    return index, last


def test_a_tree_of_the_past_is_whole_though_it_is_trimmed_away_meanwhile(trimmed_between):
    index, _ = trimmed_between
    past = history.tree_at(index, 3)
    assert (past.head, sorted(past.nodes)) == (3, ["f1", "f2", "f3"])
    with pytest.raises(history.Dropped):
        history.tree_at(index, 3)


def test_what_was_deleted_is_found_though_it_is_trimmed_away_meanwhile(trimmed_between):
    index, tree = trimmed_between
    entry = make_entry(deleted("f5"), op_id="gone")
    index.record_all([(6, entry, tree.apply(6, entry.operation))])
    assert [event.path for event in history.deleted_files(index, tree, 10)] == ["f5"]
