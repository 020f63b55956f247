"""The contract of the sync client, on thousands of generated histories; and every one that ever failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.sync.client.planning import merge as merge_module
from services.sync.client.planning.actions import Kind
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica as Local
from services.sync.client.steps import Steps
from tests.simulation.disk import SimulatedCalls
from tests.simulation.history import History, make
from tests.simulation.run import SEEDS, Figures, digest, judge, many, quiet, shrink

ROOT = Path(__file__).parents[2]
HISTORIES = 1000
"""In `make test`: some 20 s of two cores. `python -m tests.simulation` runs as many as wanted."""


@pytest.fixture(autouse=True)
def silence():
    quiet()


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


def first_failure(limit: int = 2000) -> str:
    """Return what the first history that fails says; "" when none does."""
    return next(filter(None, (judge(make(f"s{n}")).problem for n in range(limit))), "")


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


def test_a_failing_history_is_shrunk_and_replayed_from_its_file(monkeypatch, tmp_path):
    monkeypatch.setattr(merge_module._Merge, "_give_way", lambda *_: None)
    failing = next(h for n in range(50) if judge(h := make(f"s{n}")).problem)
    small = shrink(failing)
    assert len(small.steps) < len(failing.steps)
    small.save(tmp_path / "x.json", "lost")
    assert judge(History.load(tmp_path / "x.json")).problem
