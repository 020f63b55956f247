"""Origins that count: aiohttp (llhttp) in this process, nginx and haproxy beside it. Each answers with X-Origin."""

from __future__ import annotations

import logging
import re
import subprocess
from collections import Counter
from pathlib import Path

from aiohttp import web

from quantum.testing.topology import free_port

_CASE = re.compile(r"c(\d{6})")


class Counting:
    """An aiohttp server; a request counts when it was read to its end."""

    name = "aiohttp"

    def __init__(self) -> None:
        self.port = free_port()
        self._seen: Counter[int] = Counter()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        logging.getLogger("aiohttp.server").setLevel(
            logging.CRITICAL
        )  # it is told nonsense all day
        self._runner = web.AppRunner(web.Application())
        self._runner.app.router.add_route("*", "/{path:.*}", self._answer)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            await request.read()
        except ConnectionError:
            raise web.HTTPBadRequest from None
        match = _CASE.search(request.rel_url.raw_path)
        self._seen[int(match[1]) if match else -1] += 1
        return web.Response(text="x", headers={"X-Origin": "1"})

    def seen(self) -> Counter[int]:
        return self._seen

    async def stop(self) -> None:
        await self._runner.cleanup()


class Program:
    """A server of somebody else's, counted by a log of its own in ``log``."""

    log = ""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, output: str, *command: str) -> None:
        with (self._folder / output).open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)

    def seen(self) -> Counter[int]:
        return _counted(self._folder / self.log)

    async def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


class Nginx(Program):
    """nginx, counted by its access log."""

    name = "nginx"
    log = "access.log"

    async def start(self) -> None:
        folder = self._folder
        (folder / "nginx.conf").write_text(f"""
            daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
            events {{ worker_connections 512; }}
            http {{
              log_format case '$status $request_uri'; access_log {folder}/access.log case;
              client_body_temp_path {folder}/body; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
              uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
              server {{ listen 127.0.0.1:{self.port}; location / {{
                add_header X-Origin 1 always; return 200 x; }} }} }}""")
        self.run("out", "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))


class Haproxy(Program):
    """haproxy, counted by what it logs on its standard output."""

    name = "haproxy"
    log = "haproxy.log"

    async def start(self) -> None:
        folder = self._folder
        (folder / "haproxy.cfg").write_text(f"""
global
    log stdout format raw daemon info
defaults
    mode http
    timeout client 30s
    log global
    log-format "%ST %HU"
frontend origin
    bind 127.0.0.1:{self.port}
    http-request return status 200 content-type text/plain string x hdr X-Origin 1
""")
        self.run(self.log, "haproxy", "-db", "-f", str(folder / "haproxy.cfg"))


def _counted(log: Path) -> Counter[int]:
    """Count what a log of statuses and targets has as 200; the rest is what the origin refused itself."""
    seen: Counter[int] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        status, _, target = line.partition(" ")
        match = _CASE.search(target)
        if status == "200":
            seen[int(match[1]) if match else -1] += 1
    return seen
