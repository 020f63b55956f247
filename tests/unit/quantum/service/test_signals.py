"""What signals ask of a process."""

from __future__ import annotations

import signal

import pytest
import structlog

from quantum.service.signals import EXIT_FORCED, Signals


@pytest.fixture
def heard():
    return []


@pytest.fixture
def signals(heard):
    return Signals(
        lambda name: heard.append(f"stop {name}"),
        lambda: heard.append("reload"),
        structlog.get_logger("test"),
        quit=lambda code: heard.append(f"quit {code}"),
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_stops_with_grace_and_the_second_at_once(signals, heard, number):
    signals.receive(number)
    signals.receive(signal.SIGINT)
    assert heard == [f"stop {number.name}", f"quit {EXIT_FORCED}"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_reload_neither_stops_nor_counts_as_a_first_signal(signals, heard, number):
    signals.receive(number)
    signals.receive(signal.SIGTERM)
    assert heard == ["reload", "stop SIGTERM"]


def test_quit_asks_nobody(signals, heard):
    signals.receive(signal.SIGQUIT)
    assert heard == [f"quit {EXIT_FORCED}"]
