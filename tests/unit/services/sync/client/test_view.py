"""What is believed of the server, whatever order answers and operations come in."""

import sqlite3

import pytest

from services.sync.client.planning.model import DIRECTORY, Node
from services.sync.client.remote.api import Change, Listing
from services.sync.client.remote.view import RemoteView
from services.sync.client.state import Event, State, StateBroken

ONE, TWO = Node(False, "1" * 64, 1), Node(False, "2" * 64, 1)


@pytest.fixture
def state():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield State(connection)
    connection.close()


@pytest.fixture
def view(state):
    view = RemoteView(state, "me", lambda path, node: True)
    view.replace(Listing({"d/a": ONE}, 10, "log"))
    return view


def test_a_listing_has_every_directory(view):
    assert view.tree == {"d": DIRECTORY, "d/a": ONE}


def test_an_operation_is_applied_once_and_only_in_its_turn(view):
    assert view.apply(Change("x", ONE, seq=11))
    assert view.apply(Change("x", None, seq=11)), "again: no effect"
    assert not view.apply(Change("y", ONE, seq=13)), "12 is missing"
    assert view.tree == {"d": DIRECTORY, "d/a": ONE, "x": ONE}
    assert view.cursor == 11


def test_our_own_answer_stands_until_the_log_has_told_of_it(view):
    view.wrote("d/a", TWO, 12)
    view.apply(Change("d/a", None, seq=11))
    assert view.tree["d/a"] == TWO, "deleted before our write in the log: no matter"
    assert view.awaited == 12
    view.apply(Change("d/a", TWO, seq=12))
    assert view.awaited == 0
    view.apply(Change("d/a", ONE, seq=13))
    assert view.tree["d/a"] == ONE


def test_what_our_answers_told_in_a_row_need_not_be_read_in_the_log(view):
    view.wrote("b", TWO, 12, "log")
    assert (view.cursor, view.awaited) == (10, 12), "11 is not ours"
    view.apply(Change("b", ONE, seq=11))
    assert view.tree["b"] == TWO
    view.wrote("c", ONE, 13, "log")
    assert (view.cursor, view.awaited) == (13, 0)
    assert view.tree == {"d": DIRECTORY, "d/a": ONE, "b": TWO, "c": ONE}


def test_answers_in_any_order_make_a_row(view):
    for seq, path in ((13, "c"), (11, "a"), (12, "b")):
        view.wrote(path, ONE, seq, "log")
    assert (view.cursor, view.awaited) == (13, 0)
    assert not view.apply(Change("x", ONE, seq=15)), "14 is missing"
    assert view.apply(Change("a", TWO, seq=12)), "heard already"
    assert view.tree["a"] == ONE


def test_what_an_answer_of_another_log_told_is_read_again(view):
    view.wrote("a", ONE, 11, "other")
    assert (view.cursor, view.awaited) == (10, 11)
    view.wrote("b", ONE, 12, "log")
    view.replace(Listing({"x": TWO}, 11, "new"))
    assert view.cursor == 11, "what the old log had at 12 is not what the new one has"


def test_our_own_move_and_what_came_before_it_in_the_log(view):
    view.moved("d", "e", 12)
    assert view.tree == {"e": DIRECTORY, "e/a": ONE}
    view.apply(Change("d/new", TWO, seq=11))
    view.apply(Change("e", DIRECTORY, "d", 12))
    assert view.tree == {"e": DIRECTORY, "e/a": ONE, "e/new": TWO}


def test_an_older_listing_of_a_replica_that_lags_is_ignored(view):
    view.replace(Listing({}, 9, "log"))
    assert view.tree
    view.replace(Listing({}, 1, "another log"))
    assert view.tree == {}


def test_operations_that_come_while_a_listing_is_on_its_way_are_applied_after_it(view):
    view.expect_listing()
    view.apply(Change("x", ONE, seq=11))
    view.apply(Change("y", ONE, seq=12))
    view.replace(Listing({"d": DIRECTORY}, 11, "log"))
    assert view.tree == {"d": DIRECTORY, "y": ONE}


def test_a_server_without_a_log_is_believed_as_it_speaks(state):
    view = RemoteView(state, "me", lambda path, node: True)
    view.replace(Listing({"a": ONE}))
    view.wrote("b", TWO, 0)
    view.apply(Change("b", None, client="me"))
    view.apply(Change("a", None, client="other"))
    assert view.tree == {"b": TWO}
    assert not view.has_cursor


def test_an_operation_on_an_impossible_name_only_takes_its_place(view):
    assert view.apply(Change("", None, seq=11))
    assert (view.cursor, len(view.tree)) == (11, 2)


def test_the_state_survives_a_restart_up_to_the_last_commit(tmp_path):
    place = str(tmp_path / "client.db")
    state = State.open(place)
    state.set_synced("a", ONE)
    state.note(Event("now", "a", "keep both: a -> b", "rule"))
    state.commit()
    state.set_synced("a", TWO)
    again = State.open(place)
    assert again.synced == {"a": ONE}
    assert again.conflicts()[0].path == "a"
    state.close()
    assert State.open(place).synced == {"a": TWO}


def test_a_file_that_is_no_database_is_told_with_a_remedy(tmp_path):
    (tmp_path / "client.db").write_bytes(b"not a database, certainly" * 100)
    with pytest.raises(StateBroken, match="remove it"):
        State.open(str(tmp_path / "client.db"))


def restarted(state):
    state.commit()
    return RemoteView(State(state._connection), "me", lambda path, node: True)


def test_what_an_earlier_process_wrote_must_be_read_before_anything_is_planned(view, state):
    view.wrote("b", TWO, 12)
    assert not view.lags, "its own answers still stand"
    again = restarted(state)
    assert (again.cursor, again.lags) == (10, True), "b would look deleted there"
    again.apply(Change("a", ONE, seq=11))
    assert again.lags
    again.apply(Change("b", TWO, seq=12))
    assert not again.lags


def test_a_listing_that_is_asked_for_anew_must_reach_as_far_as_was_known(view, state):
    view.apply(Change("b", TWO, seq=11))
    state.set_fact("log", "")  # as after a change of the patterns
    again = restarted(state)
    assert not again.has_cursor
    again.replace(Listing({"d/a": ONE}, 10, "log"))
    assert again.lags
    again.replace(Listing({"d/a": ONE, "b": TWO}, 11, "log"))
    assert not again.lags


def test_another_log_owes_nothing_to_the_one_before(view, state):
    view.wrote("b", TWO, 12)
    again = restarted(state)
    again.replace(Listing({"x": TWO}, 3, "new"))
    assert not again.lags
    assert not restarted(again._state).lags
