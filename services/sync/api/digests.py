"""The digests a client sends with a content (RFC 9530), checked against what arrived."""

from __future__ import annotations

import base64
import binascii
import re

from quantum.http.headers import Headers
from services.sync.api.answers import Refused

_MEMBER = re.compile(rb"\s*([a-z0-9-]+)=:([A-Za-z0-9+/=]*):\s*")


def check_digests(headers: Headers, digest: bytes) -> None:
    """Raise Refused (400) unless every SHA-256 that was sent is ``digest``; other algorithms are skipped."""
    for name in (b"repr-digest", b"content-digest"):
        value = headers.joined(name)
        for member in value.split(b",") if value is not None else []:
            match = _MEMBER.fullmatch(member)
            if match is None:
                raise Refused(400, f"{name.decode()} is not a dictionary of byte sequences")
            if match[1] == b"sha-256" and _decode(match[2]) != digest:
                raise Refused(400, f"{name.decode()} does not match the content that arrived")


def _decode(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
