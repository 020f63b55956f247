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

LATENCY_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
)  # fmt: skip
"""Buckets of request durations: a proxied request takes about a millisecond, a patient client 30 s."""
SIZE_BYTES = (256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20, 256 << 20)
"""Buckets of body sizes."""


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
