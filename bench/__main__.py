"""``make bench``: Quantum beside Caddy and nginx, the same jobs, in one go.

Servers and upstream share one core, the load generator has the other. Rounds are interleaved, so
that a noisy moment hits everybody; medians are taken over rounds. Only ratios mean anything.
"""

import argparse
import datetime
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench.contenders import Contender, caddy, nginx, quantum, upstream
from bench.jobs import BALANCED, H3_NAMES, JOBS, Surroundings, make_site
from bench.load import measure
from quantum.testing.certificates import make_certificates
from quantum.testing.topology import free_port

Figures = dict[str, float | None]
"""One run: units/s (``rps``), ``p50`` and ``p99`` in seconds where the generator tells them, ``cpu_us``."""


def median(rounds: list[Figures], key: str) -> float | None:
    values = [r[key] for r in rounds]
    return None if None in values else statistics.median(values)


def milliseconds(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value * 1e3:9.2f}"


def report(results: dict[str, dict[str, list[Figures]]]) -> dict[str, object]:
    """Print the table; return the medians and ratios: of work done, and of CPU for each unit of it."""
    summary: dict[str, object] = {}
    print(
        f"{'job':34}{'contender':16}{'per s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>9}"
        f"{'x Caddy':>9}{'x nginx':>9}{'CPU/Cad.':>9}"
    )
    for job, contenders in results.items():
        medians = {
            name: {key: median(rounds, key) for key in rounds[0]}
            for name, rounds in contenders.items()
        }
        for name, m in medians.items():
            m["x_caddy"], m["x_nginx"] = (
                m["rps"] / medians[o]["rps"] if o in medians else 0.0 for o in ("caddy", "nginx")
            )
            m["cpu_x_caddy"] = m["cpu_us"] / medians["caddy"]["cpu_us"] if "caddy" in medians else 0
            print(
                f"{job:34}{name:16}{m['rps']:9.0f}{milliseconds(m['p50'])}{milliseconds(m['p99'])}"
                f"{m['cpu_us']:9.1f}{m['x_caddy']:9.2f}{m['x_nginx']:9.2f}{m['cpu_x_caddy']:9.2f}"
            )
        summary[job] = medians
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--jobs", default="", help="only jobs whose name contains this")
    parser.add_argument("--only", default="quantum-all,quantum-split,caddy,nginx")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    options = parser.parse_args()
    wanted = options.only.split(",")
    with tempfile.TemporaryDirectory(prefix="q-bench-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)  # started by root, nginx reads files as nobody
        make_site(scratch / "site")
        certificate, key, _ = make_certificates(scratch, ["localhost", "127.0.0.1", H3_NAMES])
        ports = tuple(free_port() for _ in range(BALANCED))
        around = Surroundings(scratch / "site", certificate, key, ports, scratch)
        makers = {
            "quantum-all": lambda: quantum(around, "all"),
            "quantum-split": lambda: quantum(around, "split"),
            "caddy": lambda: caddy(around),
            "nginx": lambda: nginx(around),
        }
        started = [upstream(around)]
        try:
            for name in wanted:
                started.append(makers[name]())
            results = run(started[1:], options)
        finally:
            for contender in reversed(started):
                contender.stop()
    summary = report(results)
    options.out.mkdir(parents=True, exist_ok=True)
    name = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ.json")
    (options.out / name).write_text(
        json.dumps({"python": sys.version, "medians": summary, "rounds": results}, indent=1)
    )
    return 0


def run(
    contenders: list[Contender], options: argparse.Namespace
) -> dict[str, dict[str, list[Figures]]]:
    results: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for job in (j for j in JOBS if options.jobs in j.name):
        able = [c for c in contenders if job.spoken_by_nginx or c.name != "nginx"]
        for contender in able:
            measure(contender, job, 1, options.connections)  # warm up
        for _ in range(options.rounds):
            for contender in able:
                results[job.name][contender.name].append(
                    measure(contender, job, options.seconds, options.connections)
                )
        print(f"{job.name}: done", file=sys.stderr)
    return results


if __name__ == "__main__":
    sys.exit(main())
