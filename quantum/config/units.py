"""The units of configuration values: durations, sizes, network addresses, weak strings, secrets.

All are field types for ``StrictModel``; their errors are ValueErrors without a path, which the model
adds. What a field holds afterwards is plain: a Duration is float seconds, a ByteSize int bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,  # the Greek letter beside the micro sign above: Go takes both
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
MAX_DURATION_NS = 2**63 - 1
"""Go's time.Duration is an int64 of nanoseconds (292 years); more is an error there and here."""
MAX_DURATION_LENGTH = 1024
"""Characters of a duration's text; Caddy's own limit."""

_DURATION = re.compile(r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d*)(?:\.(\d*))?([a-zµμ]+)", re.ASCII)


def parse_duration(value: Any) -> float:
    """Return seconds: Go's syntax plus ``d`` ("1d12h", "250ms"), or an integer of nanoseconds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _seconds(value)
    if not isinstance(value, str):
        raise ValueError('must be a duration: text such as "30s" or a whole number of nanoseconds')
    if value in {"0", "+0", "-0"}:
        return 0.0
    if len(value) > MAX_DURATION_LENGTH or not _DURATION.fullmatch(value):
        hint = f'; write "{value}s" for seconds' if value.isdecimal() else ""
        raise ValueError(
            f"{value[:40]!r} is not a duration: numbers with ns, us, ms, s, m, h or d{hint}"
        )
    return _seconds(-_count(value) if value.startswith("-") else _count(value))


def _count(text: str) -> int:
    total = 0
    for whole, fraction, unit in _DURATION_PART.findall(text.lstrip("+-")):
        scale = NANOSECONDS[unit]
        total += int(whole or 0) * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
    return total


def _seconds(nanoseconds: int) -> float:
    if abs(nanoseconds) > MAX_DURATION_NS:
        raise ValueError("the duration is longer than 292 years")
    return nanoseconds / 1_000_000_000


def format_duration(seconds: float) -> str:
    """Return the shortest text that ``parse_duration`` reads back as ``seconds``."""
    nanoseconds = round(seconds * 1_000_000_000)
    if nanoseconds == 0:
        return "0s"
    sign, rest, text = ("-" if nanoseconds < 0 else ""), abs(nanoseconds), ""
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, rest = divmod(rest, NANOSECONDS[unit])
        text += f"{count}{unit}" if count else ""
    return sign + text


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds as a float. In JSON: Go's duration text plus ``d``, or nanoseconds (caddy.Duration)."""

BYTE_UNITS = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9,
    "t": 10**12, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_BYTE_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)


def parse_byte_size(value: Any) -> int:
    """Return bytes: a whole number, or text such as "64KiB" (1024s) and "10MB" (1000s)."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a size cannot be negative")
        return value
    match = _BYTE_SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = match[2].lower() if match else ""
    if match is None or unit not in BYTE_UNITS:
        raise ValueError('must be a size: a number of bytes or text such as "64KiB" or "10MB"')
    if "." not in match[1]:
        return int(match[1]) * BYTE_UNITS[unit]
    return int(float(match[1]) * BYTE_UNITS[unit])


ByteSize = Annotated[int, BeforeValidator(parse_byte_size)]
"""Bytes. In JSON: a number, or text with a unit."""


def _weak_string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | str):
        return str(value)
    raise ValueError("must be a string or a number")


WeakString = Annotated[str, BeforeValidator(_weak_string)]
"""Text that JSON may also write as a number (a status code); may hold a placeholder."""


def _string_array(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


StringArray = Annotated[list[str], BeforeValidator(_string_array)]
"""A list of strings that JSON may write as one string."""


class Secret:
    """Text that MUST NOT reach a log: only ``reveal`` shows it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        made = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=made,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), made]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: "…"),
        )


UNIX_NETWORKS = frozenset({"unix", "unixgram", "unixpacket"})
FD_NETWORKS = frozenset({"fd", "fdgram"})
STREAM_NETWORKS = frozenset({"tcp", "tcp4", "tcp6", "unix", "unixpacket", "fd"})
NETWORKS = STREAM_NETWORKS | {"udp", "udp4", "udp6", "unixgram", "fdgram"}
DEFAULT_UNIX_MODE = 0o200
"""Caddy's: only the owner may connect."""


@dataclass(frozen=True, slots=True)
class NetworkAddress:
    """Where to listen or dial: ``network/host:port``, ``network/host:from-to``, ``unix//path|mode``.

    ``host`` is a name or IP without brackets ("" is every interface), the path of a unix socket
    (``@name`` is abstract), or the number of an inherited file descriptor. Ports are inclusive; of
    unix and fd addresses they are 0. ``mode`` is that of a unix socket's file.
    """

    network: str
    host: str
    start_port: int = 0
    end_port: int = 0
    mode: int = DEFAULT_UNIX_MODE

    DEFAULT_NETWORK: ClassVar[str] = "tcp"

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> NetworkAddress:
        """Read an address; without ``default_port`` the port is required. ValueError says what is wrong."""
        if not isinstance(text, str) or not text or text != text.strip():
            raise ValueError('must be a network address such as ":8080" or "unix//run/app.sock"')
        network, rest = _split_network(text)
        if network in UNIX_NETWORKS:
            return _unix_address(network, rest)
        if network in FD_NETWORKS:
            if not (rest.isascii() and rest.isdecimal()):
                raise ValueError(f"{text!r}: a file descriptor is a number: fd/3")
            return cls(network, rest)
        host, port = _split_host(rest, text)
        if port is None:
            if default_port is None:
                raise ValueError(f'{text!r} has no port: write "{rest}:PORT"')
            return cls(network, host, default_port, default_port)
        return cls(network, host, *_port_range(port, text))

    @property
    def is_unix(self) -> bool:
        """Whether ``host`` is the path (or @name) of a unix socket."""
        return self.network in UNIX_NETWORKS

    @property
    def is_fd(self) -> bool:
        """Whether ``host`` is the number of an inherited file descriptor."""
        return self.network in FD_NETWORKS

    @property
    def is_stream(self) -> bool:
        """Whether connections are byte streams (TCP, unix) rather than datagrams."""
        return self.network in STREAM_NETWORKS

    @property
    def port(self) -> int:
        """The only (or first) port."""
        return self.start_port

    def expand(self) -> list[NetworkAddress]:
        """Return one address for each port of the range."""
        ports = range(self.start_port, self.end_port + 1)
        return [replace(self, start_port=port, end_port=port) for port in ports]

    def host_port(self) -> str:
        """Return ``host:port`` with brackets where IPv6 needs them; the path of a unix socket."""
        if self.is_unix or self.is_fd:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        ports = f"{self.start_port}"
        return f"{host}:{ports}" + (f"-{self.end_port}" if self.end_port != self.start_port else "")

    def __str__(self) -> str:
        prefix = "" if self.network == self.DEFAULT_NETWORK else f"{self.network}/"
        mode = f"|{self.mode:04o}" if self.is_unix and self.mode != DEFAULT_UNIX_MODE else ""
        return f"{prefix}{self.host_port()}{mode}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(value),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


def _split_network(text: str) -> tuple[str, str]:
    before, slash, after = text.partition("/")
    if not slash:
        return NetworkAddress.DEFAULT_NETWORK, text
    network = before.lower()
    if network in NETWORKS:
        return network, after
    if before.endswith(":"):
        raise ValueError(f"{text!r} is a URL, not an address: leave out {before}//")
    raise ValueError(
        f"{text!r}: unknown network {before!r} (there are {', '.join(sorted(NETWORKS))})"
    )


def _unix_address(network: str, rest: str) -> NetworkAddress:
    path, bar, bits = rest.partition("|")
    if not path or "\0" in path:
        raise ValueError("a unix socket needs a path: unix//run/app.sock")
    if not bar:
        return NetworkAddress(network, path)
    if not re.fullmatch(r"[0-7]{3,4}", bits):
        raise ValueError(f"{bits!r} is not a file mode: four octal digits such as 0220")
    mode = int(bits, 8)
    if not mode & DEFAULT_UNIX_MODE:
        raise ValueError(f"mode {bits} of a unix socket must let its owner write (0200)")
    return NetworkAddress(network, path, mode=mode)


def _split_host(rest: str, text: str) -> tuple[str, str | None]:
    """Return host and port text; the port is None when the address has none."""
    if any(c.isspace() or c in "/|" for c in rest):
        raise ValueError(f"{text!r} is not an address of the form network/host:port")
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(f"{text!r}: brackets hold an IPv6 address: [::1]:8080")
        return host, port[1:] if port else None
    if rest.count(":") > 1 and "{" not in rest:
        raise ValueError(f'{text!r} is ambiguous: write IPv6 in brackets, "[…]:PORT"')
    if "{" in rest:  # a placeholder may hold colons of its own: the port follows the last brace
        head, colon, port = rest.rpartition(":")
        return (head, port) if colon and "}" not in port else (rest, None)
    host, colon, port = rest.partition(":")
    return host, port if colon else None


def _port_range(port: str, text: str) -> tuple[int, int]:
    first, dash, last = port.partition("-")
    numbers = [first, last] if dash else [first]
    if not all(n.isascii() and n.isdecimal() for n in numbers):
        raise ValueError(f"{text!r}: {port!r} is no port: a number from 0 to 65535, or from-to")
    start, end = int(first), int(last if dash else first)
    if max(start, end) > 65535:
        raise ValueError(f"{text!r}: ports end at 65535")
    if end < start:
        raise ValueError(f"{text!r}: the port range runs backwards")
    return start, end
