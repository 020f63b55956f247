"""Who belongs to one handler: its roster, and what each member listens to while it is in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from services.proxy.config import ReverseProxyConfig, UpstreamConfig
from services.proxy.standing import Standings, standing_key
from services.proxy.transports.http import Transport
from services.proxy.upstreams import Member, Roster, Upstreams


class Membership:
    """Makes members, lets them hear of their standings, and lets them go."""

    def __init__(
        self,
        config: ReverseProxyConfig,
        upstreams: Upstreams,
        standings: Standings,
        transport: Transport,
        log: Any,
        freed: Callable[[], None] | None = None,
    ) -> None:
        """The upstreams with a fixed address are members from the beginning.

        ``freed`` is called whenever a request to one of them has ended.
        """
        self._freed = freed
        self._config = config
        self._upstreams = upstreams
        self._standings = standings
        self._transport = transport
        self._log = log
        self._leave: dict[Member, list[Callable[[], None]]] = {}
        self._positions = itertools.count()
        fixed = [self._make(one) for one in config.upstreams if "{" not in one.dial]
        self.roster = Roster(fixed, config.health_checks)
        for member in fixed:
            self._listen(member)

    def join(self, config: UpstreamConfig) -> Member:
        """Return a new member of the roster."""
        member = self._make(config)
        self.roster.join(member)
        self._listen(member)
        return member

    def part(self, member: Member) -> None:
        """Let a member go; its requests end by themselves."""
        self.roster.part(member)
        self._forget(member)
        self._transport.drop(member.address)

    def close(self) -> None:
        """Let everybody go: the handler retires."""
        self.roster.close()
        for member in self.roster.members:
            self._forget(member)

    def _make(self, config: UpstreamConfig) -> Member:
        address = config.dial
        upstream = self._upstreams.join(address)
        member = Member(next(self._positions), config, upstream, self._transport.pool(address))
        if self._transport.is_tls_to(address):
            member.own_host = member.host_port
        return member

    def _listen(self, member: Member) -> None:
        checks, leave = self._config.health_checks, self._leave.setdefault(member, [])
        if self._freed is not None:
            member.upstream.freed.append(self._freed)
            leave.append(partial(member.upstream.freed.remove, self._freed))
        if checks.active is not None:
            key = standing_key(self._config.checker_id(member.address), member.address)
            leave.append(self._standings.listen(key, partial(self._stand, member, "down")))
        if checks.passive is not None or checks.outlier is not None:
            key = standing_key(checks.passive_id(member.address), member.address)
            leave.append(self._standings.listen(key, partial(self._stand, member, "together")))

    def _forget(self, member: Member) -> None:
        for leave in self._leave.pop(member, ()):
            leave()
        self._upstreams.leave(member.upstream)

    def _stand(self, member: Member, kind: str, reason: str) -> None:
        before = getattr(member, kind)
        if before == reason:
            return
        event = "upstream_marked_down" if reason else "upstream_marked_up"
        self._log.info(event, upstream=member.address, reason=reason or before)
        setattr(member, kind, reason)
        self.roster.refresh()
