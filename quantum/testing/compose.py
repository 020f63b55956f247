"""The same scenarios against ``docker compose up``: a deployment of containers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOMS = ("edge", "proxy", "static", "sync", "health", "certs", "admin")
START_SECONDS = 120.0
"""How long all containers may take to be healthy after they were started."""


@dataclass
class ComposeDeployment:
    """A running compose project; use as a context manager. Offers what ``Deployment`` offers."""

    root: Path
    overrides: list[Path]
    project: str = "quantum-e2e"
    topology: str = "compose"
    _first_start: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> ComposeDeployment:
        self._compose("down", "--volumes", "--remove-orphans")
        self._compose("up", "--build", "--detach", seconds=900)
        try:
            self.wait_ready(START_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._compose("down", "--volumes", "--remove-orphans")

    def kill(self, name: str) -> None:
        """SIGKILL the container's process from outside, as the kernel would; Docker restarts it."""
        os.kill(int(self._inspect(name, "{{.State.Pid}}")), signal.SIGKILL)

    def kill_bus(self) -> None:
        """SIGKILL nats-server."""
        self.kill("nats")

    def starts(self, name: str) -> int:
        """Return how often the container was started."""
        return 1 + int(self._inspect(name, "{{.RestartCount}}"))

    def services(self, name: str) -> Any:
        """Return what the ops endpoint of ``name`` says about its services."""
        code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:2020/services').read().decode())"
        return json.loads(self._compose("exec", "-T", name, "python3", "-c", code))

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until every room's container is healthy; TimeoutError quotes the logs."""
        deadline = time.monotonic() + seconds
        while True:
            ill = [room for room in ROOMS if not self._is_healthy(room)]
            if not ill:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"not healthy: {ill}\n{self.logs()}")
            time.sleep(0.3)

    def logs(self) -> str:
        """Return the last lines of every container."""
        return self._compose("logs", "--no-color", "--tail", "25")

    def stop(self) -> dict[str, int | None]:
        """Stop every container with SIGTERM; return exit codes."""
        self._compose("stop", seconds=120)
        return {room: int(self._inspect(room, "{{.State.ExitCode}}")) for room in ROOMS}

    def _is_healthy(self, room: str) -> bool:
        return self._inspect(room, "{{.State.Health.Status}}") == "healthy"

    def _inspect(self, name: str, template: str) -> str:
        return _run(["docker", "inspect", "-f", template, f"{self.project}-{name}-1"]).strip()

    def _compose(self, *arguments: str, seconds: float = 180.0) -> str:
        files = [self.root / "docker-compose.yml", *self.overrides]
        command = ["docker", "compose", "-p", self.project, "--project-directory", str(self.root)]
        for file in files:
            command += ["-f", str(file)]
        return _run([*command, *arguments], seconds)


def _run(command: list[str], seconds: float = 30.0) -> str:
    result = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, timeout=seconds, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{result.stdout}\n{result.stderr}")
    return result.stdout
