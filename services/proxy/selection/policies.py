"""The selection policies, one class each: ``choose(members, request)`` picks one of the available.

A policy is made from its configuration and lives as long as its handler. It MUST NOT wait. Randomness
is its own generator, so that tests can seed it.
"""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol
from urllib.parse import parse_qs

from quantum.http.message import Request
from quantum.modules.config import ModuleConfig
from quantum.modules.lifetime import Provision
from services.proxy.selection.config import (
    CookiePolicy,
    HeaderPolicy,
    PlainPolicy,
    QueryPolicy,
    RandomChoosePolicy,
    WeightedPolicy,
)
from services.proxy.selection.hashing import rendezvous
from services.proxy.upstreams import Member

SET_COOKIE_VAR = "proxy.set_cookie"
"""The request variable that holds the Set-Cookie value which the answer shall carry."""


class Policy(Protocol):
    """Picks an upstream."""

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return one of ``members`` (at least one, all available)."""


class RoundRobin:
    """Each in turn; among those available now, so that a missing one gives its turn to all."""

    def __init__(self, _: PlainPolicy, provision: Provision) -> None:
        self._turns = itertools.count()

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the next one."""
        return members[next(self._turns) % len(members)]


class WeightedRoundRobin:
    """In turn, each as often as its weight says, spread evenly (smooth weighted round robin)."""

    def __init__(self, config: WeightedPolicy, provision: Provision) -> None:
        self._weights = config.weights
        self._credit: dict[str, int] = {}

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the one with most credit; weights go by position, then by the upstream's own."""
        weighted = [(self._weight(m), m) for m in members]
        total = sum(weight for weight, _ in weighted)
        if total <= 0:
            return members[0]
        best, best_credit = members[0], 0
        for weight, member in weighted:
            credit = self._credit[member.address] = self._credit.get(member.address, 0) + weight
            if weight > 0 and credit > best_credit:
                best, best_credit = member, credit
        self._credit[best.address] -= total
        return best

    def _weight(self, member: Member) -> int:
        if member.position < len(self._weights):
            return self._weights[member.position]
        return member.weight


class RandomPick:
    """Any of them."""

    def __init__(self, _: PlainPolicy, provision: Provision) -> None:
        self.random = Random()  # noqa: S311 - balancing needs no secrets

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return a random one."""
        return members[int(self.random.random() * len(members))]


class RandomChoose:
    """The less busy of a few random ones: nearly as good as least_conn, without its herd."""

    def __init__(self, config: RandomChoosePolicy, provision: Provision) -> None:
        self._count = config.choose
        self.random = Random()  # noqa: S311

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the one with fewest requests of ``choose`` random ones."""
        drawn = self.random.sample(members, min(self._count, len(members)))
        return min(drawn, key=_in_flight)


class LeastConn:
    """The one with fewest requests under way; a random one of several."""

    def __init__(self, _: PlainPolicy, provision: Provision) -> None:
        self.random = Random()  # noqa: S311

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the least busy."""
        loads = [member.upstream.in_flight for member in members]
        fewest = min(loads)
        position = loads.index(fewest)
        for _ in range(int(self.random.random() * loads.count(fewest))):
            position = loads.index(fewest, position + 1)
        return members[position]


class First:
    """The first available, in the order of the configuration: failover."""

    def __init__(self, _: PlainPolicy, provision: Provision) -> None:
        """Keep nothing."""

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the first."""
        return members[0]


class _Hashing:
    """Rendezvous hashing of one fact of the request: a lost upstream moves only its own share."""

    def __init__(self, _: PlainPolicy, provision: Provision) -> None:
        """Keep nothing."""

    def key(self, request: Request) -> str:
        """Return the fact that decides."""
        raise NotImplementedError

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the one that the fact belongs to."""
        return rendezvous(members, self.key(request))


class IpHash(_Hashing):
    """By the peer's IP address."""

    def key(self, request: Request) -> str:
        """Return the address of the connection."""
        return request.connection.peer[0]


class ClientIpHash(_Hashing):
    """By the client's IP address, behind trusted proxies too."""

    def key(self, request: Request) -> str:
        """Return the address of the true client."""
        return request.client_ip


class UriHash(_Hashing):
    """By path and query: caches behind the proxy each get their share of the site."""

    def key(self, request: Request) -> str:
        """Return the target."""
        return request.target


class _WithFallback:
    """A policy that needs a fact which some requests lack; those go by ``fallback``, else random."""

    def __init__(self, fallback: ModuleConfig | None, provision: Provision) -> None:
        make: Callable[[ModuleConfig], Policy] = provision.instantiate
        self._fallback = (
            RandomPick(PlainPolicy(), provision) if fallback is None else make(fallback)
        )

    def fall_back(self, members: Sequence[Member], request: Request) -> Member:
        """Choose without the fact."""
        return self._fallback.choose(members, request)


class HeaderHash(_WithFallback):
    """By the value of a request field."""

    def __init__(self, config: HeaderPolicy, provision: Provision) -> None:
        super().__init__(config.fallback, provision)
        self._name = config.field.lower().encode()

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the one that the field's value belongs to."""
        if self._name == b"host":
            return rendezvous(members, request.authority)
        value = request.headers.get(self._name)
        if not value:
            return self.fall_back(members, request)
        return rendezvous(members, value.decode("latin-1"))


class QueryHash(_WithFallback):
    """By the value of a query parameter."""

    def __init__(self, config: QueryPolicy, provision: Provision) -> None:
        super().__init__(config.fallback, provision)
        self._key = config.key

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the one that the parameter's values belong to."""
        values = parse_qs(request.query or "", keep_blank_values=True).get(self._key, [])
        if not any(values):
            return self.fall_back(members, request)
        return rendezvous(members, ",".join(values))


class CookieSticky(_WithFallback):
    """The one that the cookie names; a client without one gets a cookie with the answer."""

    def __init__(self, config: CookiePolicy, provision: Provision) -> None:
        super().__init__(config.fallback, provision)
        self._name = config.name
        self._secret = config.secret.reveal().encode()
        self._max_age = int(config.max_age)

    def choose(self, members: Sequence[Member], request: Request) -> Member:
        """Return the named one while it is available, else another and a new cookie."""
        named = self._named(request)
        if named:
            for member in members:
                if hmac.compare_digest(named, self._value(member)):
                    return member
        member = self.fall_back(members, request)
        request.vars[SET_COOKIE_VAR] = self._set_cookie(member, request)
        return member

    def _named(self, request: Request) -> bytes:
        for line in request.headers.all(b"cookie"):
            for pair in line.split(b";"):
                name, _, value = pair.strip().partition(b"=")
                if name == self._name.encode():
                    return value
        return b""

    def _value(self, member: Member) -> bytes:
        return hmac.digest(self._secret, member.address.encode(), "sha256").hex().encode()

    def _set_cookie(self, member: Member, request: Request) -> bytes:
        text = f"{self._name}={self._value(member).decode()}; Path=/; HttpOnly"
        if self._max_age:
            text += f"; Max-Age={self._max_age}"
        secure = request.scheme == "https"
        return (text + ("; Secure; SameSite=None" if secure else "; SameSite=Lax")).encode()


def _in_flight(member: Member) -> int:
    return member.upstream.in_flight
