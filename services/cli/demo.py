"""``quantum run --demo``: the demo configuration and the small upstreams it proxies to.

The upstreams run as children of this process and of nothing else: they end when it ends, however it
ends, because they watch the pipe that it holds open.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quantum.config.load import walk
from quantum.config.units import NetworkAddress
from quantum.errors import ConfigError
from quantum.service.api import Revision

HOME = Path(__file__).parents[2]
CONFIG = Path("config/quantum.json")
UPSTREAM = Path("config/demo/upstream.py")
SYNC_DATA = Path("sync-data")
WELCOME = "This folder is synced: add a file and watch it appear.\n"
START_SECONDS = 15.0
STOP_SECONDS = 3.0


class Demo:
    """Where the demo lives, and its upstreams while it runs."""

    config = CONFIG
    data_dir = Path("data")

    def enter_home(self) -> None:
        """Go to the folder that the demo's relative paths start from."""
        if not (HOME / CONFIG).is_file():
            raise ConfigError("", "the demo comes with a clone of the repository", "use --config")
        os.chdir(HOME)

    @contextmanager
    def running(self, document: Any) -> Iterator[None]:
        """Run an upstream for every loopback address that ``document`` proxies to."""
        SYNC_DATA.mkdir(exist_ok=True)
        welcome = SYNC_DATA / "welcome.txt"
        if not any(SYNC_DATA.iterdir()):
            welcome.write_text(WELCOME)
        children: list[subprocess.Popen[bytes]] = []
        try:
            for number, dial in enumerate(loopback_dials(document), 1):
                children.append(_start(dial, number))
            for child, dial in zip(children, loopback_dials(document), strict=True):
                _wait_for(child, dial)
            yield
        finally:
            for child in children:
                _end(child)

    @staticmethod
    def announce(revision: Revision) -> None:
        """Print what to open."""
        print("\nQuantum is running. Open one of these (Ctrl-C stops it):\n", file=sys.stderr)
        for url in entry_urls(revision.document):
            print(f"  {url}", file=sys.stderr)
        print(
            "\nThe certificates come from the local authority, which your browser does not know;"
            "\ncurl takes them with --insecure. Files put into ./sync-data appear at once.\n",
            file=sys.stderr,
        )


def loopback_dials(document: Any) -> list[NetworkAddress]:
    """Return the TCP addresses on this machine that a document's upstreams name, each once."""
    found: dict[str, NetworkAddress] = {}
    for _, value in walk(document):
        if isinstance(value, dict) and isinstance(value.get("dial"), str):
            address = NetworkAddress.parse(value["dial"])
            if address.host in {"localhost", "127.0.0.1"}:
                found[str(address)] = address
    return list(found.values())


def entry_urls(document: dict[str, Any]) -> list[str]:
    """Return the URLs of a document's sites: each named host of a server, on its first port."""
    http = document.get("apps", {}).get("http", {})
    plain = http.get("http_port", 80)
    urls: dict[str, None] = {}
    for server in http.get("servers", {}).values():
        address = NetworkAddress.parse(server["listen"][0], default_port=0)
        disabled = server.get("automatic_https", {}).get("disable", False)
        hosts = _hosts(server.get("routes", []))
        secure = bool(hosts) and not disabled and address.port != plain
        for host in hosts or ["localhost"]:
            urls[_url("https" if secure else "http", host, address.port)] = None
    return list(urls)


def _hosts(routes: list[dict[str, Any]]) -> list[str]:
    names = [
        name
        for route in routes
        for matchers in route.get("match", [])
        for name in matchers.get("host", [])
    ]
    return sorted(dict.fromkeys(name for name in names if "*" not in name), key=len)


def _url(scheme: str, host: str, port: int) -> str:
    standard = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{host}/" if port == standard else f"{scheme}://{host}:{port}/"


def _start(address: NetworkAddress, number: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(UPSTREAM), "--port", str(address.port), "--name", str(number)]
    # Its own session, so that Ctrl-C reaches the platform alone and requests under way can finish.
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603


def _wait_for(child: subprocess.Popen[bytes], address: NetworkAddress) -> None:
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((address.host, address.port), 1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    problem = f"the demo's upstream on port {address.port} does not start"
    raise ConfigError("", problem, "is the port in use?")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
