"""Many histories on all cores, and the smallest form of one that fails."""

import hashlib
import logging
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from tests.simulation import oracle
from tests.simulation.history import History, make
from tests.simulation.loop import VirtualLoop

SEEDS = Path(__file__).parents[1] / "seeds"
CHUNK = 25
"""Histories in one go of one process: they share an event loop."""


@dataclass
class Figures:
    histories: int = 0
    operations: int = 0
    actions: int = 0
    seconds: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Figures") -> None:
        self.histories += other.histories
        self.operations += other.operations
        self.actions += other.actions
        self.seconds += other.seconds
        self.failures |= other.failures

    def __str__(self) -> str:
        return (
            f"{self.histories} histories, {self.operations} operations in the logs, "
            f"{self.actions} steps of clients, {self.seconds / 86400:.1f} virtual days, "
            f"{len(self.failures)} failures"
        )


def quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def judge(history: History) -> oracle.Verdict:
    """Play a history; whatever it raises is a failure too."""
    loop = VirtualLoop()
    try:
        return oracle.run(history, loop)
    except Exception as error:
        return oracle.Verdict(f"raised {error!r}")
    finally:
        loop.close()


def digest(verdict: oracle.Verdict) -> str:
    """Return what two plays of one history must have in common."""
    return hashlib.sha256(repr(verdict).encode()).hexdigest()


def killed_everywhere(history: History, client: int = 0, most: int = 1000) -> tuple[int, str]:
    """Play a history again and again, the client dying at its first, second, third … point.

    A point is a system call, a request, its answer, a commit, or a step into a thread. Returns how many
    there were, and what the first play that failed says.
    """
    for number in range(most):
        step = [0.0, "crash", client, number]
        verdict = judge(replace(history, steps=[step, *history.steps]))
        if verdict.problem:
            return number, f"killed at point {number}: {verdict.problem}"
        if not verdict.crashes:
            return number, ""
    return most, ""


def chunk(numbers: range, prefix: str) -> Figures:
    """Play some histories in this process."""
    quiet()
    figures = Figures()
    for number in numbers:
        history = make(f"{prefix}{number}")
        verdict = judge(history)
        figures.add(Figures(1, verdict.operations, verdict.actions, verdict.seconds))
        if verdict.problem:
            figures.failures[history.seed] = verdict.problem
    return figures


def many(
    count: int, prefix: str, first: int = 0, processes: int | None = None
) -> Iterator[Figures]:
    """Yield figures of chunks as they are done."""
    numbers = range(first, first + count)
    chunks = [numbers[i : i + CHUNK] for i in range(0, count, CHUNK)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes or os.cpu_count(), context) as pool:
        yield from pool.map(chunk, chunks, [prefix] * len(chunks))


def shrink(history: History, attempts: int = 400) -> History:
    """Return a shorter history with the same kind of failure: fewer steps, no pauses, fewer faults."""
    kind = judge(history).problem.partition(":")[0]

    def still_fails(candidate: History) -> bool:
        nonlocal attempts
        attempts -= 1
        return attempts > 0 and judge(candidate).problem.partition(":")[0] == kind

    size = max(1, len(history.steps) // 2)
    while size:
        for start in range(0, len(history.steps), size):
            candidate = replace(
                history, steps=history.steps[:start] + history.steps[start + size :]
            )
            if still_fails(candidate):
                history = candidate
                break
        else:
            size //= 2
    plain = {
        "loss": 0.0,
        "skew": 0.0,
        "power": False,
        "guard": False,
        "event_loss": 0.0,
        "delay": 0.001,
        "chunks": False,
        "many": False,
    }
    for name, value in plain.items():
        candidate = replace(history, rules=replace(history.rules, **{name: value}))
        if getattr(history.rules, name) != value and still_fails(candidate):
            history = candidate
    return history
