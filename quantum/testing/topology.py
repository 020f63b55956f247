"""Real deployments for end-to-end tests: the same configuration as one process or as one per room.

``Deployment`` starts processes through the command line, as a user would, restarts what was killed
as a container runtime would, and ends only what it started.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantum.testing.network import Apart
from quantum.testing.patience import Patience

ROOMS = ("certs", "health", "proxy", "static", "sync", "edge", "admin")
START_SECONDS = 120.0
"""How long a deployment may take to be ready: eight interpreters on two busy cores take 40 at times."""


PORTS = range(10_000, 20_000)
"""Below the range that the kernel takes the ports of outgoing connections from (32768 on Linux), and the
one that embedded NATS servers draw theirs from: a port that is free now must still be free when a process
that takes a second to start binds it."""
CLAIMS = 500
"""Ports of this process that nobody else is given; the oldest is then free again."""
_claims: deque[int] = deque()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now, by TCP or UDP, and that nobody else was given."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(type=kind) as probe:
                    probe.bind(("127.0.0.1", port))
            _claim(port)
        except OSError:
            continue
        return port


def _claim(port: int) -> None:
    """Keep an abstract socket of the port's name; OSError when this or another process has it."""
    with socket.socket(socket.AF_UNIX) as claim:
        claim.bind(f"\0quantum-test-port-{port}")
        _claims.append(claim.detach())
    if len(_claims) > CLAIMS:
        os.close(_claims.popleft())


def descendants(pid: int) -> list[int]:
    """Return the processes below ``pid``."""
    found: list[int] = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(int(child))]
    return found


def freeze(pid: int) -> None:
    """SIGSTOP a process and return when all its threads stand still: a signal alone is only on its way."""
    os.kill(pid, signal.SIGSTOP)
    while any(_state(thread) not in "TZX" for thread in Path(f"/proc/{pid}/task").iterdir()):
        time.sleep(0.001)


def _state(thread: Path) -> str:
    with suppress(OSError):  # a thread that has ended stands still too
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    return "X"


@dataclass
class Member:
    """One process of a deployment: how to start it, and the process that runs now."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ops: str = ""
    starts: int = 0

    def start(self) -> None:
        """Start it; output goes to its log file."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)  # noqa: S603
        self.starts += 1

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        if self.is_running() and self.process is not None:
            self.process.send_signal(number)

    def is_ready(self) -> bool:
        """Whether its ops endpoint says so."""
        if not self.ops:
            return self.is_running()
        try:
            with urllib.request.urlopen(f"http://{self.ops}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@dataclass
class Deployment:
    """A running platform. ``topology`` is "all" or "split"; use as a context manager."""

    topology: str
    document: dict[str, Any]
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="q-")))
    extra: list[str] = field(default_factory=list)
    rooms: tuple[str, ...] = ROOMS
    """The rooms that run; in topology split, a room named twice runs twice (``proxy``, ``proxy-2``)."""
    prefix: list[str] = field(default_factory=list)
    """What every command begins with: ``ip netns exec NAME``."""
    host: str = "127.0.0.1"
    """Where the ops endpoints listen."""
    caddyfile: str = ""
    """Started from this text instead of ``document``."""
    apart: dict[str, Apart] = field(default_factory=dict)
    """Members that run on another machine, so to say, in topology split: name to namespace."""
    members: dict[str, Member] = field(default_factory=dict)
    nats_port: int = 0
    """In topology split."""
    _stopping: bool = False
    _keeper: threading.Thread | None = None

    def __enter__(self) -> Deployment:
        self.directory.mkdir(exist_ok=True)
        # Two deployments on one machine must not meet at the default port.
        self.document.setdefault("admin", {"listen": f"127.0.0.1:{free_port()}"})
        self.config.write_text(self.caddyfile or json.dumps(self.document))
        try:
            self._start_members()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        self._begin_keeping()
        return self

    @property
    def config(self) -> Path:
        """The configuration file of every member."""
        return self.directory / ("Caddyfile" if self.caddyfile else "config.json")

    def _begin_keeping(self) -> None:
        self._keeper = threading.Thread(target=self._keep_running, daemon=True)
        self._keeper.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self, name: str) -> None:
        """End a member with SIGKILL, as the out-of-memory killer would; it is started again."""
        self.member(name).signal(signal.SIGKILL)

    def lose_power(self, meanwhile: Callable[[], None]) -> None:
        """SIGKILL every process and those below them, do ``meanwhile``, start all again."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.join()
        running = [m.process for m in self.members.values() if m.process is not None]
        children = [pid for process in running for pid in descendants(process.pid)]
        for pid in [*(process.pid for process in running), *children]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in running:
            process.wait()
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            time.sleep(0.01)
        meanwhile()
        self._stopping = False
        for member in self.members.values():
            member.start()
        self._begin_keeping()

    def member(self, name: str) -> Member:
        """Return the process that runs room ``name`` (the only one, in topology all)."""
        return self.members.get(name) or self.members["quantum"]

    def starts(self, name: str) -> int:
        """Return how often the process of ``name`` was started."""
        return self.member(name).starts

    def kill_bus(self) -> None:
        """SIGKILL nats-server, whoever's child it is."""
        if "nats" in self.members:
            self.kill("nats")
            return
        process = self.members["quantum"].process
        for pid in descendants(process.pid if process is not None else 0):
            if b"nats-server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                return
        raise LookupError("no nats-server below this deployment")

    def services(self, name: str) -> Any:
        """Return what the ops endpoint of ``name`` says about its services."""
        with urllib.request.urlopen(f"http://{self.member(name).ops}/services", timeout=5) as got:
            return json.load(got)

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until every member says that it is ready; TimeoutError quotes the logs."""
        patience = Patience(seconds)
        while not all(member.is_ready() for member in self.members.values()):
            dead = [m.name for m in self.members.values() if not m.is_running()]
            if patience.is_over or (dead and self._keeper is None):
                raise TimeoutError(f"not ready, dead: {dead}\n{self.logs()}")
            time.sleep(0.05)

    def logs(self, lines: int = 30) -> str:
        """Return the last lines of every member's log."""
        parts = []
        for member in self.members.values():
            text = member.log.read_text(errors="replace") if member.log.exists() else ""
            parts.append(f"--- {member.name}\n" + "\n".join(text.splitlines()[-lines:]))
        return "\n".join(parts)

    def stop(self, seconds: float = 15.0) -> dict[str, int | None]:
        """Stop everything with SIGTERM, bus last; return exit codes (None: had to be killed)."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.join()
        codes: dict[str, int | None] = {}
        for member in sorted(self.members.values(), key=lambda m: m.name == "nats"):
            member.signal(signal.SIGTERM)
            if member.name == "nats":
                codes[member.name] = self._wait(member, seconds)
        for member in self.members.values():
            codes.setdefault(member.name, self._wait(member, seconds))
        return codes

    def _wait(self, member: Member, seconds: float) -> int | None:
        if member.process is None:
            return None
        try:
            return member.process.wait(seconds)
        except subprocess.TimeoutExpired:
            member.process.kill()
            member.process.wait()
            return None

    def _start_members(self) -> None:
        if self.topology == "all":
            target = "all" if self.rooms == ROOMS else ",".join(dict.fromkeys(self.rooms))
            self._add_quantum("quantum", ["--target", target])
            return
        nats = self._add_nats()
        for position, room in enumerate(self.rooms):
            copy = self.rooms[:position].count(room) + 1
            name = room if copy == 1 else f"{room}-{copy}"
            self._add_quantum(name, ["--target", room, "--nats", nats])

    def end(self, name: str) -> None:
        """SIGKILL a member and leave it dead."""
        member = self.members.pop(name)
        member.signal(signal.SIGKILL)
        if member.process is not None:
            member.process.wait()

    def _add_quantum(self, name: str, flags: list[str]) -> None:
        place = self.apart.get(name)
        ops = f"{place.there if place else self.host}:{free_port()}"
        data = self.directory / name
        if place is not None:
            flags = [*flags, "--hop", f"{place.there}:{free_port()}"]
        command = [
            *(place.prefix if place else self.prefix), sys.executable, "-m", "services", "run", "-c", str(self.config),
            "--data-dir", str(data), "--ops", ops, *flags, *self.extra,
        ]  # fmt: skip
        member = Member(name, command, self.directory / f"{name}.log", ops=ops)
        self.members[name] = member
        member.start()

    def _add_nats(self) -> str:
        port = self.nats_port = free_port()
        host = next((place.here for place in self.apart.values()), "127.0.0.1")
        config = self.directory / "nats.conf"
        config.write_text(
            f'listen: "{host}:{port}"\n'
            f'jetstream {{ store_dir: "{self.directory}/nats", sync_interval: always }}\n'
        )
        binary = Path(sys.executable).parent / "nats-server"
        command = [*self.prefix, str(binary), "-c", str(config)]
        member = Member("nats", command, self.directory / "nats.log")
        self.members["nats"] = member
        member.start()
        return f"nats://{host}:{port}"

    def _keep_running(self) -> None:
        """Start again what died, after a moment, as ``restart: unless-stopped`` does."""
        while not self._stopping:
            for member in self.members.values():
                if not member.is_running() and not self._stopping:
                    time.sleep(0.2)
                    member.start()
            time.sleep(0.05)
