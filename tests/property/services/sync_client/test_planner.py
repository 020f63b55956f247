"""The planner on any three trees: it ends, agrees with itself, loses nothing, and keeps its rules.

One random tree is perturbed twice, as two people would; the plan is carried out on dictionaries that
refuse what a disk or a server would refuse, transfers in any order.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.sync.client.planning.actions import Action, Kind, Plan
from services.sync.client.planning.model import (
    DIRECTORY,
    Mode,
    Node,
    ancestors,
    fold,
    is_below,
    parent_of,
)
from services.sync.client.planning.planner import plan

NAMES = st.sampled_from(["a", "b", "A", "c.txt", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.integers(0, 6).map(lambda n: Node(False, f"{n:064x}", n))
EDITS = st.lists(st.tuples(PATHS, CONTENTS | st.just(DIRECTORY) | st.none() | PATHS), max_size=6)


def put(tree: dict[str, Node], path: str, node: Node | None) -> None:
    """Change a tree as a file system would; what is impossible is left out."""
    above = [tree.get(p) for p in ancestors(path)]
    if any(a is not None and not a.is_directory for a in above):
        return
    clash = next((p for p in tree if p != path and fold(p) == fold(path)), None)
    if node is None:
        for p in [p for p in tree if p == path or is_below(p, path)]:
            del tree[p]
    elif clash is None and not any(
        fold(p) == fold(q) and p != q for p in ancestors(path) for q in tree
    ):
        for p in ancestors(path):
            tree[p] = DIRECTORY
        if not node.is_directory:
            put(tree, path, None)
        if tree.get(path) != DIRECTORY or not node.is_directory:
            tree[path] = node


def rename(tree: dict[str, Node], source: str, to: str) -> None:
    if source not in tree or to in tree or is_below(to, source):
        return
    moved = {p: tree[p] for p in tree if p == source or is_below(p, source)}
    put(tree, source, None)
    for p, node in sorted(moved.items()):
        put(tree, to + p[len(source) :], node)


@st.composite
def trees(draw):
    synced: dict[str, Node] = {}
    for path, node in draw(st.lists(st.tuples(PATHS, CONTENTS | st.just(DIRECTORY)), max_size=8)):
        put(synced, path, node)
    sides = []
    for _ in range(2):
        side = dict(synced)
        for path, change in draw(EDITS):
            if isinstance(change, str):
                rename(side, path, change)
            else:
                put(side, path, change)
        sides.append(side)
    return sides[0], sides[1], synced


def carry_out(made: Plan, local: dict[str, Node], remote: dict[str, Node], shuffled) -> None:
    """Do every step, each with its expectation; AssertionError when one cannot be done."""
    for action in (*made.asides, *made.moves, *made.deletions, *made.directories):
        do(action, local if action.kind.is_local else remote, local)
    for action in shuffled(made.transfers):
        do(action, local if action.kind.is_local else remote, local)


def do(action: Action, side: dict[str, Node], local: dict[str, Node]) -> None:
    path, to = action.path, action.to
    if action.kind in {Kind.LOCAL_ASIDE, Kind.LOCAL_MOVE, Kind.REMOTE_MOVE}:
        assert side[path] == action.expect
        assert to not in side
        if action.kind is Kind.LOCAL_ASIDE:
            for above in ancestors(to):
                side.setdefault(above, DIRECTORY)
        assert not parent_of(to) or side[parent_of(to)].is_directory
        for p in [p for p in side if p == path or is_below(p, path)]:
            side[to + p[len(path) :]] = side.pop(p)
        return
    is_there = action.kind is Kind.LOCAL_MKDIR and side.get(path) == DIRECTORY  # made for a copy
    assert is_there or side.get(path) == action.expect, action
    if action.kind in {Kind.LOCAL_DELETE, Kind.REMOTE_DELETE}:
        assert not any(is_below(p, path) for p in side), action
        del side[path]
        return
    assert not parent_of(path) or side[parent_of(path)].is_directory, action
    if action.kind is Kind.UPLOAD:
        assert local[path] == action.node
    assert action.node is not None
    side[path] = action.node


def contents(*sides: dict[str, Node]) -> set[str]:
    return {node.hash for side in sides for node in side.values() if not node.is_directory}


def make(local, remote, synced, mode=Mode.TWO_WAY) -> Plan:
    return plan(local, remote, synced, client="me", date="2026-01-01 00.00.00", mode=mode)


@settings(max_examples=400, deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_one_round_makes_both_sides_equal_and_the_next_has_nothing_to_do(three, random):
    local, remote, synced = (dict(t) for t in three)
    made = make(local, remote, synced)
    carry_out(made, local, remote, lambda ts: random.sample(ts, len(ts)))
    assert local == remote
    again = make(local, remote, dict(local))
    assert not again
    assert not again.agreed
    assert not make(local, remote, synced), "the record of what was synced may be lost"


@settings(max_examples=400, deadline=None)
@given(trees())
def test_no_edit_is_lost(three):
    local, remote, synced = (dict(t) for t in three)
    edits = {
        side[p].hash
        for side in (local, remote)
        for p in side
        if not side[p].is_directory and side[p] != synced.get(p)
    }
    carry_out(make(local, remote, synced), local, remote, list)
    assert edits <= contents(local)


@settings(max_examples=400, deadline=None)
@given(trees())
def test_nothing_is_invented_and_no_two_names_are_one_on_some_system(three):
    local, remote, synced = (dict(t) for t in three)
    before = contents(local, remote)
    carry_out(make(local, remote, synced), local, remote, list)
    assert contents(local) <= before
    folded = [fold(path) for path in local]
    assert len(folded) == len(set(folded))
    for path in local:
        assert all(local[above].is_directory for above in ancestors(path))


@settings(max_examples=150, deadline=None)
@given(trees())
def test_what_only_one_side_changed_is_what_that_side_has(three):
    local, _, synced = (dict(t) for t in three)
    wanted, remote = dict(local), dict(synced)
    made = make(local, remote, synced)
    carry_out(made, local, remote, list)
    assert local == remote == wanted
    assert not made.asides
    assert all(not action.kind.is_local for action in made.actions)


@settings(max_examples=150, deadline=None)
@given(trees())
def test_the_plan_does_not_depend_on_who_is_asked_first(three):
    local, remote, synced = three
    shuffled = [dict(reversed(list(tree.items()))) for tree in (local, remote, synced)]
    assert make(local, remote, synced).actions == make(*shuffled).actions


@settings(max_examples=150, deadline=None)
@given(trees(), st.sampled_from([Mode.PULL, Mode.MIRROR]))
def test_pulling_never_changes_the_server_and_pushing_never_the_folder(three, mode):
    local, remote, synced = three
    assert all(action.kind.is_local for action in make(local, remote, synced, mode).actions)
    pushed = make(local, remote, synced, Mode.PUSH)
    assert all(not action.kind.is_local for action in pushed.actions)
    overwritten = [a for a in pushed.actions if a.expect is not None]
    assert all(synced.get(a.path) == a.expect for a in overwritten), (
        "only what was seen is replaced"
    )


@settings(max_examples=150, deadline=None)
@given(trees())
def test_a_mirror_is_a_copy(three):
    local, remote, synced = (dict(t) for t in three)
    wanted = dict(remote)
    carry_out(make(local, remote, synced, Mode.MIRROR), local, remote, list)
    assert local == remote == wanted
