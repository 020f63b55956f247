"""Signed requests (RFC 8555 §6.2): what a JWS says, whether its signature and its nonce hold."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import josepy
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.jwa import JWASignature
from josepy.jwk import JWK

from services.certs.acme_server.problems import AcmeProblem

MAX_BODY = 64 * 1024
"""Bytes of a request: a CSR with a hundred names has ten KiB."""
MAX_NONCES = 10_000
"""Nonces that were given out and not used: the oldest is then refused, and its client asks for another."""

_CURVES = {"ES256": 256, "ES384": 384, "ES512": 521}
ALGORITHMS = (*_CURVES, "RS256")
"""What is taken: public keys only (§6.2 forbids MACs here)."""
RSA_BITS = range(2048, 4097)


class Nonces:
    """Numbers used once (§6.5), of one process: another one's client hears badNonce and tries again."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def make(self) -> str:
        """Return a new one."""
        nonce = secrets.token_urlsafe(16)
        self._known[nonce] = None
        if len(self._known) > MAX_NONCES:
            self._known.popitem(last=False)
        return nonce

    def use(self, nonce: object) -> None:
        """Take one back; AcmeProblem when it is unknown or was used."""
        if not isinstance(nonce, str) or nonce not in self._known:
            raise AcmeProblem("badNonce", "the nonce is unknown, was used or is too old")
        del self._known[nonce]


@dataclass(frozen=True)
class Signed:
    """A request whose signature was not looked at yet. ``payload`` None: POST-as-GET."""

    header: dict[str, Any]
    payload: dict[str, Any] | None
    signing_input: bytes
    signature: bytes

    @property
    def key(self) -> JWK:
        """The public key in the request; AcmeProblem when it has none that is taken."""
        return read_key(self.header.get("jwk"))

    def verify(self, key: JWK) -> None:
        """AcmeProblem unless ``key`` made the signature."""
        algorithm = self.header["alg"]
        if not _fits(key, algorithm):
            raise AcmeProblem("badPublicKey", f"the key is not one for {algorithm}")
        if not JWASignature.from_json(algorithm).verify(
            key.key, self.signing_input, self.signature
        ):
            raise AcmeProblem("malformed", "the signature does not hold")


def read_signed(body: bytes, url: str | None) -> Signed:
    """Take a request apart; AcmeProblem when it is none, or was signed for another URL (None: any)."""
    try:
        outer = json.loads(body)
        protected, text = outer["protected"], outer["payload"]
        header = json.loads(decode(protected))
        payload = json.loads(decode(text)) if text else None
        signature = decode(outer["signature"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AcmeProblem("malformed", "not a JWS in flattened JSON") from None
    if not isinstance(header, dict) or not (payload is None or isinstance(payload, dict)):
        raise AcmeProblem("malformed", "header and payload are objects")
    if header.get("alg") not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise AcmeProblem("badSignatureAlgorithm", f"alg is one of {known}")
    if ("jwk" in header) == ("kid" in header):
        raise AcmeProblem("malformed", "exactly one of jwk and kid is needed")
    if url is not None and header.get("url") != url:
        raise AcmeProblem("unauthorized", "the request was signed for another URL")
    return Signed(header, payload, f"{protected}.{text}".encode(), signature)


def read_key(jwk: object) -> JWK:
    """Return a public key; AcmeProblem when it is none, or none that is taken."""
    try:
        key = cast("JWK", JWK.from_json(cast("Mapping[str, Any]", jwk)))
    except (josepy.errors.Error, ValueError, TypeError, KeyError, AttributeError):
        raise AcmeProblem("badPublicKey", "the key cannot be read") from None
    if not any(_fits(key, algorithm) for algorithm in ALGORITHMS):
        raise AcmeProblem(
            "badPublicKey", "keys are P-256, P-384, P-521, or RSA of 2048 to 4096 bits"
        )
    return key


def thumbprint(key: JWK) -> str:
    """Return a key's thumbprint (RFC 7638), base64url."""
    return encode(key.thumbprint())


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return what base64url stands for; ValueError when it is none."""
    if not isinstance(text, str):
        raise ValueError("not text")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _fits(key: JWK, algorithm: str) -> bool:
    inner = getattr(key.key, "_wrapped", key.key)
    if isinstance(inner, ec.EllipticCurvePublicKey):
        return _CURVES.get(algorithm) == inner.curve.key_size
    return isinstance(inner, rsa.RSAPublicKey) and (
        algorithm == "RS256" and inner.key_size in RSA_BITS
    )
