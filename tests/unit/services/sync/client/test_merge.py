"""The rules for one path, and what paths do to one another, one by one."""

import pytest

from services.sync.client.planning.actions import SMALL
from services.sync.client.planning.merge import decide
from services.sync.client.planning.model import DIRECTORY, Mode, Node
from services.sync.client.planning.names import LONGEST_NAME, conflict_path
from services.sync.client.planning.planner import plan

OLD, MINE, THEIRS = (Node(False, digit * 64, 3) for digit in "123")


def steps(local, remote, synced, mode=Mode.TWO_WAY):
    made = plan(local, remote, synced, client="me", date="2026-01-15 10.30.00", mode=mode)
    return [str(action) for action in made.actions]


@pytest.mark.parametrize(
    ("local", "remote", "synced", "goal"),
    [
        (MINE, OLD, OLD, MINE),
        (OLD, THEIRS, OLD, THEIRS),
        (None, OLD, OLD, None),
        (OLD, None, OLD, None),
        (None, THEIRS, OLD, THEIRS),
        (MINE, None, OLD, MINE),
        (MINE, THEIRS, OLD, THEIRS),
        (MINE, THEIRS, None, THEIRS),
        (MINE, MINE, OLD, MINE),
        (None, None, OLD, None),
        (DIRECTORY, DIRECTORY, None, DIRECTORY),
    ],
)
def test_the_five_rules(local, remote, synced, goal):
    assert decide(local, remote, synced)[1] == goal


def test_a_conflict_keeps_both_and_the_server_keeps_the_name():
    assert steps({"a.md": MINE}, {"a.md": THEIRS}, {"a.md": OLD}) == [
        "keep both: a.md -> a (conflict of me, 2026-01-15 10.30.00).md",
        "upload: a (conflict of me, 2026-01-15 10.30.00).md",
        "download: a.md",
    ]


def test_a_directory_deleted_there_lives_while_something_changed_in_it_here():
    synced = {"d": DIRECTORY, "d/a": OLD, "d/b": OLD}
    local = {**synced, "d/a": MINE}
    assert steps(local, {}, synced) == ["delete here: d/b", "make directory on the server: d", "upload: d/a"]  # fmt: skip


def test_a_renamed_directory_is_one_step_and_a_renamed_file_is_too():
    synced = {"d": DIRECTORY, "d/a": OLD, "d/b": MINE}
    local = {"e": DIRECTORY, "e/a": OLD, "e/b": MINE}
    assert steps(local, synced, synced) == ["move on the server: d -> e"]
    assert steps(synced, local, synced) == ["move here: d -> e"]
    assert steps({"y": OLD}, {"x": OLD}, {"x": OLD}) == ["move on the server: x -> y"]


def test_a_directory_that_was_renamed_and_changed_is_moved_file_by_file():
    synced = {"d": DIRECTORY, "d/a": OLD, "d/b": MINE}
    local = {"e": DIRECTORY, "e/a": OLD, "e/b": THEIRS}
    assert steps(local, synced, synced) == [
        "delete on the server: d/a", "delete on the server: d/b", "delete on the server: d",
        "make directory on the server: e", "upload: e/a", "upload: e/b",
    ]  # fmt: skip


def test_of_two_names_that_differ_by_case_the_server_has_the_right():
    assert steps({"Notes": MINE}, {"notes": THEIRS}, {}) == [
        "keep both: Notes -> Notes (conflict of me, 2026-01-15 10.30.00)",
        "upload: Notes (conflict of me, 2026-01-15 10.30.00)",
        "download: notes",
    ]
    assert steps({"Notes": OLD}, {"notes": OLD}, {"notes": OLD}) == [
        "move on the server: notes -> Notes"
    ]


def test_a_file_here_and_a_directory_there_are_both_kept():
    assert steps({"x": MINE}, {"x": DIRECTORY, "x/a": THEIRS}, {}) == [
        "keep both: x -> x (conflict of me, 2026-01-15 10.30.00)",
        "make directory here: x",
        "upload: x (conflict of me, 2026-01-15 10.30.00)",
        "download: x/a",
    ]


def test_pushing_does_not_overwrite_what_it_has_not_seen():
    made = plan({"a": MINE}, {"a": THEIRS}, {"a": OLD}, client="me", date="", mode=Mode.PUSH)
    assert not made.actions
    assert "a" in made.held


def test_pulling_restores_what_was_deleted_here_and_keeps_what_was_changed():
    assert steps({"b": MINE}, {"a": OLD, "b": OLD}, {"a": OLD, "b": OLD}, Mode.PULL) == [
        "keep both: b -> b (conflict of me, 2026-01-15 10.30.00)",
        "download: a",
        "download: b",
    ]


@pytest.mark.parametrize(
    ("path", "copy"),
    [
        ("a/b.tar.gz", "a/b.tar (conflict of x-y, D).gz"),
        (".profile", ".profile (conflict of x-y, D)"),
        ("name", "name (conflict of x-y, D)"),
    ],
)
def test_names_of_copies(path, copy):
    assert conflict_path(path, "x/y", "D", lambda p: False) == copy
    assert conflict_path(path, "x/y", "D", lambda p: p == copy) == copy.replace("D)", "D 2)")


@pytest.mark.parametrize("path", ["é" * 127, "a" * 250 + ".txt", "a." + "b" * 253])
def test_long_names_have_copies_that_fit(path):
    copy = conflict_path("d/" + path, "client", "2026-01-15 10.30.00", lambda p: False)
    assert len(copy.removeprefix("d/").encode()) <= LONGEST_NAME
    assert "(conflict of client" in copy


def test_small_files_travel_folder_by_folder_and_larger_ones_after_them():
    sizes = {"b/1": SMALL, "a/2": 7, "b/3": 1, "a/large": SMALL + 2, "b/large": SMALL + 1}
    files = {
        path: Node(False, f"{number:064}", size)
        for number, (path, size) in enumerate(sizes.items())
    }
    local = {"a": DIRECTORY, "b": DIRECTORY, **files}
    made = plan(local, {}, {}, client="me", date="")
    assert [a.path for a in made.transfers] == ["a/2", "b/1", "b/3", "b/large", "a/large"]
