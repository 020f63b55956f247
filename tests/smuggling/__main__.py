"""``python -m tests.smuggling``: changed requests to origins behind Quantum, and the two counts compared."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.smuggling.trial import differences

parser = argparse.ArgumentParser(prog="python -m tests.smuggling", description=__doc__)
parser.add_argument("--count", type=int, default=2000)
parser.add_argument("--first", type=int, default=0, help="the number of the first case")
parser.add_argument("--topology", choices=["all", "split"], default="all")
given = parser.parse_args()
wrong, reached = asyncio.run(
    differences(given.topology, given.count, given.first, has_haproxy=True)
)
print("\n".join(wrong[:20]))
print(f"{given.count} requests for each origin, {reached} reached one, {len(wrong)} differences")
sys.exit(bool(wrong))
