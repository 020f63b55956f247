"""``python -m bench.sync``: Quantum beside Syncthing, Unison and rclone bisync, the same jobs for all.

first: 10,000 small files · rename: a folder with 10,000 files · edit: one byte of 1 GiB · save: one file
saved until it is on the other side. Each pair has fresh folders; peak memory is that of both sides
together. Programs that are missing are installed from Debian's packages where that is allowed.
"""

import argparse
import datetime
import json
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from bench.sync.jobs import JOBS, Figures
from bench.sync.meters import enter_own_network, raise_loopback
from bench.sync.pairs import PROGRAMS, Pair, Quantum, QuantumLive, QuantumThree, Rclone, Unison
from bench.sync.syncthing import Syncthing
from quantum.testing.debian import has_program

PAIRS: dict[str, type[Pair]] = {
    "quantum": Quantum, "quantum-live": QuantumLive, "quantum-three": QuantumThree,
    "syncthing": Syncthing, "unison": Unison, "rclone": Rclone,
}  # fmt: skip


def measure(name: str, job: str, scratch: Path) -> Figures:
    pair = PAIRS[name](name, scratch / f"{name}-{job}")
    pair.begin()
    try:
        return JOBS[job](pair)
    finally:
        pair.end()
        shutil.rmtree(pair.scratch, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sync", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--jobs", default=",".join(JOBS), help="default: all of them")
    parser.add_argument("--only", default="quantum,quantum-live,syncthing,unison,rclone")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    options = parser.parse_args()
    for program, package in PROGRAMS.items():
        has_program(program, package)
    enter_own_network()
    raise_loopback()
    found: dict[str, dict[str, Figures]] = {}
    for job in options.jobs.split(","):
        for name in options.only.split(","):
            program = name.partition("-")[0]
            if program in PROGRAMS and not shutil.which(program):
                print(f"{job}: {name} is not on this machine", file=sys.stderr)
                continue
            with tempfile.TemporaryDirectory(prefix="q-bench-sync-") as scratch:
                try:
                    figures = measure(name, job, Path(scratch))
                except Exception:  # noqa: BLE001 - the others are measured nevertheless
                    traceback.print_exc()
                    continue
            found.setdefault(job, {})[name] = figures
            told = "  ".join(f"{key} {value:.2f}" for key, value in figures.items())
            print(f"{job:8}{name:15}{told}", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    (options.out / f"sync-{now}.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
