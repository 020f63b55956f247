"""``python -m tests.fuzz [--seconds N] [TARGET …]``: the parsers that strangers' bytes reach."""

from __future__ import annotations

import argparse
import resource
import sys

from tests.fuzz.engine import fuzz
from tests.fuzz.targets import TARGETS

MOST_KILOBYTES = 512 * 1024

parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", default=[])
parser.add_argument("--seconds", type=float, default=20.0, help="for each target")
parser.add_argument("--seed", type=int, default=0)
given = parser.parse_args()
failed = False
for name in given.targets or TARGETS:
    outcome = fuzz(TARGETS[name], given.seed, seconds=given.seconds)
    failed |= bool(outcome.failures)
    print(
        f"{name}: {outcome.inputs} inputs, the slowest {outcome.slowest * 1000:.1f} ms", flush=True
    )
    print(*outcome.failures, sep="\n", end="\n" if outcome.failures else "")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"at most {peak // 1024} MiB")
sys.exit(failed or peak > MOST_KILOBYTES)
