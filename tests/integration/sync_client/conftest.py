"""A real platform with one share, and real clients as a user starts them."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from quantum.testing.topology import ROOMS, Deployment, free_port

ROOT = Path(__file__).parents[3]


@dataclass
class Clients:
    """Folders that are kept the same as the share of a deployment."""

    deployment: Deployment
    url: str
    share: Path
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def make(self, name: str) -> Path:
        root = self.folder / name
        root.mkdir()
        return root

    def command(self, root: Path, *flags: str) -> list[str]:
        start = [sys.executable, "-m", "services", "sync", "run", "--server", self.url]
        return [*start, "--local-path", str(root), "--client-id", root.name, *flags]

    def once(self, root: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(root, *flags),
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )

    def start(self, root: Path, *flags: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{root.name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(root, "--realtime", *flags), cwd=ROOT, stdout=log, stderr=log
            )
        self.running.append(process)
        return process

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.terminate()
        for process in self.running:
            process.wait(20)
        self.running.clear()

    def logs(self) -> str:
        return "\n".join(p.read_text()[-2000:] for p in sorted(self.folder.glob("*.log")))


def contents(root: Path) -> dict[str, str]:
    """Every file by path, as a hash; what is the client's or the server's own is left out."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and ".quantum" not in path.parts
    }


def both(clients: "Clients", *roots: Path) -> bool:
    """Whether all are equal to the share."""
    found = [contents(root) for root in (clients.share, *roots)]
    return all(other == found[0] for other in found)


def eventually(
    question: Callable[[], object], seconds: float = 40.0, told: Callable[[], str] = str
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if question():
                return
        except FileNotFoundError:  # a file vanished between being listed and being read
            pass
        assert time.monotonic() < deadline, "did not become true in time\n" + told()
        time.sleep(0.02)


@contextmanager
def serving(topology: str, folder: Path) -> Iterator[Clients]:
    share = folder / "share"
    share.mkdir()
    port = free_port()
    handler = {"handler": "file_sync", "root": str(share), "enable_upload": True}
    rooms = ROOMS
    if topology == "three":  # replicas that share the work, contents by the bus
        topology, rooms = "split", ("edge", "sync", "sync", "sync")
        handler["content"] = "bus"
    server = {"listen": [f"127.0.0.1:{port}"], "routes": [{"handle": [handler]}]}
    document = {"apps": {"http": {"servers": {"plain": server}}}}
    with Deployment(topology, document, rooms=rooms) as deployment:
        clients = Clients(deployment, f"http://127.0.0.1:{port}", share, folder)
        try:
            yield clients
        finally:
            clients.stop()


@pytest.fixture(scope="module")
def topology() -> str:
    return "all"


@pytest.fixture(scope="module")
def clients(topology: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    with serving(topology, tmp_path_factory.mktemp("sync")) as clients:
        yield clients


@pytest.fixture(autouse=True)
def stopped(clients: Clients) -> Iterator[None]:
    yield
    clients.stop()


def fill(root: Path, count: int, size: int = 1000) -> None:
    for number in range(count):
        below = root / f"d{number % 20}"
        below.mkdir(exist_ok=True)
        (below / f"f{number}.txt").write_bytes(os.urandom(size))
