"""Syncthing as a pair: two daemons that know each other, without relays, discovery or the wait for quiet."""

import json
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench.sync.meters import wait_until
from bench.sync.pairs import Pair
from quantum.testing.topology import free_port

KEY = "bench"


class Daemon:
    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.gui, self.port = free_port(), free_port()
        subprocess.run(
            ["syncthing", "generate", f"--home={home}", "--no-default-folder", "--skip-port-probing"],
            check=True, capture_output=True,
        )  # fmt: skip
        told = subprocess.check_output(["syncthing", f"--home={home}", "--device-id"], text=True)
        self.device = told.strip()

    @property
    def command(self) -> list[str]:
        return [
            "syncthing", "serve", f"--home={self.home}", "--no-browser", "--no-restart", "--no-upgrade",
            f"--gui-address=127.0.0.1:{self.gui}", f"--gui-apikey={KEY}",
        ]  # fmt: skip

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.gui}/rest/{path}", data, {"X-API-Key": KEY}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text.startswith((b"{", b"[")) else text

    def is_up(self) -> bool:
        try:
            self.ask("GET", "system/ping")
        except OSError:
            return False
        return True

    def configure(self, other: "Daemon") -> None:
        self.ask("PATCH", "config/options", {
            "globalAnnounceEnabled": False, "localAnnounceEnabled": False, "relaysEnabled": False,
            "natEnabled": False, "listenAddresses": [f"tcp://127.0.0.1:{self.port}"],
            "urAccepted": -1, "crashReportingEnabled": False, "startBrowser": False,
        })  # fmt: skip
        self.ask("POST", "config/devices", {
            "deviceID": other.device, "addresses": [f"tcp://127.0.0.1:{other.port}"],
            "compression": "metadata",
        })  # fmt: skip
        self.ask("POST", "config/folders", {
            "id": "f", "path": str(self.folder), "rescanIntervalS": 3600,
            "fsWatcherEnabled": True, "fsWatcherDelayS": 1,
            "devices": [{"deviceID": self.device}, {"deviceID": other.device}],
        })  # fmt: skip


class Syncthing(Pair):
    """Changes are told by a request to scan at once: better than its watcher can do."""

    def begin(self) -> None:
        self.is_live = True
        daemons = [
            Daemon(self.scratch / name, folder)
            for name, folder in (("a", self.one), ("b", self.two))
        ]
        for daemon in daemons:
            self.spawn(daemon.command)
        for daemon, other in (daemons, daemons[::-1]):
            wait_until(daemon.is_up, 30, 0.1)
            daemon.configure(other)
        self.first = daemons[0]
        wait_until(self._is_connected, 60, 0.2)
        time.sleep(1)

    def _is_connected(self) -> bool:
        found = self.first.ask("GET", "system/connections")["connections"]
        return any(connection["connected"] for connection in found.values())

    def sync(self) -> None:
        self.first.ask("POST", "db/scan?folder=f")

    def sync_file(self, name: str) -> None:
        self.first.ask("POST", f"db/scan?folder=f&sub={name}")
