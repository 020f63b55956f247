"""``make bench``: Quantum beside Caddy and nginx, the same jobs, in one go.

Servers and upstream share one core, the load generator has the other. Rounds are interleaved, so
that a noisy moment hits everybody; medians are taken over rounds. Only ratios mean anything.
"""

import argparse
import datetime
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench.contenders import Contender, caddy, cpu_seconds, nginx, quantum, upstream
from bench.jobs import BALANCED, JOBS, Job, Surroundings, make_site
from quantum.testing.certificates import make_certificates
from quantum.testing.topology import free_port

LOAD_CORE = "1"
POST = Path(__file__).with_name("post.lua")
"""Makes wrk post as many bytes as its argument says."""


def seconds_of(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit]


def measure(contender: Contender, job: Job, seconds: int, connections: int) -> dict[str, float]:
    """Run wrk once; return requests/s, p50, p99 (seconds) and server CPU per request (µs)."""
    port = contender.ports[job.server + ("-tls" if job.tls else "")]
    url = f"{'https' if job.tls else 'http'}://127.0.0.1:{port}{job.path}"
    pids = contender.pids()
    before = cpu_seconds(pids)
    post = ["-s", str(POST), url, "--", str(job.body_bytes)] if job.body_bytes else [url]
    output = subprocess.run(
        ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *post],
        capture_output=True, text=True, check=True, timeout=seconds + 30,
    ).stdout  # fmt: skip
    spent = cpu_seconds(pids) - before
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", output)
    if errors:
        raise RuntimeError(f"{contender.name} {job.name}: {errors.group(0)}")
    total = int(re.search(r"(\d+) requests in", output).group(1))
    return {
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1)),
        "p50": seconds_of(re.search(r"^\s+50%\s+(\S+)", output, re.MULTILINE).group(1)),
        "p99": seconds_of(re.search(r"^\s+99%\s+(\S+)", output, re.MULTILINE).group(1)),
        "cpu_us": spent / max(total, 1) * 1e6,
    }


def report(results: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, object]:
    """Print the table; return the medians and ratios."""
    summary: dict[str, object] = {}
    head = f"{'job':34}{'contender':16}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>9}{'x Caddy':>9}{'x nginx':>9}"
    print(head)
    for job, contenders in results.items():
        medians = {
            name: {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
            for name, rounds in contenders.items()
        }
        for name, m in medians.items():
            ratios = [
                m["rps"] / medians[o]["rps"] if o in medians else 0.0 for o in ("caddy", "nginx")
            ]
            m["x_caddy"], m["x_nginx"] = ratios
            print(
                f"{job:34}{name:16}{m['rps']:9.0f}{m['p50'] * 1e3:9.2f}{m['p99'] * 1e3:9.2f}"
                f"{m['cpu_us']:9.1f}{ratios[0]:9.2f}{ratios[1]:9.2f}"
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
        make_site(scratch / "site")
        certificate, key, _ = make_certificates(scratch, ["localhost", "127.0.0.1"])
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
) -> dict[str, dict[str, list[dict[str, float]]]]:
    results: dict[str, dict[str, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for job in (j for j in JOBS if options.jobs in j.name):
        for contender in contenders:
            measure(contender, job, 1, options.connections)  # warm up
        for _ in range(options.rounds):
            for contender in contenders:
                results[job.name][contender.name].append(
                    measure(contender, job, options.seconds, options.connections)
                )
        print(f"{job.name}: done", file=sys.stderr)
    return results


if __name__ == "__main__":
    sys.exit(main())
