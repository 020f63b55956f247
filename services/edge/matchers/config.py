"""The configurations of Caddy's request matchers. Each model is the JSON value under the matcher's name."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from quantum.config.model import StrictModel, StrictRoot
from quantum.config.pattern import PatternText
from quantum.config.unbuilt import NotBuilt
from quantum.modules.config import MatcherSet
from quantum.modules.hosts import to_ascii

PROTOCOLS = (
    "http", "https", "grpc", "http/1.0", "http/1.0+", "http/1.1", "http/1.1+", "http/2", "http/2+",
    "http/3", "http/3+",
)  # fmt: skip

TryPolicy = Literal[
    "first_exist", "first_exist_fallback", "smallest_size", "largest_size", "most_recently_modified"
]


class HostConfig(StrictRoot[list[str]]):
    """``http.matchers.host``: names, with ``*`` for one label; any one matches."""

    @field_validator("root")
    @classmethod
    def _no_duplicates(cls, names: list[str]) -> list[str]:
        seen: dict[str, int] = {}
        for index, name in enumerate(names):
            first = seen.setdefault(to_ascii(name), index)
            if first != index:
                raise ValueError(f"host {name!r} at index {first} is repeated at index {index}")
        return names


class PathConfig(StrictRoot[list[str]]):
    """``http.matchers.path``: exact, ``/prefix*``, ``*.suffix``, ``*part*`` or a glob; any one matches."""


class MethodConfig(StrictRoot[list[str]]):
    """``http.matchers.method``: methods, compared exactly."""


class HeaderConfig(StrictRoot[dict[str, list[str] | None]]):
    """``http.matchers.header``: every field must match one of its values; [] present, null absent."""


class ProtocolConfig(StrictRoot[str]):
    """``http.matchers.protocol``: http, https, grpc, or a version, ``+`` meaning "or later"."""

    @field_validator("root")
    @classmethod
    def _is_known(cls, protocol: str) -> str:
        if protocol.lower() not in PROTOCOLS:
            raise ValueError(f"unknown protocol {protocol!r}; there are: {', '.join(PROTOCOLS)}")
        return protocol.lower()


class NotConfig(StrictRoot[list[MatcherSet]]):
    """``http.matchers.not``: matches when none of the matcher sets does."""


class QueryConfig(StrictRoot[dict[str, list[str]]]):
    """``http.matchers.query``: every key must have one of its values, ``*`` any; {} means no query."""


def _range(text: str) -> str:
    if "{" not in text and text != "private_ranges":
        ipaddress.ip_network(text.partition("%")[0], strict=False)
    return text


class AddressConfig(StrictModel):
    """``http.matchers.remote_ip`` and ``client_ip``: addresses and CIDR ranges."""

    ranges: list[Annotated[str, AfterValidator(_range)]] = Field(default_factory=list)


class RegexpConfig(StrictModel):
    """A regular expression; its groups become ``{http.regexp.<name>.<group>}``."""

    name: str = Field(default="", pattern=r"^\w*$")
    pattern: PatternText = ""


class HeaderRegexpConfig(StrictRoot[dict[str, RegexpConfig]]):
    """``http.matchers.header_regexp``: every field must match its expression."""


class VarsConfig(StrictRoot[dict[str, list[str]]]):
    """``http.matchers.vars``: every variable, or ``{placeholder}``, must have one of its values."""


class VarsRegexpConfig(StrictRoot[dict[str, RegexpConfig]]):
    """``http.matchers.vars_regexp``: every variable, or ``{placeholder}``, must match its expression."""


def _ascii(text: str) -> str:
    if not text or not text.isascii():
        raise ValueError("split_path has plain ASCII such as .php")
    return text


class FileConfig(StrictModel):
    """``http.matchers.file``: matches when one of ``try_files`` is there, below ``root`` as edge sees it.

    ``root`` by default is the variable ``root``, else the working directory. An entry may hold
    placeholders and globs; with a slash at its end it means a directory; ``=404`` fails with that
    status. ``split_path`` ends a file's name inside a path (``/index.php/rest``).
    """

    fs: NotBuilt = None
    root: str = ""
    try_files: list[str] = Field(default_factory=lambda: ["{http.request.uri.path}"])
    try_policy: TryPolicy = "first_exist"
    split_path: list[Annotated[str, AfterValidator(_ascii)]] = Field(default_factory=list)

    @field_validator("try_policy", mode="before")
    @classmethod
    def _default_policy(cls, policy: object) -> object:
        return policy or "first_exist"


class TlsConfig(StrictModel):
    """``http.matchers.tls``: any TLS connection; ``handshake_complete`` tells early data apart."""

    handshake_complete: bool | None = None
