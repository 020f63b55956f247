"""Two folders and whoever keeps them the same. Every pair talks over the loopback, never over the disk."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.sync.meters import family, forget_peaks, peak_memory
from quantum.testing.topology import Deployment, free_port

ROOT = Path(__file__).parents[2]
PROGRAMS = {"unison": "unison", "rclone": "rclone", "syncthing": "syncthing"}
"""Program, and the Debian package that has it."""


ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "q-bench-bytecode"),
}
"""An installed program is compiled once, not at every start."""


@dataclass
class Pair:
    """``one`` and ``two``, below ``scratch``. ``sync`` is for programs that run and end."""

    name: str
    scratch: Path
    is_live: bool = False
    """Whether it notices changes by itself."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ended: int = 0
    """Peak memory of processes that ended."""

    def __post_init__(self) -> None:
        self.one, self.two = self.scratch / "one", self.scratch / "two"
        self.one.mkdir(parents=True)
        self.two.mkdir()

    def begin(self) -> None:
        """Start what must run before files are there."""

    def sync(self) -> None:
        """Bring both sides together, if that is a command; else the change is noticed, or told here."""

    def end(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()

    def pids(self) -> list[int]:
        return [pid for p in self.processes for pid in family(p.pid)]

    def forget(self) -> None:
        self.ended = 0
        forget_peaks(self.pids())

    def memory(self) -> int:
        return self.ended + peak_memory(self.pids())

    def run(self, command: list[str], **environment: str) -> None:
        """Run to the end; its peak memory is counted."""
        with (self.scratch / "log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=ROOT, env={**ENVIRONMENT, **environment}
            )
            _, status, usage = os.wait4(process.pid, 0)
        self.ended = max(self.ended, usage.ru_maxrss * 1024)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in {0, 1}:
            text = (self.scratch / "log").read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{self.name}: {command} ended with {process.returncode}\n{text}")

    def spawn(self, command: list[str], **environment: str) -> None:
        with (self.scratch / "log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=ROOT, env={**ENVIRONMENT, **environment}
            )
        self.processes.append(process)


class Quantum(Pair):
    """A folder and a share: a client beside a whole platform, durable on both sides."""

    def begin(self) -> None:
        self.port = free_port()
        handler = {"handler": "file_sync", "root": str(self.two), "enable_upload": True}
        server = {"listen": [f"127.0.0.1:{self.port}"], "routes": [{"handle": [handler]}]}
        document = {"apps": {"http": {"servers": {"plain": server}}}}
        self.deployment = Deployment("all", document, self.scratch / "platform")
        self.deployment.__enter__()
        self.run(self.client(self.one, "--dry-run"))  # compiles

    def client(self, folder: Path, *flags: str) -> list[str]:
        start = [sys.executable, "-m", "services", "sync", "run"]
        server = ["--server", f"http://127.0.0.1:{self.port}"]
        return [*start, *server, "--local-path", str(folder), "--client-id", folder.name, *flags]

    def sync(self) -> None:
        if not self.is_live:
            self.run(self.client(self.one, "--confirm-deletes"))

    def pids(self) -> list[int]:
        running = [m.process.pid for m in self.deployment.members.values() if m.process is not None]
        return [*super().pids(), *(pid for root in running for pid in family(root))]

    def end(self) -> None:
        super().end()
        self.deployment.__exit__()


class QuantumLive(Quantum):
    """The same with a client that stays."""

    def begin(self) -> None:
        super().begin()
        self.is_live = True
        self.spawn(self.client(self.one, "--realtime", "--confirm-deletes"))
        time.sleep(2)


class QuantumThree(QuantumLive):
    """Two clients that stay, and the platform between them."""

    def begin(self) -> None:
        self.two, share = self.scratch / "share", self.two
        self.two.mkdir()
        super().begin()
        self.two = share
        self.spawn(self.client(self.two, "--realtime", "--confirm-deletes"))
        time.sleep(1)


class Unison(Pair):
    """Two processes over a socket, as over ssh but without its encryption."""

    def begin(self) -> None:
        self.port = free_port()
        (self.scratch / "a").mkdir()
        (self.scratch / "b").mkdir()
        self.spawn(["unison", "-socket", str(self.port)], UNISON=str(self.scratch / "b"))
        time.sleep(0.5)

    def sync(self) -> None:
        there = f"socket://127.0.0.1:{self.port}/{self.two}"
        flags = ["-batch", "-auto", "-silent", "-fastcheck", "true", "-confirmbigdel=false"]
        self.run(["unison", str(self.one), there, *flags], UNISON=str(self.scratch / "a"))


class Rclone(Pair):
    """``bisync`` between a folder and ``rclone serve sftp``."""

    is_new = True

    def begin(self) -> None:
        port = free_port()
        address = ["--addr", f"127.0.0.1:{port}", "--user", "u", "--pass", "p"]
        self.spawn(["rclone", "serve", "sftp", str(self.two), *address])
        hidden = subprocess.check_output(["rclone", "obscure", "p"], text=True).strip()
        self.there = f":sftp,host=127.0.0.1,port={port},user=u,pass='{hidden}':"
        time.sleep(0.5)

    def sync(self) -> None:
        flags = ["--workdir", str(self.scratch / "work"), "--transfers", "16", "--checkers", "16"]
        first = ["--resync"] if self.is_new else ["--force"]
        self.is_new = False
        self.run(["rclone", "bisync", str(self.one), self.there, *flags, *first])
