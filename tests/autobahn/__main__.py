"""``python -m tests.autobahn``: all 517 cases, directly and each way through the platform (half an hour)."""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.autobahn.run import verdicts, ways, worse

SECONDS = 1200.0
"""For one run: five minutes on a quiet machine."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topology", action="append", choices=["all", "split"])
    parser.add_argument("--exclude", action="append", default=[], help="cases, as 9.*")
    options = parser.parse_args()
    bad = 0
    with ways(tuple(options.topology or ("all", "split"))) as ports:
        direct = None
        for name, port in ports.items():
            with tempfile.TemporaryDirectory() as folder:
                found = verdicts(port, Path(folder), tuple(options.exclude), SECONDS)
            direct = direct or found
            lost = worse(direct, found)
            bad += len(lost)
            counted = dict(Counter(behaviour for behaviour, _ in found.values()))
            print(f"{name:12} {len(found)} cases {counted}; worse than directly: {len(lost)}")
            for line in lost:
                print(f"    {line}")
            sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
