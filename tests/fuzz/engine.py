"""Bytes changed at random, for so long or so often: what raised, and what took too long."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from tests.fuzz.targets import Target

SLOW_SECONDS = 0.05
"""One input may cost so much of the processor."""
LONGEST = 4096
KEPT = 200
"""Inputs that are changed further."""
TELLING = [
    b"\0",
    b"\xff",
    b"\r\n",
    b"\n",
    b":",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xfe\xfd",
    b" ",
]


@dataclass
class Outcome:
    """What came of a run."""

    inputs: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_input: bytes = b""


def fuzz(target: Target, seed: int, *, seconds: float = 0.0, inputs: int = 0) -> Outcome:
    """Run ``target`` until the time or the number is used up, or something raised."""
    chance = random.Random(seed)
    pool = list(target.seeds)
    outcome = Outcome()
    end = time.monotonic() + seconds
    while (outcome.inputs < inputs or time.monotonic() < end) and not outcome.failures:
        data = _change(chance, chance.choice(pool), chance.choice(pool))
        outcome.inputs += 1
        began = time.process_time()
        try:
            target.run(data)
        except Exception as error:
            outcome.failures.append(f"{error!r} from {data!r}")
        taken = time.process_time() - began
        if taken > outcome.slowest:
            outcome.slowest, outcome.slowest_input = taken, data
        if chance.random() < 0.05:
            pool.append(data[:LONGEST])
            if len(pool) > KEPT:
                del pool[len(target.seeds)]
    if outcome.slowest > SLOW_SECONDS and _seconds(target, outcome.slowest_input) > SLOW_SECONDS:
        outcome.failures.append(f"{outcome.slowest:.3f} s for {outcome.slowest_input!r}")
    return outcome


def _seconds(target: Target, data: bytes) -> float:
    """Measure again: the first time may have been the collector's."""
    began = time.process_time()
    target.run(data)
    return time.process_time() - began


def _change(chance: random.Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 8])):
        at = chance.randrange(len(changed) + 1)
        kind = chance.randrange(7)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << chance.randrange(8)
        elif kind == 1 and changed:
            changed[at % len(changed)] = chance.randrange(256)
        elif kind == 2:
            del changed[at : at + chance.choice([1, 2, 4, 16])]
        elif kind == 3:
            changed[at:at] = chance.choice(TELLING)
        elif kind == 4:
            changed[at:at] = changed[: chance.randrange(64)] * chance.choice([1, 2, 30])
        elif kind == 5:
            changed[at:] = other[chance.randrange(len(other) + 1) :]
        else:
            changed[at:at] = other
    return bytes(changed[: 4 * LONGEST])
