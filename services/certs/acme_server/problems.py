"""What an ACME client is told when something is wrong (RFC 8555 §6.7)."""

from __future__ import annotations

import json
from typing import Any

PREFIX = "urn:ietf:params:acme:error:"

STATUSES = {
    "accountDoesNotExist": 400, "alreadyRevoked": 400, "badCSR": 400, "badNonce": 400,
    "badPublicKey": 400, "badRevocationReason": 400, "badSignatureAlgorithm": 400, "connection": 400,
    "dns": 400, "incorrectResponse": 403, "malformed": 400, "orderNotReady": 403, "rateLimited": 429,
    "rejectedIdentifier": 400, "serverInternal": 500, "tls": 400, "unauthorized": 403,
    "unsupportedIdentifier": 400,
}  # fmt: skip
"""The types that are used here, and their statuses."""


class AcmeProblem(Exception):
    """Ends a request, or a challenge, with a problem document."""

    def __init__(self, kind: str, detail: str, status: int = 0) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status or STATUSES[kind]

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"type": PREFIX + self.kind, "detail": self.detail, "status": self.status}

    def body(self) -> bytes:
        """Return it as the body of an answer."""
        return json.dumps(self.document()).encode()
