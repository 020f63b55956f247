"""Metrics: made on the registry that is handed in, named ``quantum_<room>_<what>_<unit>``.

``process_registry`` makes the registry of a process, with what every process tells of itself.
Rooms make their own metrics with prometheus_client's classes and ``registry=context.metrics``.
"""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from quantum.telemetry.log import dropped_lines


def process_registry(version: str, rooms: frozenset[str]) -> CollectorRegistry:
    """Return a registry with the process's own facts: CPU, memory, descriptors, build, log."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    build = Gauge(
        "quantum_build_info", "The running program; always 1", ["version", "python", "rooms"],
        registry=registry,
    )  # fmt: skip
    build.labels(version, platform.python_version(), ",".join(sorted(rooms))).set(1)
    dropped = Gauge(
        "quantum_log_lines_dropped", "Log lines lost because nobody read them", registry=registry
    )
    dropped.set_function(dropped_lines)
    return registry
