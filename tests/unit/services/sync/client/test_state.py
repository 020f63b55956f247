"""What the client remembers is in its database after a commit, and only then."""

from services.sync.client.planning.model import Node
from services.sync.client.state import Event, State

NODE = Node(is_directory=False, hash="1" * 64, size=1)
OTHER = Node(is_directory=False, hash="2" * 64, size=2)


def test_what_was_not_committed_is_not_remembered(tmp_path):
    state = State.open(str(tmp_path / "db"))
    state.set_synced("a", NODE)
    state.commit()
    state.set_synced("a", OTHER)
    state.set_remote("b", OTHER)
    state.set_fact("cursor", "7")
    found = State.open(str(tmp_path / "db"))
    assert (found.synced, found.remote, found.fact("cursor")) == ({"a": NODE}, {}, "")


def test_of_many_changes_of_a_path_the_last_one_is_remembered(tmp_path):
    state = State.open(str(tmp_path / "db"))
    state.set_synced("gone", NODE)
    state.set_synced("back", NODE)
    state.commit()
    for node in (None, OTHER):
        state.set_synced("back", node)
    for node in (OTHER, None):
        state.set_synced("gone", node)
    state.commit()
    assert State.open(str(tmp_path / "db")).synced == {"back": OTHER}


def test_the_journal_tells_of_what_is_not_committed_yet_too(tmp_path):
    state = State.open(str(tmp_path / "db"))
    state.note(Event("t1", "a", "keep both: one", ""))
    state.commit()
    state.note(Event("t2", "a", "keep both: two", ""))
    assert [event.at for event in state.events("a")] == ["t2", "t1"]
    assert [event.at for event in state.conflicts()] == ["t2", "t1"]
    state.close()
    assert [event.at for event in State.open(str(tmp_path / "db")).events()] == ["t2", "t1"]
