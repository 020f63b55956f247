"""The fields of an encoded answer, and the validators of requests that come back with them (pure).

A strong entity tag names bytes, so the encoded ones get a tag of their own: ``"x"`` becomes ``"x-gzip"``
(RFC 9110 §8.8.3.3). Who made the tag does not know, so the ending is taken off again in If-None-Match.
In If-Match and If-Range it stays: what they ask for would be the bytes before encoding.
"""

from __future__ import annotations

from quantum.http.headers import Headers

_ACCEPT_ENCODING = b"Accept-Encoding"
_OF_OTHER_BYTES = frozenset({
    b"accept-ranges", b"content-length", b"content-digest", b"repr-digest", b"digest", b"content-md5",
})  # fmt: skip
"""What is true of the bytes before encoding alone: ranges, length, checksums (RFC 9530)."""


def forbids_transform(headers: Headers) -> bool:
    """Whether Cache-Control says that nobody between may change the content (RFC 9111 §5.2.2.6)."""
    value = headers.joined(b"cache-control")
    return value is not None and b"no-transform" in value.lower()


def encoded_fields(headers: Headers, encoding: str) -> Headers:
    """Return the fields for the same content in ``encoding``."""
    kept = [field for field in headers.fields if field[0] not in _OF_OTHER_BYTES]
    fields = Headers(kept)
    name = encoding.encode()
    fields.set(b"content-encoding", name)
    add_vary(fields)
    etag = fields.get(b"etag")
    if etag and not etag.startswith(b"W/"):
        fields.set(b"etag", etag.removesuffix(b'"') + b"-" + name + b'"')
    return fields


def add_vary(headers: Headers) -> None:
    """Tell caches that the answer depends on Accept-Encoding, unless something did."""
    for value in headers.all(b"vary"):
        if any(part.strip().lower() == b"accept-encoding" for part in value.split(b",")):
            return
    headers.add(b"vary", _ACCEPT_ENCODING)


def restore_validators(headers: Headers, encoding: str) -> None:
    """Give the strong tags of If-None-Match the form they had before ``encoded_fields``."""
    value = headers.joined(b"if-none-match")
    ending = b"-" + encoding.encode() + b'"'
    if value is None or ending not in value:
        return
    tags = [tag.strip() for tag in value.split(b",")]
    restored = [
        tag.removesuffix(ending) + b'"' if tag.startswith(b'"') and tag.endswith(ending) else tag
        for tag in tags
    ]
    headers.set(b"if-none-match", b", ".join(restored))
