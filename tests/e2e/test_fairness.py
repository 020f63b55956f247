"""Several processes balance, each by itself: what comes of it at the upstreams is printed and bounded.

Turns are exact in each process, so that together they are off by one turn of each; choices by chance or by
load are within five standard deviations of an even share.
"""

import asyncio
import json
import math
import time
import urllib.request
from collections import Counter

import pytest

from quantum.testing.topology import Deployment, free_port
from tests.behaviour.backends import Backend, Fleet

UPSTREAMS, CONNECTIONS = 4, 24
PATIENCE = 30.0
"""Seconds; processes tell each other their figures once in a while."""
WEIGHTS = [4, 3, 2, 1]
IMPROBABLE = 30.7
"""Chi square that a fair choice among four exceeds once in a million times."""
POLICIES = {
    "random": {},
    "round_robin": {},
    "weighted_round_robin": {"weights": WEIGHTS},
    "least_conn": {},
    "random_choose": {"choose": 2},
}
TOPOLOGIES = {
    "3 workers": ("all", ["--workers", "3"], ("edge", "proxy", "certs", "admin"), 3),
    "2 replicas": ("split", [], ("edge", "proxy", "proxy", "admin"), 2),
}

pytestmark = [pytest.mark.slow]


def document(port, fleets):
    routes = [
        {
            "match": [{"path": [f"/{name}"]}],
            "handle": [
                {
                    "handler": "reverse_proxy",
                    "upstreams": [{"dial": backend.dial} for backend in fleets[name]],
                    "load_balancing": {"selection_policy": {"policy": name, **config}},
                }
            ],
        }
        for name, config in POLICIES.items()
    ]
    server = {"listen": [f"127.0.0.1:{port}"], "automatic_https": {"disable": True}}
    return {
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "apps": {"http": {"servers": {"fair": {**server, "routes": routes}}}},
    }


async def ask_many(port, path, each):
    """Send ``each`` requests over each of many connections at once."""

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(each):
            writer.write(b"GET /%s HTTP/1.1\r\nHost: fair.example\r\n\r\n" % path.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(2)
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


def bound(name, share, processes, requests):
    if "round_robin" in name:
        return processes * (1 if name == "round_robin" else 2)
    return 5 * math.sqrt(requests * share * (1 - share))


@pytest.mark.parametrize("each", [25, pytest.param(417, marks=pytest.mark.big)])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_processes_that_balance_by_themselves_share_fairly_together(topology, each, capsys):
    kind, extra, rooms, processes = TOPOLOGIES[topology]
    fleet, port = Fleet(), free_port()
    try:
        fleets = {
            name: [fleet.start(Backend(f"b{n}")) for n in range(UPSTREAMS)] for name in POLICIES
        }
        with Deployment(kind, document(port, fleets), extra=extra, rooms=rooms) as deployment:
            for name in POLICIES:
                asyncio.run(ask_many(port, name, each))
            _await_that_all_worked(deployment, processes)
    finally:
        fleet.close()
    requests = CONNECTIONS * each
    for name, backends in fleets.items():
        counts = Counter({b.name: len(b.seen) for b in backends})
        shares = [w / sum(WEIGHTS) if "weighted" in name else 1 / UPSTREAMS for w in WEIGHTS]
        off = [counts[b.name] - requests * s for b, s in zip(backends, shares, strict=True)]
        square = sum(o * o / (requests * s) for o, s in zip(off, shares, strict=True))
        with capsys.disabled():
            told = f"{dict(sorted(counts.items()))}, chi square {square:.2f}"
            print(f"\n{topology}, {requests} requests: {name:22}{told}", end="")
        assert sum(counts.values()) == requests
        assert square < IMPROBABLE
        for o, share in zip(off, shares, strict=True):
            assert abs(o) <= bound(name, share, processes, requests), (name, counts)


def _await_that_all_worked(deployment, processes):
    """Wait for the figures of every process: if one did everything, nothing is shown."""
    deadline = time.monotonic() + PATIENCE
    while (busy := _processes_that_worked(deployment)) < processes:
        assert time.monotonic() < deadline, f"{busy} of {processes} processes worked"
        time.sleep(0.2)


def _processes_that_worked(deployment):
    """Ask the admin room how many processes' figures are in its report."""
    listen = deployment.document["admin"]["listen"]
    with urllib.request.urlopen(f"http://{listen}/reverse_proxy/upstreams", timeout=5) as got:
        rows = json.load(got)
    return max(row["processes"] for row in rows)
