"""``python -m bench.chaos``: five upstreams, four of them in trouble, 500 requests a second in an open loop.

At the end of the quiet phase one upstream is killed, one hangs, one answers 500 to 30 %, one is slow by two
seconds. Then: how many errors reach clients until all are found out (detection), after that (steady), and what
becomes of the shares when all are well again (recovery). The load never waits for answers: a request is counted
from the moment it was due. ``--scenario`` with the upstreams also kills the health rooms or NATS, stops one of the
two proxies (SIGSTOP), or cuts it off, from everything or from NATS alone (a network namespace: root).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantum.testing.network import apart
from quantum.testing.topology import Deployment, free_port

MODES = ("refuse", "hang", "bad", "slow", "ok")
"""What becomes of each upstream; ``refuse`` is a killed one."""
UNDER_WAY_SECONDS = 0.5
"""What was sent so long before trouble began may meet it: it counts as detection."""
DETECTION_SECONDS = 6.0
"""By then everything must be known: two timeouts of two seconds, the slow one's answers, a check's round."""
ROOMS = ("edge", "proxy", "proxy", "health", "health", "admin")
SCENARIOS = ("none", "one-health", "health", "nats", "health-and-nats", "frozen", "cut", "cut-nats")
CUT_SECONDS = 10.0
"""By then a proxy that says nothing must be given up: three times the hop's patience, and a moment."""
REPLICA = "proxy-2"
"""The proxy that is stopped or cut off."""
TIMEOUT = 15.0


# An upstream, a process of its own.


async def upstream(name: str, port: int, mode: str) -> None:
    """Serve until killed; ``/control/MODE`` changes what happens to the requests."""
    state = {"mode": mode}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
                if target.startswith("/control/"):
                    state["mode"] = target.rpartition("/")[2]
                status = await behave(target, state["mode"])
                body = name.encode()
                writer.write(
                    b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
                )
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", port, backlog=1024)
    await server.serve_forever()


async def behave(target: str, mode: str) -> int:
    """Return a status, when it is time. Trouble spares the health page except where the machine hangs."""
    if target.startswith("/control/"):
        return 200
    if mode == "hang":
        await asyncio.sleep(3600)
    if target == "/health":
        return 200
    if mode == "slow":
        await asyncio.sleep(2)
    return 500 if mode == "bad" and random.random() < 0.3 else 200


@dataclass
class Upstreams:
    """The five processes."""

    ports: list[int] = field(default_factory=lambda: [free_port() for _ in MODES])
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, index: int) -> None:
        """Start one, well."""
        command = [
            sys.executable,
            "-m",
            "bench.chaos",
            "--upstream",
            f"u{index}",
            str(self.ports[index]),
        ]
        self.processes[index] = subprocess.Popen(command, cwd=Path(__file__).parents[1])

    def trouble(self) -> None:
        """Bring each into its mode."""
        for index, mode in enumerate(MODES):
            if mode == "refuse":
                self.processes[index].kill()
                self.processes[index].wait()
            else:
                self._control(index, mode)

    def heal(self) -> None:
        """Make all well again."""
        for index, mode in enumerate(MODES):
            if mode == "refuse":
                self.start(index)
            self._control(index, "ok")

    def close(self) -> None:
        """End all."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _control(self, index: int, mode: str) -> None:
        import http.client

        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.ports[index], timeout=30)
            try:
                connection.request("GET", f"/control/{mode}")
                break
            except ConnectionRefusedError:
                time.sleep(0.05)  # its interpreter is still starting
        connection.getresponse().read()
        connection.close()


# The load.


@dataclass
class Outcome:
    """One request: when it was due, how long until its answer, from whom; ``failure`` "" is well."""

    due: float
    seconds: float
    who: str
    failure: str


class Load:
    """An open loop of GET requests over kept connections."""

    def __init__(self, port: int, rate: int) -> None:
        self.port = port
        self._rate = rate
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.outcomes: list[Outcome] = []
        self.end = math.inf
        """The loop's time at which to stop."""

    async def run(self) -> None:
        """Send until ``end`` is set and over, then wait for what is under way."""
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        for number in itertools.count():
            due = began + number / self._rate
            if due >= self.end:
                break
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            task = loop.create_task(self._one(due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._tasks:
            await asyncio.wait(self._tasks)
        for _, writer in self._idle:
            writer.close()

    async def _one(self, due: float) -> None:
        loop, who, failure = asyncio.get_running_loop(), "", ""
        try:
            async with asyncio.timeout(TIMEOUT):
                status, who = await self._exchange()
                failure = "" if status == 200 else f"status {status}"
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            failure = type(error).__name__
        self.outcomes.append(Outcome(due, loop.time() - due, who, failure))

    async def _exchange(self) -> tuple[int, str]:
        pair = self._idle.pop() if self._idle else None
        reader, writer = pair or await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: chaos.example\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or b"0")
            body = await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), body.decode()


# The scenario.


def document(port: int, upstreams: list[str], remember: float) -> dict[str, Any]:
    """Return the configuration; failures are held against an upstream for ``remember`` seconds."""
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": address} for address in upstreams],
        "load_balancing": {
            "selection_policy": {"policy": "round_robin"},
            "retries": 4,
            "try_interval": "5ms",
        },
        "transport": {"protocol": "http", "response_header_timeout": "3s", "dial_timeout": "1s"},
        "health_checks": {
            "active": {"uri": "/health", "interval": "1s", "timeout": "1s", "fails": 1},
            "passive": {
                "fail_duration": f"{remember}s", "max_fails": 3, "unhealthy_status": [5], "unhealthy_latency": "1s",
            },
            "outlier": {"window": "5s", "min_requests": 20, "max_error_rate": 0.1, "max_ejected": 0.8},
            "slow_start": {"duration": "4s"},
        },
    }  # fmt: skip
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [proxy]}],
    }
    return {
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "apps": {"http": {"servers": {"chaos": server}}},
    }


@dataclass(frozen=True)
class Plan:
    """Seconds of each phase and requests per second."""

    quiet: float = 5.0
    trouble: float = 60.0
    recovery: float = 15.0
    rate: int = 500


@dataclass
class Figures:
    """One phase."""

    name: str
    requests: int
    errors: int
    failures: Counter[str]
    shares: Counter[str]
    p50: float
    p99: float
    worst: float

    def line(self) -> str:
        """Return the phase as a row."""
        shares = " ".join(f"{k}:{v}" for k, v in sorted(self.shares.items()))
        what = f"  {dict(self.failures)}" if self.failures else ""
        return (
            f"{self.name:11}{self.requests:>8}{self.errors:>8}{self.p50 * 1e3:>9.1f}{self.p99 * 1e3:>9.1f}"
            f"{self.worst * 1e3:>9.0f}  {shares}{what}"
        )


def figures(name: str, outcomes: list[Outcome]) -> Figures:
    """Sum a phase up."""
    seconds = sorted(o.seconds for o in outcomes) or [0.0]
    failed = [o.failure for o in outcomes if o.failure]
    return Figures(
        name, len(outcomes), len(failed), Counter(failed),
        Counter(o.who for o in outcomes if o.who), statistics.median(seconds),
        seconds[int(len(seconds) * 0.99) - 1], seconds[-1],
    )  # fmt: skip


def strike(deployment: Deployment, scenario: str) -> None:
    """Do what the scenario names, a moment before the upstreams get into trouble; kills are for good."""
    place = deployment.apart.get(REPLICA)
    if scenario.startswith("health"):
        for name in [n for n in deployment.members if n.startswith("health")]:
            deployment.end(name)
    elif scenario == "one-health":
        deployment.end("health")
    elif scenario == "frozen":
        deployment.member(REPLICA).signal(signal.SIGSTOP)
    elif scenario == "cut" and place is not None:
        place.cut()
    elif scenario == "cut-nats" and place is not None:
        place.cut_from(deployment.nats_port)
    if scenario.endswith("and-nats") or scenario == "nats":
        deployment.end("nats")


def relent(deployment: Deployment, scenario: str) -> None:
    """Let a replica come back."""
    if scenario == "frozen":
        deployment.member(REPLICA).signal(signal.SIGCONT)
    for place in deployment.apart.values():
        place.mend()


def run(
    topology: str, scenario: str, plan: Plan, say: Callable[[str], None] = print
) -> dict[str, Figures]:
    """Run one scenario; return the phases by name."""
    with ExitStack() as stack:
        places = {}
        if scenario.startswith("cut"):
            places[REPLICA] = stack.enter_context(apart())
        host = places[REPLICA].here if places else "127.0.0.1"
        upstreams = stack.enter_context(closing(Upstreams()))
        for index in range(len(MODES)):
            upstreams.start(index)
        load = Load(free_port(), plan.rate)
        addresses = [f"{host}:{port}" for port in upstreams.ports]
        deployment = stack.enter_context(
            Deployment(
                topology, document(load.port, addresses, plan.trouble + 2),
                Path(tempfile.mkdtemp(prefix="chaos-")), rooms=ROOMS, apart=places,
            )
        )  # fmt: skip
        time.sleep(1.5)
        found = asyncio.run(_phases(deployment, upstreams, scenario, load, plan))
    say(
        f"\n{topology}, trouble besides the upstreams': {scenario}; {plan.rate} requests/s, round robin over 5"
    )
    say(
        f"{'phase':11}{'requests':>8}{'errors':>8}{'p50 ms':>9}{'p99 ms':>9}{'worst':>9}  answers by upstream"
    )
    for phase in found.values():
        say(phase.line())
    return found


async def _phases(
    deployment: Deployment, upstreams: Upstreams, scenario: str, load: Load, plan: Plan
) -> dict[str, Figures]:
    """Phases begin when what they are named for is true: a slow machine makes none of them shorter."""
    loop = asyncio.get_running_loop()
    began, running = loop.time(), loop.create_task(load.run())
    await asyncio.sleep(plan.quiet)
    struck = loop.time() - UNDER_WAY_SECONDS
    await asyncio.to_thread(strike, deployment, scenario)
    await asyncio.to_thread(upstreams.trouble)
    troubled = loop.time()
    await asyncio.sleep(plan.trouble)
    healing = loop.time()
    await asyncio.to_thread(relent, deployment, scenario)
    await asyncio.to_thread(upstreams.heal)
    load.end = loop.time() + plan.recovery
    await running
    is_silent = scenario in {"frozen", "cut"}
    known = troubled + (CUT_SECONDS if is_silent else DETECTION_SECONDS)
    borders = {
        "quiet": (began, struck), "detection": (struck, known),
        "steady": (known, healing), "recovery": (healing, math.inf),
    }  # fmt: skip
    return {
        name: figures(name, [o for o in load.outcomes if start <= o.due < end])
        for name, (start, end) in borders.items()
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", nargs=2, metavar=("NAME", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--topology", choices=["all", "split"], action="append")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    parser.add_argument("--seconds", type=float, default=60.0, help="of trouble")
    parser.add_argument("--rate", type=int, default=500)
    options = parser.parse_args()
    if options.upstream:
        asyncio.run(upstream(options.upstream[0], int(options.upstream[1]), "ok"))
        return
    plan, results = Plan(trouble=options.seconds, rate=options.rate), {}
    for topology in options.topology or ["all", "split"]:
        scenarios = options.scenario or (["none"] if topology == "all" else list(SCENARIOS))
        for scenario in scenarios:
            phases = run(topology, scenario, plan)
            results[f"{topology} {scenario}"] = {
                k: [v.requests, v.errors] for k, v in phases.items()
            }
    print(json.dumps(results))
    sys.exit(any(phases["steady"][1] for phases in results.values()))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
