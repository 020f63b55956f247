"""Metrics of several processes as one: taken from each, added up, shown on one endpoint.

Counters and histograms add up. So do gauges (connections, memory, descriptors), except those that say
the same of every process or compare: facts of the program, starts, whether something succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

Family = dict[str, Any]
Key = tuple[str, tuple[tuple[str, str], ...]]

CUMULATIVE = frozenset({"counter", "histogram", "summary"})
"""Types whose values only grow: what a process counted stays counted when it ends."""


def take(registry: CollectorRegistry) -> list[Family]:
    """Return the families of a process, as JSON."""
    return [
        {
            "name": family.name,
            "help": family.documentation,
            "type": family.type,
            "samples": [[s.name, s.labels, s.value] for s in family.samples],
        }
        for family in registry.collect()
    ]


def rule_for(name: str) -> Callable[[float, float], float]:
    """Return how two values of the sample ``name`` become one."""
    if name.endswith(
        ("_succeeded", "_successful", "_connected", "_created", "_start_time_seconds")
    ):
        return min
    if name.endswith("_info"):
        return max
    return lambda one, other: one + other


def merge(processes: Iterable[list[Family]]) -> list[Family]:
    """Return the families of several processes as those of one."""
    merged: dict[str, tuple[Family, dict[Key, float]]] = {}
    for families in processes:
        for family in families:
            _, values = merged.setdefault(family["name"], (family, {}))
            for name, labels, value in family["samples"]:
                key = name, tuple(sorted(labels.items()))
                values[key] = rule_for(name)(values[key], value) if key in values else value
    return [
        {**family, "samples": [[name, dict(labels), v] for (name, labels), v in values.items()]}
        for family, values in merged.values()
    ]


def lasting(families: list[Family]) -> list[Family]:
    """Return what is still true of a process that ended: what it counted, not what it held."""
    return [
        {**family, "samples": [s for s in family["samples"] if not s[0].endswith("_created")]}
        for family in families
        if family["type"] in CUMULATIVE
    ]


class Collected:
    """Families in the shape that prometheus_client's encoders ask for."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        for family in self._families:
            metric = Metric(family["name"], family["help"], family["type"])
            for name, labels, value in family["samples"]:
                metric.add_sample(name, labels, value)
            yield metric
