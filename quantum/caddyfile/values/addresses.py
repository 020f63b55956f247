"""Network addresses as Caddy takes them apart and writes them."""

from __future__ import annotations

from dataclasses import dataclass

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.values.numbers import quoted

UNIX = frozenset({"unix", "unixgram", "unixpacket", "unix+h2c"})
FILES = frozenset({"fd", "fdgram"})
MAX_PORTS = 65535


def split_host_port(text: str) -> tuple[str, str]:
    """Return host and port; ``net.SplitHostPort``."""
    colon = text.rfind(":")
    if colon < 0:
        raise _broken(text, "missing port in address")
    if text.startswith("["):
        end = text.find("]")
        if end < 0:
            raise _broken(text, "missing ']' in address")
        if end + 1 == len(text):
            raise _broken(text, "missing port in address")
        if end + 1 != colon:
            both = text[end + 1] == ":"
            raise _broken(text, "too many colons in address" if both else "missing port in address")
        host, rest_open, rest_close = text[1:end], text[1:], text[end + 1 :]
    else:
        host, rest_open, rest_close = text[:colon], text, text
        if ":" in host:
            raise _broken(text, "too many colons in address")
    if "[" in rest_open:
        raise _broken(text, "unexpected '[' in address")
    if "]" in rest_close:
        raise _broken(text, "unexpected ']' in address")
    return host, text[colon + 1 :]


def _broken(text: str, reason: str) -> CaddyfileError:
    return CaddyfileError(f"address {text}: {reason}")


def join_host_port(host: str, port: str) -> str:
    """Return ``host:port``, with brackets for IPv6."""
    return f"[{host}]:{port}" if ":" in host or "%" in host else f"{host}:{port}"


def is_file(network: str) -> bool:
    """Whether such addresses have no port."""
    return network in UNIX or network in FILES


def split(text: str) -> tuple[str, str, str]:
    """Return network, host and port of ``net/host:port``."""
    network, slash, rest = text.partition("/")
    if slash:
        network = network.strip().lower()
        if is_file(network):
            return network, rest, ""
    else:
        network, rest = "", text
    try:
        host, port = split_host_port(rest)
    except CaddyfileError as error:
        try:
            host, _ = split_host_port(join_host_port(rest.strip("[]"), "0"))
        except CaddyfileError as second:
            raise CaddyfileError(f"{error.problem}\n{second.problem}") from None
        port = ""
    return network, host, port


def join(network: str, host: str, port: str) -> str:
    """Return the written form."""
    prefix = f"{network}/" if network else ""
    if (host and not port) or is_file(network):
        return prefix + host
    return prefix + (join_host_port(host, port) if port else "")


@dataclass(frozen=True, slots=True)
class NetworkAddress:
    """A place to listen on or to dial, perhaps with a range of ports."""

    network: str
    host: str
    start: int = 0
    end: int = 0

    @property
    def port(self) -> str:
        """The port or the range, as written; "" for files."""
        if is_file(self.network):
            return ""
        return str(self.start) if self.start == self.end else f"{self.start}-{self.end}"

    def __str__(self) -> str:
        return join("" if self.network == "tcp" else self.network, self.host, self.port)


def parse(text: str, network: str = "tcp", port: int = 0) -> NetworkAddress:
    """Return the address; ``network`` and ``port`` are for what is not said."""
    given, host, ports = split(text)
    network = given or network
    if is_file(network):
        return NetworkAddress(network, host)
    if not ports:
        return NetworkAddress(network, host, port, port)
    first, dash, last = ports.partition("-")
    start = _port(first, "start")
    end = _port(last, "end") if dash else start
    if end < start:
        raise CaddyfileError("end port must not be less than start port")
    if end - start > MAX_PORTS:
        raise CaddyfileError(f"port range exceeds {MAX_PORTS} ports")
    return NetworkAddress(network, host, start, end)


def _port(text: str, which: str) -> int:
    if not text.isdecimal() or not text.isascii():
        problem = "invalid syntax"
    elif int(text) > MAX_PORTS:
        problem = "value out of range"
    else:
        return int(text)
    raise CaddyfileError(
        f"invalid {which} port: strconv.ParseUint: parsing {quoted(text)}: {problem}"
    )
