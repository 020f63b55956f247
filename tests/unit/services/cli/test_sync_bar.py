"""The progress bar of ``quantum sync``: it speaks of bytes only while bytes travel."""

import io

import pytest

from services.cli.sync.report import progress_on
from services.sync.client.planning.actions import Action, Kind, Plan
from services.sync.client.planning.model import DIRECTORY, Node


class Terminal(io.StringIO):
    """What was written since it was last asked."""

    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    with progress_on(terminal, is_verbose=False) as bar:

        def look():
            terminal.seek(0)
            terminal.truncate()
            bar._bars.refresh()
            return terminal.getvalue()

        yield bar, look


def make_plan(size):
    made = [Action(Kind.REMOTE_MKDIR, f"d{n}", DIRECTORY) for n in range(3)]
    sent = Action(Kind.UPLOAD, "d0/a", Node(is_directory=False, hash="0" * 64, size=size))
    return Plan(directories=made, transfers=[sent])


def test_a_phase_that_moves_no_bytes_shows_its_steps_alone(shown):
    bar, look = shown
    plan = make_plan(3)
    bar.planned(plan)
    said = look()
    assert "4 steps" in said
    assert not any(word in said for word in ("bytes", "?", "/s", "-:--"))
    bar.did(plan.directories[0])
    (task,) = bar._bars.tasks
    assert (task.completed, task.total) == (1, 4)
    assert "bytes" not in look()


def test_bytes_that_travel_are_shown_without_those_that_were_there(shown):
    bar, look = shown
    bar.planned(make_plan(3000))
    bar.spared_bytes(1000)
    bar.moved_bytes(500)
    assert "0.5/2.0 kB" in look()
    bar.spared_bytes(500)
    assert "0.5/1.5 kB" in look()
    bar.planned(Plan(deletions=[Action(Kind.LOCAL_DELETE, "d0/a")]))
    said = look()
    assert "1 step" in said
    assert "kB" not in said
