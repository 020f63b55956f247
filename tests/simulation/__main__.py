"""``python -m tests.simulation --histories N``: a long run; failures are shrunk into tests/seeds/."""

import argparse
import sys
import time

from tests.simulation.history import make
from tests.simulation.run import SEEDS, Figures, judge, many, quiet, shrink


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--histories", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--prefix", default="s", help="seeds are PREFIX0, PREFIX1, …")
    parser.add_argument("--processes", type=int)
    args = parser.parse_args()
    quiet()
    total, begun, told = Figures(), time.monotonic(), 0.0
    for figures in many(args.histories, args.prefix, args.first, args.processes):
        total.add(figures)
        for seed in figures.failures:
            history = shrink(make(seed))
            problem = judge(history).problem
            history.save(SEEDS / f"{seed}.json", problem)
            print(
                f"{seed}: {problem} ({len(history.steps)} steps, tests/seeds/{seed}.json)",
                flush=True,
            )
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{total}, {told - begun:.0f} s", flush=True)
    elapsed = time.monotonic() - begun
    print(f"{total}; {elapsed:.0f} s, {total.histories / elapsed:.0f} histories/s")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
