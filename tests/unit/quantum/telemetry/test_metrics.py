"""The metrics every process has."""

from __future__ import annotations

from prometheus_client import generate_latest

from quantum.telemetry.metrics import process_registry


def test_a_process_tells_its_build_and_its_own_use_of_the_machine():
    text = generate_latest(process_registry("1.2.3", frozenset({"proxy", "edge"}))).decode()
    assert 'quantum_build_info{python="3.' in text
    assert 'rooms="edge,proxy",version="1.2.3"} 1.0' in text
    assert "process_cpu_seconds_total" in text
    assert "# TYPE quantum_log_lines_dropped gauge" in text


def test_two_registries_do_not_know_each_other():
    process_registry("1", frozenset())
    process_registry("1", frozenset())
