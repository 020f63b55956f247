"""A real ACME authority (Pebble), a certs room that orders from it, and who answers its challenges."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import aiohttp

from quantum.bus.subjects import CERTIFICATES, key_of
from quantum.clock import SystemClock
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request
from quantum.testing.certificates import make_certificates
from quantum.testing.context import TestContext, make_context
from quantum.testing.debian import has_program
from quantum.testing.topology import free_port
from services import catalog
from services.certs.service import CertsService
from services.edge.automatic_https.challenges import ChallengeAnswers

HAS_PEBBLE = has_program("pebble", "pebble") and has_program("pebble-challtestsrv", "pebble")


class Pebble:
    """An ACME authority with its own DNS, in which every name is this machine."""

    def __init__(self, folder: Path, **extra: Any) -> None:
        folder.mkdir()
        self._folder = folder
        self.http_port, self._port, self._dns, self._management = (free_port() for _ in range(4))
        leaf, key, self.root = make_certificates(folder, ["localhost", "127.0.0.1"])
        settings = {
            "listenAddress": f"127.0.0.1:{self._port}",
            "managementListenAddress": f"127.0.0.1:{free_port()}",
            "certificate": str(leaf),
            "privateKey": str(key),
            "httpPort": self.http_port,
            "tlsPort": free_port(),
            "certificateValidityPeriod": 300,
            **extra,
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        self.directory = f"https://127.0.0.1:{self._port}/dir"
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(self, bad_nonces: int = 15, name_server: int = 0) -> None:
        """``name_server``: the port of another one to ask than the one in which every name is here."""
        if name_server:
            self._dns = name_server
            return await self.start_authority(bad_nonces)
        await self._run(
            "pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "",
            "-https01", "", "-tlsalpn01", "",  "-dns01", f"127.0.0.1:{self._dns}",
            "-management", f"127.0.0.1:{self._management}",
        )  # fmt: skip
        return await self.start_authority(bad_nonces)

    async def start_authority(self, bad_nonces: int = 15) -> None:
        await self._run(
            "pebble", "-config", str(self._folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{self._dns}",
            PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT=str(bad_nonces),
        )  # fmt: skip
        async with aiohttp.ClientSession() as session:
            for _ in range(1000):
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(self.directory, ssl=False):
                        return
                await asyncio.sleep(0.05)
        raise TimeoutError((self._folder / "log").read_text())

    async def stop(self, last: int | None = None) -> None:
        """End the processes that were started (``last``: only so many of the newest)."""
        for process in self._processes[-last if last else 0 :]:
            self._processes.remove(process)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _run(self, *command: str, **environment: str) -> None:
        with (self._folder / "log").open("ab") as log:
            self._processes.append(
                await asyncio.create_subprocess_exec(
                    *command, stdout=log, stderr=log, env={**os.environ, **environment}
                )
            )


class Site:
    """The plain HTTP port of an edge that does nothing but answer challenges."""

    def __init__(self, context: TestContext) -> None:
        self._answers = ChallengeAnswers(context.bus, context.clock)
        self.asked: list[tuple[str, int]] = []
        self.is_deaf = False

    async def start(self, port: int) -> None:
        await self._answers.start()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def aclose(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        await self._answers.aclose()

    def answer(self, path: str, method: str = "GET") -> Any:
        here = ConnectionFacts(("", 0), ("", 0), "http")
        request = Request(method, "http", "site", path, None, Headers(), b"", here)
        return None if self.is_deaf else self._answers.answer(request)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        response = self.answer(path)
        status, body = (404, b"") if response is None else (response.status, response.body)
        self.asked.append((path, status))
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body))  # fmt: skip
        await writer.drain()
        writer.close()


class World:
    """Pebble, a certs room that orders from it, and a site."""

    def __init__(self, folder: Path, **pebble: Any) -> None:
        self.folder = folder
        self.pebble = Pebble(folder / "pebble", **pebble)
        self.context = make_context(
            "certs",
            folder / "data",
            clock=SystemClock(),
            parse=catalog.parse,
            registry=catalog.registry(),
        )
        self.site = Site(self.context)
        self.service = CertsService(self.context)

    async def start(self, name_server: int = 0) -> None:
        (self.folder / "data").mkdir()
        await self.pebble.start(name_server=name_server)
        await self.site.start(self.pebble.http_port)
        await self.service.start()
        self.context.switch.use(self.service)

    async def stop(self) -> None:
        await self.service.stop(1.0)
        await self.site.aclose()
        await self.pebble.stop()

    async def automate(self, *names: str, issuer: dict[str, Any] | None = None) -> None:
        issuer = issuer or {
            "module": "acme",
            "ca": self.pebble.directory,
            "email": "a@site.test",
            "trusted_roots_pem_files": [str(self.pebble.root)],
        }
        tls = {
            "certificates": {"automate": list(names)},
            "automation": {"policies": [{"issuers": [issuer]}]},
        }
        await self.context.switch.apply(catalog.parse({"apps": {"tls": tls}}))

    async def wait_for(self, name: str, seconds: float = 20.0) -> Any:
        bucket = await self.context.bus.bucket(CERTIFICATES)
        async with asyncio.timeout(seconds):
            while (entry := await bucket.get(key_of(name))) is None:
                await asyncio.sleep(0.05)
        return entry.value
