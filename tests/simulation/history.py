"""Histories: what people do and what breaks, made from a seed, replayed from a file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.simulation.world import Rules

NAMES = ("a", "b", "A", "d", "e", "d/a", "d/b", "d/e", "e/a", "d/e/a", "D", "x.txt")


@dataclass
class History:
    """Steps in order: [seconds to wait, kind, client, …]. Everything else follows from the seed."""

    seed: str
    rules: Rules
    steps: list[list[Any]] = field(default_factory=list)

    def save(self, path: Path, problem: str) -> None:
        document = {**asdict(self), "problem": problem}
        path.write_text(json.dumps(document, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "History":
        document = json.loads(path.read_text())
        return cls(document["seed"], Rules(**document["rules"]), document["steps"])


def make(seed: str) -> History:
    """Return the history of a seed."""
    random = Random(seed)
    rules = Rules(
        clients=random.choice((2, 2, 2, 2, 3, 3, 4)),
        replicas=random.choice((1, 1, 2, 3)),
        loss=random.choice((0.0, 0.0, 0.05, 0.2)),
        delay=random.choice((0.001, 0.05, 0.3)),
        skew=random.choice((0.0, 86400.0)),
        power=random.random() < 0.3,
        guard=random.random() < 0.1,
        event_loss=random.choice((0.0, 0.0, 0.3)),
        chunks=random.random() < 0.3,
        many=random.random() < 0.6,
    )
    history = History(seed, rules)
    for number in range(random.randint(3, 14)):
        pause = random.choice((0.0, 0.0, 0.02, 0.1, 0.5, 2.0))
        history.steps.append([pause, *step(random, number, rules)])
    return history


def step(random: Random, number: int, rules: Rules) -> list[Any]:
    client = random.randrange(rules.clients)
    name, other = random.choice(NAMES), random.choice(NAMES)
    kind = random.choices(
        ("write", "save", "delete", "move", "mkdir", "crash", "cut", "heal", "replica", "unmount", "trim"),
        (30, 10, 12, 12, 5, 14, 5, 5, 4, 2, 2),
    )[0]  # fmt: skip
    if kind in {"write", "save"}:
        content = f"{number}-{name}" if random.random() < 0.9 else "the same"
        return [kind, client, name, content]
    if kind == "move":
        return [kind, client, name, other]
    if kind in {"delete", "mkdir"}:
        return [kind, client, name]
    if kind == "crash":
        return [kind, client, random.choice((0, random.randint(1, 40), random.randint(1, 200)))]
    if kind == "replica":
        return [kind, random.randrange(rules.replicas)]
    return [kind, client]
