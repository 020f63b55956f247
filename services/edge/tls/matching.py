"""Which handshakes a policy is for (``tls.handshake_match.*``)."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from quantum.config.pattern import Pattern
from quantum.http.forwarding import Networks
from quantum.net.client_hello import ClientHello
from services.edge.tls.config import HandshakeMatch

Fits = Callable[[ClientHello, str], bool]


def compile_match(match: HandshakeMatch) -> Fits:
    """Return the question whether a hello that came to an address fits; all that is given must."""
    questions: list[Fits] = []
    if match.sni is not None:
        names = [name.lower().split(".") for name in match.sni]
        questions.append(lambda hello, _: any(_fits(hello.server_name, name) for name in names))
    if match.sni_regexp is not None:
        pattern = Pattern(match.sni_regexp.pattern)
        questions.append(lambda hello, _: pattern.search(hello.server_name) is not None)
    if match.remote_ip is not None:
        questions.append(_remote(match.remote_ip.ranges, match.remote_ip.not_ranges))
    if match.local_ip is not None:
        local = Networks(match.local_ip.ranges)
        questions.append(lambda _, local_ip: local_ip in local)
    return lambda hello, local_ip: all(ask(hello, local_ip) for ask in questions)


def _remote(ranges: list[str], not_ranges: list[str]) -> Fits:
    wanted, excluded = Networks(ranges), Networks(not_ranges)
    takes_all = not ranges
    return lambda hello, _: (
        hello.remote_ip not in excluded and (takes_all or hello.remote_ip in wanted)
    )


def _fits(name: str, wanted: list[str]) -> bool:
    """Whether a name fits labels of which ``*`` stands for any one."""
    labels = name.split(".")
    return len(labels) == len(wanted) and all(map(fnmatchcase, labels, wanted))
