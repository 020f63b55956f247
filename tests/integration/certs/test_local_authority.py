"""Clients that trust our root accept what we sign: OpenSSL and curl, over real handshakes."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from quantum.clock import SystemClock
from quantum.errors import ConfigError, HttpError
from quantum.hop.resolve import SERVICE_REVISION
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request
from quantum.testing.context import TestContext, make_context
from services import catalog
from services.certs.service import CertsService

SITE = {
    "apps": {
        "http": {
            "servers": {
                "s": {
                    "listen": [":8443"],
                    "routes": [
                        {
                            "match": [{"host": ["site.test", "*.wild.test"]}],
                            "handle": [{"handler": "static_response"}],
                        }
                    ],
                }
            }
        }
    }
}


class Room:
    """A running certs room and what edge would ask of it."""

    def __init__(self, folder: Path) -> None:
        self.context: TestContext = make_context(
            "certs", folder, clock=SystemClock(), parse=catalog.parse, registry=catalog.registry()
        )
        self.service = CertsService(self.context)

    async def start(self, document: Any = SITE) -> Room:
        await self.service.start()
        self.context.switch.use(self.service)
        await self.context.switch.apply(catalog.parse(document))
        return self

    async def ask(self, path: str) -> tuple[int, bytes]:
        handler = self.context.hop.handler("certs", SERVICE_REVISION, "certificates")
        here = ConnectionFacts(("", 0), ("", 0), "http")
        request = Request("GET", "http", "certs", path, None, Headers(), b"", here)
        response = await handler.handle(request)
        assert isinstance(response.body, bytes)
        return response.status, response.body

    async def fetch(self, name: str) -> dict[str, Any]:
        status, body = await self.ask(f"/certificates/{name}")
        assert status == 200
        return json.loads(body)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = await Room(tmp_path).start()
    yield made
    await made.service.stop(1.0)


async def run(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")


async def serve(material: dict[str, Any], folder: Path) -> asyncio.Server:
    (folder / "leaf.crt").write_text(material["certificate"])
    (folder / "leaf.key").write_text(material["key"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.crt", folder / "leaf.key")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)


@pytest.mark.parametrize(
    ("asked", "called"), [("site.test", "site.test"), ("a.wild.test", "a.wild.test"), ("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")]
)  # fmt: skip
async def test_openssl_and_curl_accept_a_leaf(room: Room, tmp_path: Path, asked: str, called: str):
    server = await serve(await room.fetch(asked), tmp_path)
    port = server.sockets[0].getsockname()[1]
    root = str(tmp_path / "pki/authorities/local/root.crt")
    check = ("-verify_ip",) if called[0].isdigit() else ("-verify_hostname",)
    status, output = await run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", root,
        "-verify_return_error", "-x509_strict", *check, called,
    )  # fmt: skip
    assert status == 0, output
    assert "Verify return code: 0 (ok)" in output
    status, output = await run(
        "curl", "-sS", "--noproxy", "*", "--cacert", root,
        "--connect-to", f"{called}:443:127.0.0.1:{port}", f"https://{called}/",
    )  # fmt: skip
    assert (status, output) == (0, "ok")
    server.close()
    await server.wait_closed()


async def test_a_leaf_is_for_its_name_alone(room: Room, tmp_path: Path):
    server = await serve(await room.fetch("site.test"), tmp_path)
    port = server.sockets[0].getsockname()[1]
    root = str(tmp_path / "pki/authorities/local/root.crt")
    status, _ = await run(
        "curl", "-sS", "--noproxy", "*", "--cacert", root,
        "--connect-to", f"other.test:443:127.0.0.1:{port}", "https://other.test/",
    )  # fmt: skip
    assert status == 60  # the peer's certificate is not acceptable
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("name", ["evil.example", "x.y.wild.test", "..%2f..%2fetc", "", "8.8.8.8"])
async def test_strangers_get_nothing_and_nothing_is_written(room: Room, tmp_path: Path, name: str):
    with pytest.raises(HttpError) as caught:
        await room.ask(f"/certificates/x{name}" if not name else f"/certificates/{name}")
    assert caught.value.status == 404
    assert not (tmp_path / "certificates").exists()


async def test_the_list_of_certificates_shows_no_key(room: Room):
    await room.fetch("site.test")
    status, body = await room.ask("/certificates")
    assert status == 200
    assert [entry["name"] for entry in json.loads(body)] == ["site.test"]
    assert b"PRIVATE" not in body


async def test_the_authority_is_told_as_caddy_tells_it(room: Room, tmp_path: Path):
    about = json.loads((await room.ask("/pki/ca/local"))[1])
    root = (tmp_path / "pki/authorities/local/root.crt").read_text()
    assert about["id"] == "local"
    assert about["root_certificate"] == root
    chain = (await room.ask("/pki/ca/local/certificates"))[1].decode()
    assert chain == about["intermediate_certificate"] + root
    with pytest.raises(HttpError) as caught:
        await room.ask("/pki/ca/none")
    assert caught.value.status == 404


async def test_a_restart_keeps_the_root_and_the_leaf(room: Room, tmp_path: Path):
    before = await room.fetch("site.test")
    root = (tmp_path / "pki/authorities/local/root.crt").read_bytes()
    again = await Room(tmp_path).start()
    assert (await again.fetch("site.test"))["fingerprint"] == before["fingerprint"]
    assert (tmp_path / "pki/authorities/local/root.crt").read_bytes() == root
    await again.service.stop(1.0)


async def test_a_new_root_replaces_old_leaves(room: Room, tmp_path: Path):
    before = await room.fetch("site.test")
    for file in (tmp_path / "pki/authorities/local").iterdir():
        file.unlink()
    again = await Room(tmp_path).start()
    assert (await again.fetch("site.test"))["fingerprint"] != before["fingerprint"]
    await again.service.stop(1.0)


@pytest.mark.parametrize(
    ("apps", "path"),
    [
        (
            {"tls": {"automation": {"policies": [{"issuers": [{"module": "internal", "lifetime": "8d"}]}]}}},
            "apps.tls.automation.policies[0].issuers[0].lifetime",
        ),
        (
            {"tls": {"automation": {"policies": [{"issuers": [{"module": "internal", "ca": "other"}]}]}}},
            "apps.tls.automation.policies[0].issuers[0].ca",
        ),
        (
            {"tls": {"certificates": {"load_files": [{"certificate": "/none", "key": "/none"}]}}},
            "apps.tls.certificates.load_files[0]",
        ),
        ({"tls": {"certificates": {"load_folders": ["/none"]}}}, "apps.tls.certificates.load_folders[0]"),
        ({"tls": {"certificates": {"automate": ["not a name"]}}}, "apps.tls.certificates.automate[0]"),
    ],
)  # fmt: skip
async def test_a_configuration_that_cannot_be_kept_is_refused_where_it_stands(
    room: Room, apps: dict[str, Any], path: str
):
    with pytest.raises(ConfigError) as caught:
        await room.context.switch.apply(catalog.parse({"apps": {**SITE["apps"], **apps}}))
    assert caught.value.path == path
    await room.fetch("site.test")  # the one in force goes on


async def test_a_folder_of_certificates_is_used_as_it_is(room: Room, tmp_path: Path):
    material = await room.fetch("site.test")
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "site.crt").write_text(material["certificate"])
    (folder / "site.key").write_text(material["key"])
    (folder / "README").write_text("not a certificate")
    again = Room(tmp_path / "data")
    document = {"apps": {"tls": {"certificates": {"load_folders": [str(folder)]}}}}
    await again.start(document)
    found = await again.fetch("site.test")
    assert (found["fingerprint"], found["issuer"]) == (material["fingerprint"], "loaded")
    await again.service.stop(1.0)
