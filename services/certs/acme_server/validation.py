"""Whether a client holds a name: the three challenges of RFC 8555 §8 and RFC 8737.

The server connects to whatever the client named, as every authority does: only to the ports that the
RFCs fix, for a few seconds, without following redirects, reading no more than a proof has, and telling
the client nothing of what else it found there. Which names may be asked for is the policy's.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable

from cryptography import x509

from quantum.net.client_hello import ACME_PROTOCOL
from quantum.net.fetch import FetchFailedError, Wish, fetch
from quantum.trust.acme_tls import ACME_IDENTIFIER, identifier_of, server_name_of
from services.certs.acme_server.problems import AcmeProblem
from services.certs.acme_server.signed import encode

Sleep = Callable[[float], Awaitable[None]]

ATTEMPTS = 3
"""Looks at a challenge before it counts as failed: a client may need a moment until its answer is served."""
ATTEMPT_SECONDS = 2.0
HTTP_PORT = 80
TLS_PORT = 443
SECONDS = 10.0
"""For one look."""
MAX_PROOF = 4096
"""Bytes of an HTTP answer: a proof has less than two hundred."""


async def prove(
    kind: str, name: str, token: str, proof: str, resolvers: list[str], sleep: Sleep
) -> AcmeProblem | None:
    """Look a few times whether a challenge is met; return why it is not, None when it is."""
    problem: AcmeProblem | None = None
    for attempt in range(ATTEMPTS):
        await sleep(ATTEMPT_SECONDS if attempt else 0.0)
        try:
            await look(kind, name, token, proof, resolvers)
        except AcmeProblem as error:
            problem = error
        else:
            return None
    return problem


async def look(kind: str, name: str, token: str, proof: str, resolvers: list[str]) -> None:
    """Return when the challenge is met for ``name``; AcmeProblem says why not. ``proof`` is the key authorization."""
    if kind == "http-01":
        await _look_http(name, token, proof)
    elif kind == "tls-alpn-01":
        await asyncio.to_thread(_look_tls, name, proof)
    else:
        await _look_dns(name.removeprefix("*."), proof, resolvers)


async def _look_http(name: str, token: str, proof: str) -> None:
    url = f"http://{_host(name)}:{HTTP_PORT}/.well-known/acme-challenge/{token}"
    host = _host(name) if HTTP_PORT == 80 else f"{_host(name)}:{HTTP_PORT}"
    try:
        wish = Wish(url, fields={"Host": host}, max_bytes=MAX_PROOF, seconds=SECONDS)
        answer = await fetch(wish)
    except FetchFailedError:
        raise AcmeProblem("connection", f"no answer from port {HTTP_PORT} of {name}") from None
    if answer.status != 200:
        raise AcmeProblem("incorrectResponse", f"{name} answers {answer.status} to http-01")
    if not hmac.compare_digest(answer.body.strip(), proof.encode()):
        raise AcmeProblem("incorrectResponse", f"{name} answers http-01 with something else")


def _look_tls(name: str, proof: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is self-signed; what is in it counts
    context.set_alpn_protocols([ACME_PROTOCOL])
    try:
        with (
            socket.create_connection((name, TLS_PORT), timeout=SECONDS) as raw,
            context.wrap_socket(raw, server_hostname=server_name_of(name)) as tls,
        ):
            protocol, der = tls.selected_alpn_protocol(), tls.getpeercert(binary_form=True)
    except OSError:
        raise AcmeProblem(
            "tls", f"no TLS with {ACME_PROTOCOL} on port {TLS_PORT} of {name}"
        ) from None
    if protocol != ACME_PROTOCOL or der is None:
        raise AcmeProblem("tls", f"{name} does not agree on {ACME_PROTOCOL}")
    if not _proves(der, name, proof):
        raise AcmeProblem("incorrectResponse", f"the certificate of {name} proves nothing")


def _proves(der: bytes, name: str, proof: str) -> bool:
    """Whether a certificate has exactly this name, and the digest of the proof in a critical extension."""
    try:
        extensions = x509.load_der_x509_certificate(der).extensions
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        found = extensions.get_extension_for_oid(ACME_IDENTIFIER)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False
    value = getattr(found.value, "value", b"")
    is_named = len(names) == 1 and str(names[0].value).lower() == name
    return is_named and found.critical and hmac.compare_digest(value, identifier_of(proof))


async def _look_dns(name: str, proof: str, resolvers: list[str]) -> None:
    from dns import exception

    from services.certs.challenges.lookup import LookupFailed, make_resolver

    expected = encode(hashlib.sha256(proof.encode()).digest()).encode()
    try:
        resolver = await make_resolver(resolvers)
        answer = await resolver.resolve(f"_acme-challenge.{name}", "TXT", lifetime=SECONDS)
    except (exception.DNSException, OSError, LookupFailed):
        raise AcmeProblem("dns", f"no TXT record at _acme-challenge.{name}") from None
    if not any(hmac.compare_digest(b"".join(record.strings), expected) for record in answer):
        raise AcmeProblem("incorrectResponse", f"_acme-challenge.{name} has another value")


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name
