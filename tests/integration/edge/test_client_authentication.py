"""Whom edge takes for a client: pools of roots from several places, exact leaves, anybody with a certificate."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from quantum.errors import ConfigError
from quantum.hop.resolve import SERVICE_REVISION
from quantum.http.message import Request, Response
from quantum.trust import pools
from tests.integration.edge.conftest import Edge
from tests.integration.edge.test_tls_policies import Client, asked_as

NEWEST = ssl.TLSVersion.TLSv1_3


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[str]:
    """A web server that gives one answer to everybody; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/roots.pem"


def document(body: bytes, status: bytes = b"200 OK", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)


class Certs:
    """The certs room as far as it answers questions for roots."""

    def __init__(self, pem: str) -> None:
        self._pem = pem

    async def handle(self, request: Request) -> Response:
        if request.path == "/pki/ca/local":
            found = {"root_certificate": self._pem, "intermediate_certificate": self._pem}
            return Response(200, None, json.dumps(found).encode())
        if request.path == "/stored/some%2Froot.crt":
            return Response(200, None, self._pem.encode())
        return Response(404)


def is_refused(error: ssl.SSLError | ConnectionError) -> bool:
    return not isinstance(error, ssl.SSLError) or "alert" in str(error).lower()


async def assert_only(edge: Edge, friend: Client, stranger: Client | None) -> None:
    assert (await asked_as(edge, friend, NEWEST)).startswith(b"HTTP/1.1 200")
    with pytest.raises((ssl.SSLError, ConnectionError)) as caught:
        await asked_as(edge, stranger, NEWEST)
    assert is_refused(caught.value)


@pytest.mark.parametrize("source", ["pki_root", "pki_intermediate", "storage", "http", "combined"])
async def test_roots_come_from_wherever_the_pool_says(
    edge: Edge, tmp_path: Path, source: str
) -> None:
    friend, stranger = Client(tmp_path, "friend"), Client(tmp_path, "stranger")
    other = Client(tmp_path, "other")
    pem = friend.file.read_text()
    room = Certs(pem)
    table = edge.context.hop.table
    table.install("certs", SERVICE_REVISION, {"certificates": room, "pki": room})
    async with serving(document(pem.encode())) as url:
        pool: dict[str, Any] = {
            "pki_root": {"authority": ["local"]},
            "pki_intermediate": {"authority": ["local"]},
            "storage": {"pem_keys": ["some/root.crt"]},
            "http": {"endpoints": [url]},
            "combined": {
                "sources": [
                    {"provider": "file", "pem_files": [str(other.file)]},
                    {"provider": "http", "endpoints": [url]},
                ]
            },
        }[source]
        trust = {"ca": {"provider": source, **pool}}
        wait = edge.serve(tls_connection_policies=[{"client_authentication": trust}])
        await asyncio.wait_for(wait, 30)
    table.install("certs", SERVICE_REVISION, {"certificates": edge.certs})
    await assert_only(edge, friend, stranger)
    if source == "combined":
        assert (await asked_as(edge, other, NEWEST)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (document(b"", b"404 Not Found"), "answers 404"),
        (document(b"", b"302 Found", b"Location: http://127.0.0.1:1/\r\n"), "answers 302"),
        (document(b"nothing of the kind"), "no certificate in PEM"),
        (document(b"x" * 2_000_000), "more than 1048576 bytes"),
        (b"", "closed connection without response"),
    ],
)
async def test_a_server_without_roots_refuses_the_configuration(
    edge: Edge, answer: bytes, problem: str
) -> None:
    async with serving(answer) as url:
        trust = {"ca": {"provider": "http", "endpoints": [url]}}
        with pytest.raises(ConfigError, match=problem) as caught:
            await edge.serve(tls_connection_policies=[{"client_authentication": trust}])
    assert caught.value.path.endswith("tls_connection_policies[0].client_authentication.ca")


async def test_an_authority_that_nobody_has_refuses_the_configuration(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "PATIENCE_SECONDS", 0.0)
    room = Certs("")
    edge.context.hop.table.install("certs", SERVICE_REVISION, {"certificates": room, "pki": room})
    trust = {"ca": {"provider": "pki_root", "authority": ["other"]}}
    with pytest.raises(ConfigError, match="404"):
        await edge.serve(tls_connection_policies=[{"client_authentication": trust}])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("mode", ["request", "require"])
async def test_anybodys_certificate_is_taken_where_that_is_asked(
    edge: Edge, tmp_path: Path, mode: str, version: ssl.TLSVersion
) -> None:
    seen: list[bytes | None] = []

    async def note(request: Request) -> Response:
        assert request.connection.tls is not None
        seen.append(request.connection.tls.client_certificate)
        return Response(204)

    stranger = Client(tmp_path, "stranger")
    await edge.serve(note, tls_connection_policies=[{"client_authentication": {"mode": mode}}])
    assert (await asked_as(edge, stranger, version)).startswith(b"HTTP/1.1 204")
    assert seen == [stranger.der]
    if mode == "request":
        assert (await asked_as(edge, None, version)).startswith(b"HTTP/1.1 204")
        assert seen[1] is None
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asked_as(edge, None, version)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("loader", ["file", "folder", "pem", "storage"])
async def test_only_these_very_certificates_come_in(
    edge: Edge, tmp_path: Path, loader: str, version: ssl.TLSVersion
) -> None:
    folder = tmp_path / "leaves"
    folder.mkdir()
    friend, stranger = Client(tmp_path, "friend"), Client(tmp_path, "stranger")
    (folder / "friend.pem").write_bytes(friend.file.read_bytes())
    room = Certs(friend.file.read_text())
    table = edge.context.hop.table
    table.install("certs", SERVICE_REVISION, {"certificates": room, "pki": room})
    named: dict[str, Any] = {
        "file": {"files": [str(friend.file)]},
        "folder": {"folders": [str(folder)]},
        "pem": {"certificates": [friend.file.read_text()]},
        "storage": {"certificates": ["some/root.crt"]},
    }[loader]
    verifier = {"verifier": "leaf", "leaf_certs_loaders": [{"loader": loader, **named}]}
    await edge.serve(tls_connection_policies=[{"client_authentication": {"verifiers": [verifier]}}])
    table.install("certs", SERVICE_REVISION, {"certificates": edge.certs})
    assert (await asked_as(edge, friend, version)).startswith(b"HTTP/1.1 200")
    with pytest.raises(ssl.SSLError, match="bad certificate"):
        await asked_as(edge, stranger, version)


async def test_a_leaf_must_also_lead_to_the_roots_that_are_given(
    edge: Edge, tmp_path: Path
) -> None:
    friend, cousin = Client(tmp_path, "friend"), Client(tmp_path, "cousin")
    both = [str(friend.file), str(cousin.file)]
    trust = {
        "ca": {"provider": "file", "pem_files": [str(friend.file)]},
        "verifiers": [
            {"verifier": "leaf", "leaf_certs_loaders": [{"loader": "file", "files": both}]}
        ],
    }
    await edge.serve(tls_connection_policies=[{"client_authentication": trust}])
    await assert_only(edge, friend, cousin)
    trust["ca"] = {"provider": "file", "pem_files": both}
    trust["trusted_leaf_certs"] = [friend.inline]
    await edge.serve(tls_connection_policies=[{"client_authentication": trust}])
    await assert_only(edge, friend, cousin)
