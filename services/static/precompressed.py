"""``http.precompressed.*``: files beside a file that hold it compressed already (``app.js.br``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from quantum.http.message import Request
from quantum.http.negotiation.accept_encoding import accepted_encodings
from quantum.modules.lifetime import Provision
from services.static.config import PrecompressedConfig


class Brotli:
    """RFC 7932."""

    suffix = ".br"

    def __init__(self, config: PrecompressedConfig, provision: Provision) -> None:
        pass


class Gzip:
    """RFC 1952."""

    suffix = ".gz"

    def __init__(self, config: PrecompressedConfig, provision: Provision) -> None:
        pass


class Zstd:
    """RFC 8878."""

    suffix = ".zst"

    def __init__(self, config: PrecompressedConfig, provision: Provision) -> None:
        pass


class Sidecars:
    """Which compressed files may stand in for a file."""

    def __init__(self, suffixes: Mapping[str, str], order: Sequence[str]) -> None:
        """``suffixes`` by content coding; ``order`` decides where the client has no preference."""
        self._suffixes = dict(suffixes)
        self._order = tuple(order)

    def of(self, request: Request) -> Iterator[tuple[bytes, str]]:
        """Yield the content codings to look for and their files' endings, best first."""
        if not self._suffixes or request.upgrade is not None:
            return
        accepted = request.headers.joined(b"accept-encoding")
        if accepted is None:
            return
        for encoding in accepted_encodings(accepted, self._order):
            suffix = self._suffixes.get(encoding)
            if suffix is not None:
                yield encoding.encode(), suffix
