"""The order in which rooms start: what a room needs comes before it, the same way every time."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from quantum.errors import QuantumError
from quantum.modules.spec import Manifest


def start_order(manifests: Iterable[Manifest], rooms: frozenset[str]) -> list[Manifest]:
    """Return the manifests of ``rooms`` in start order; stop in reverse.

    A need that does not run here is not waited for, but what it needs in turn still orders those
    that do. QuantumError for a circle, a room without manifest, or a need nobody knows.
    """
    known = {manifest.room: manifest for manifest in manifests}
    if absent := sorted(rooms - known.keys()):
        names = ", ".join(sorted(known))
        raise QuantumError(f"no such room: {', '.join(absent)} (there are: {names})")
    for manifest in known.values():
        if strange := set(manifest.needs) - known.keys():
            raise QuantumError(f"room {manifest.room} needs unknown rooms: {sorted(strange)}")
    return [known[room] for room in _sorted(known) if room in rooms]


def _sorted(known: dict[str, Manifest]) -> list[str]:
    sorter = TopologicalSorter({room: known[room].needs for room in known})
    try:
        sorter.prepare()
    except CycleError as error:
        raise QuantumError(f"rooms need one another in a circle: {error.args[1]}") from error
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order
