"""The contract of the sync client, on thousands of generated histories; and every one that ever failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from services.sync.client.disk.folder import LocalFolder
from services.sync.client.planning import merge as merge_module
from services.sync.client.planning.actions import Kind
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica as Local
from services.sync.client.steps import Steps
from services.sync.client.transfers.temporary import Temporary
from tests.simulation.disk import SimulatedCalls
from tests.simulation.history import History, make
from tests.simulation.run import (
    SEEDS,
    Figures,
    digest,
    judge,
    killed_everywhere,
    many,
    quiet,
    shrink,
)
from tests.simulation.server import Truth
from tests.simulation.world import Rules

ROOT = Path(__file__).parents[2]
HISTORIES = 1000
"""In `make test`: some 20 s of two cores. `python -m tests.simulation` runs as many as wanted."""


@pytest.fixture(autouse=True)
def silence():
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_and_all_become_equal_in_generated_histories():
    total = Figures()
    for figures in many(HISTORIES, "ci"):
        total.add(figures)
    assert total.failures == {}, "python -m tests.simulation --prefix ci shrinks them"
    assert total.histories == HISTORIES
    assert total.operations > 4 * HISTORIES, "histories in which nothing happens prove nothing"
    print(total)


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*.json")), ids=lambda p: p.stem)
def test_a_history_that_failed_once_passes(path):
    assert judge(History.load(path)).problem == ""


def test_one_seed_is_one_history_whatever_the_hash_seed():
    code = (
        "from tests.simulation.run import *; quiet();"
        "print([digest(judge(make(f's{n}'))) for n in range(12)])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert digest(judge(make("s1"))) != digest(judge(make("s2")))


def first_failure(limit: int = 4000, first: int = 800) -> str:
    """Return what the first history that fails says; "" when none does."""
    numbers = range(first, first + limit)
    return next(filter(None, (judge(make(f"s{n}")).problem for n in numbers)), "")


def test_a_client_that_lets_deletes_win_is_caught(monkeypatch):
    right = merge_module.decide

    def wrong(local, remote, synced):
        rule, goal = right(local, remote, synced)
        return rule, None if "the edit wins" in rule else goal

    monkeypatch.setattr(merge_module, "decide", wrong)
    assert first_failure().startswith("lost")


def test_a_client_that_keeps_no_copy_of_what_it_replaces_is_caught(monkeypatch):
    monkeypatch.setattr(merge_module._Merge, "_give_way", lambda *_: None)
    assert first_failure().startswith("lost")


def test_a_client_that_does_not_sync_files_before_it_names_them_is_caught(monkeypatch):
    monkeypatch.setattr(SimulatedCalls, "sync", lambda self, descriptor: self._disk.sync())
    assert first_failure()


def test_a_client_that_records_before_it_writes_is_caught(monkeypatch):
    right = Steps.do

    async def wrong(self, action):
        if action.kind is Kind.DOWNLOAD:
            self._replica._state.set_synced(action.path, action.node)
            self._replica._state.commit()
        await right(self, action)

    monkeypatch.setattr(Steps, "do", wrong)
    assert first_failure()


def test_a_client_that_takes_operations_out_of_order_is_caught(monkeypatch):
    def apply(self, change):
        self._apply(change)
        return True

    monkeypatch.setattr(RemoteView, "apply", apply)
    assert first_failure()


def test_a_client_that_believes_an_empty_mount_is_caught(monkeypatch):
    async def believe(self):
        return None

    monkeypatch.setattr(Local, "check_marker", believe)
    assert first_failure()


def test_a_client_that_forgets_what_it_expects_on_the_server_is_caught(monkeypatch):
    right = Truth.put

    def blind(self, path, node, data, expect, client):
        return right(self, path, node, data, self.tree.get(path), client)

    monkeypatch.setattr(Truth, "put", blind)
    assert first_failure()


def test_a_client_that_replaces_what_it_did_not_look_at_is_caught(monkeypatch):
    def blind(self, temporary, path, expect, hashes):
        place = self._displaced_place(hashes, path)
        self.calls.rename_new(temporary, place)
        self._swap(place, path)
        return place

    monkeypatch.setattr(LocalFolder, "_check", lambda *_: None)
    monkeypatch.setattr(LocalFolder, "_exchange", blind)
    monkeypatch.setattr(LocalFolder, "sweep", lambda *_: [])
    assert first_failure()


def test_a_client_that_names_many_files_before_they_are_durable_is_caught(monkeypatch):
    monkeypatch.setattr(SimulatedCalls, "sync_all", lambda self, path: self._disk.sync())
    names = ("a", "b", "x.txt", "d/a", "d/b")
    writes = [[0.0, "write", 1, name, f"what {name} says"] for name in names]
    steps = [[0.0, "cut", 0], *writes, [2.0, "heal", 0]]
    rules = Rules(power=True, many=True)
    assert killed_everywhere(History("together", rules, steps))[1]


def test_a_client_that_trusts_the_rest_of_a_broken_download_is_caught(monkeypatch):
    def trust(self, digest=None):
        self._calls.sync(self._descriptor)
        self.close()
        return self.place.rpartition("/")[2].removesuffix(".part"), self.size

    monkeypatch.setattr(Temporary, "finish", trust)
    assert first_failure()


@pytest.mark.parametrize("rules", [Rules(), Rules(power=True, chunks=True), Rules(many=True)])
def test_a_client_may_die_at_every_system_call_and_every_answer(rules):
    steps = [
        [0.0, "write", 0, "a", "first"],
        [0.0, "save", 1, "d/b", "second"],
        [1.0, "write", 1, "a", "third"],
        [0.0, "move", 0, "d", "e"],
        [0.5, "delete", 1, "d/b"],
        [0.0, "save", 0, "x.txt", "fourth"],
    ]
    points, problem = killed_everywhere(History("everywhere", rules, steps))
    assert problem == ""
    print(f"killed at each of {points} points")
    assert points > 60


def test_a_failing_history_is_shrunk_and_replayed_from_its_file(monkeypatch, tmp_path):
    monkeypatch.setattr(merge_module._Merge, "_give_way", lambda *_: None)
    failing = next(h for n in range(50) if judge(h := make(f"s{n}")).problem)
    small = shrink(failing)
    assert len(small.steps) < len(failing.steps)
    small.save(tmp_path / "x.json", "lost")
    assert judge(History.load(tmp_path / "x.json")).problem
