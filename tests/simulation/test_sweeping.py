"""Contents on the bus: what is named stays, what is not goes, whoever sweeps while others write."""

import pytest
import structlog

from quantum.bus.memory import _MemoryObjects
from tests.simulation.run import quiet
from tests.simulation.sweeping import judge

HISTORIES = 100
"""Some 2 s; ``python -m tests.simulation.sweeping 20000`` judges more."""


@pytest.fixture(autouse=True)
def silence():
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)


def first_failure(first: int) -> str:
    return next(filter(None, (judge(f"ci{n}")[0] for n in range(first, first + 1000))), "")


def test_what_is_named_is_never_swept_and_what_is_not_goes():
    swept = 0
    for number in range(HISTORIES):
        problem, freed = judge(f"ci{number}")
        assert problem == "", f"ci{number}"
        swept += freed
    assert swept > 10 * HISTORIES, "histories in which nothing is swept prove nothing"


def test_a_store_whose_puts_do_not_renew_is_caught(monkeypatch):
    right = _MemoryObjects.put

    async def wrong(self, name, data):
        if name not in self._held:
            await right(self, name, data)

    monkeypatch.setattr(_MemoryObjects, "put", wrong)
    assert "are gone" in first_failure(0)


def test_a_sweep_that_drops_what_was_put_since_is_caught(monkeypatch):
    async def wrong(self, held):
        return self._held.pop(held.name, None) is not None

    monkeypatch.setattr(_MemoryObjects, "drop", wrong)
    assert "are gone" in first_failure(560)
