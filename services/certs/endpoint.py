"""What other rooms may ask of this one, over the hop: key material (edge) and the authorities (admin).

``GET /certificates``               → what exists, without keys
``GET /certificates/<name>``        → 200 with chain and key, 202 while it is obtained, 404 unknown
``GET /certificates/selected/<json>`` → those at hand that a ``certificate_selection`` means, with their keys
``GET /session-tickets``            → the secrets that TLS sessions are resumed with
``GET /stored/<key>``               → the certificates (never a key) in a file of the storage
``GET /pki/ca/<id>``                → names and certificates of an authority (Caddy's fields)
``GET /pki/ca/<id>/certificates``   → its chain as PEM
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from quantum.errors import ConfigError, HttpError
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.modules.selection import CertificateSelection
from services.certs.book import CertificateBook
from services.certs.issuers.api import IssuanceFailed
from services.certs.issuers.authority import Authority
from services.certs.keeping.storage import Storage
from services.certs.keeping.tickets import TicketSecrets
from services.certs.material import Material, certificate_pem
from services.certs.names import normalise

_PEM = (b"content-type", b"application/pem-certificate-chain")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?")


class CertificatesEndpoint:
    """A Handler; the hop has checked that a room of this deployment asks."""

    def __init__(
        self,
        book: CertificateBook,
        find_authority: Callable[[str], Authority | None],
        storage: Storage,
        tickets: TicketSecrets,
    ) -> None:
        self._book = book
        self._storage = storage
        self._tickets = tickets
        self._find_authority = find_authority

    async def handle(self, request: Request) -> Response:
        """Answer one question; HttpError for what is not there."""
        if request.method not in {"GET", "HEAD"}:
            raise HttpError(405, "only GET", ((b"allow", b"GET, HEAD"),))
        match [unquote(part) for part in request.path.strip("/").split("/")]:
            case ["certificates"]:
                return _json(200, [_about(n, m) for n, m in sorted(self._book.all().items())])
            case ["certificates", name]:
                return await self._certificate(name)
            case ["certificates", "selected", text]:
                return self._selected(text)
            case ["session-tickets"]:
                keys, left = await asyncio.to_thread(self._tickets.current)
                content = [base64.b64encode(key).decode() for key in keys]
                disabled = self._tickets.config.disabled
                return _json(200, {"keys": content, "next": left, "disabled": disabled})
            case ["stored", key]:
                return await self._stored(key)
            case ["pki", "ca", authority]:
                return await self._authority(authority)
            case ["pki", "ca", authority, "certificates"]:
                return await self._chain(authority)
        raise HttpError(404, "certs knows no such path")

    async def _certificate(self, text: str) -> Response:
        name = normalise(text)
        if name is None:
            raise HttpError(404, "no certificate can have this name")
        try:
            kept, material = await self._book.find(name)
        except KeyError:
            raise HttpError(404, f"no configuration names {name}") from None
        except IssuanceFailed as error:
            raise HttpError(503, error.reason) from error
        if material is None:
            return _json(202, {"name": kept, "state": "pending"})
        return _json(200, _with_key(kept, material))

    def _selected(self, text: str) -> Response:
        try:
            selection = CertificateSelection.parse(json.loads(text))
        except (ValueError, ConfigError) as error:
            raise HttpError(400, f"no selection: {error}") from error
        found = self._book.selected(selection)
        return _json(200, [_with_key(next(iter(m.subjects), ""), m) for m in found])

    async def _stored(self, key: str) -> Response:
        try:
            content = await asyncio.to_thread(self._storage.place(key).read_bytes)
        except (OSError, ValueError):
            content = b""
        found = _CERTIFICATE.findall(content)
        if not found:
            raise HttpError(404, f"the storage has no certificate under {key!r}")
        return Response(200, Headers([_PEM]), b"\n".join(found))

    async def _authority(self, name: str) -> Response:
        authority = self._get(name)
        root, intermediate = await asyncio.to_thread(_certificates, authority)
        return _json(
            200,
            {
                "id": authority.name,
                "name": authority.display_name,
                "root_common_name": authority.root_common_name,
                "intermediate_common_name": authority.intermediate_common_name,
                "root_certificate": root,
                "intermediate_certificate": intermediate,
            },
        )

    async def _chain(self, name: str) -> Response:
        root, intermediate = await asyncio.to_thread(_certificates, self._get(name))
        return Response(200, Headers([_PEM]), (intermediate + root).encode())

    def _get(self, name: str) -> Authority:
        authority = self._find_authority(name)
        if authority is None:
            raise HttpError(404, f"there is no certificate authority {name!r}")
        return authority


def _certificates(authority: Authority) -> tuple[str, str]:
    root, intermediate = authority.root(), authority.intermediate()
    return certificate_pem(root.certificate).decode(), certificate_pem(
        intermediate.certificate
    ).decode()


def _about(name: str, material: Material) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": list(material.subjects),
        "fingerprint": material.fingerprint,
        "not_before": material.not_before.isoformat(),
        "not_after": material.not_after.isoformat(),
        "issuer": material.issuer,
        "tags": list(material.tags),
    }


def _with_key(name: str, material: Material) -> dict[str, Any]:
    return {
        **_about(name, material),
        "certificate": material.chain.decode(),
        "key": material.key.decode(),
    }


def _json(status: int, content: Any) -> Response:
    headers = Headers([(b"content-type", b"application/json"), (b"cache-control", b"no-store")])
    return Response(status, headers, json.dumps(content).encode())
