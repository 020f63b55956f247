"""``python -m tests.autobahn``: all 517 cases, directly and each way through the platform (half an hour)."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.autobahn.run import better, verdicts, ways, worse

SECONDS = 1200.0
"""For one run: five minutes on a quiet machine."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topology", action="append", choices=["all", "split"])
    parser.add_argument("--only", action="append", default=[], help="cases, as 12.1.*")
    parser.add_argument("--exclude", action="append", default=[], help="cases, as 9.*")
    options = parser.parse_args()
    bad = 0
    with ways(tuple(options.topology or ("all", "split"))) as ports:
        direct = None
        print(f"{'way':12} {'cases':>5} {'same':>5} {'better':>6} {'worse':>5}")
        for name, port in ports.items():
            with tempfile.TemporaryDirectory() as folder:
                found = verdicts(
                    port, Path(folder), tuple(options.exclude), SECONDS, tuple(options.only)
                )
            direct = direct or found
            lost, gained = worse(direct, found), better(direct, found)
            bad += len(lost)
            same = len(direct) - len(lost) - len(gained)
            print(f"{name:12} {len(found):5} {same:5} {len(gained):6} {len(lost):5}")
            for line in lost:
                print(f"    {line}")
            sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
