"""``http.handlers.reverse_proxy``: choose an upstream, send the request, bring the answer back."""

from __future__ import annotations

import asyncio
from time import monotonic

from quantum.errors import HttpError
from quantum.http.body import discard
from quantum.http.forwarding import Networks, add_via, fields_for_upstream, strip_hop_by_hop
from quantum.http.message import Request, Response
from quantum.modules.lifetime import Provision
from quantum.tasks import TaskSet
from services.proxy.config import ReverseProxyConfig, UpstreamConfig
from services.proxy.discovery.discovery import Discovery
from services.proxy.discovery.membership import Membership
from services.proxy.exchange import Outgoing
from services.proxy.header_changes import HeaderChanges
from services.proxy.judging.judge import Judge
from services.proxy.observations import Observations
from services.proxy.retry import Tried, seconds_until_retry
from services.proxy.selection.config import PlainPolicy
from services.proxy.selection.policies import SET_COOKIE_VAR, Policy, RandomPick
from services.proxy.stages.candidates import make_candidates
from services.proxy.stages.queueing import Queue
from services.proxy.stages.stages import make_stages
from services.proxy.stages.verbose import tell
from services.proxy.standing import Standings
from services.proxy.transports.config import HttpTransportConfig
from services.proxy.transports.failure import Stage, UpstreamFailed
from services.proxy.transports.http import HttpTransport, Transport
from services.proxy.transports.tunnels import Tunnels
from services.proxy.transports.upgrade import Wish
from services.proxy.upstreams import Member, Upstreams

RETRY_AFTER_SECONDS = 5
"""What a client is told when no upstream is available: a check or two from now."""

_NOBODY: frozenset[Member] = frozenset()


class ReverseProxy:
    """One ``reverse_proxy`` of a configuration. It keeps its connections across revisions."""

    def __init__(self, config: ReverseProxyConfig, provision: Provision) -> None:
        self._balancing = config.load_balancing
        self._log = provision.log
        self._transport = _transport(config, provision)
        self._attempt = self._transport.attempt
        self._policy = _policy(config, provision)
        self._trusted = Networks(config.trusted_proxies) if config.trusted_proxies else None
        self._changes = HeaderChanges(config.headers)
        self._stages = make_stages(config)
        self._senders = TaskSet("proxy:request_body")
        self._tunnels = Tunnels(config.stream_timeout, config.stream_close_delay)
        queue = None if config.load_balancing.queue is None else Queue(config.load_balancing.queue)
        self._membership = Membership(
            config,
            provision.get(Upstreams),
            provision.get(Standings),
            self._transport,
            self._log,
            None if queue is None else queue.freed,
        )
        self.roster = self._membership.roster
        observations: Observations = provision.get(Observations)
        self._judge = Judge(config.health_checks, self.roster, observations)
        self._has_breakers = self._judge.has_breakers
        self._discovery = self._discover(config, provision) if config.is_dynamic else None
        self._candidates = make_candidates(config, self.roster, self._discovery, queue)
        provision.on_cleanup(self._close)

    def _discover(self, config: ReverseProxyConfig, provision: Provision) -> Discovery:
        module = config.dynamic_upstreams
        return Discovery(
            None if module is None else provision.instantiate(module),
            [one for one in config.upstreams if "{" in one.dial],
            list(self.roster.members),
            self._join,
            self._membership.part,
            self._log,
        )

    def _join(self, config: UpstreamConfig) -> Member:
        member = self._membership.join(config)
        self._judge.meet(member)
        return member

    def superseded(self) -> None:
        """Hear that the configuration in use has this handler no more: streams end soon."""
        self._tunnels.retire()

    async def _close(self) -> None:
        """Retire: take no part any more; requests under way end by themselves."""
        if self._discovery is not None:
            self._discovery.close()
        self._judge.close()
        self._membership.close()
        self._tunnels.retire()

    # A request.

    async def handle(self, request: Request) -> Response:
        """Answer with an upstream's answer; HttpError 502, 503 or 504 when there is none."""
        outgoing = Outgoing(request, fields_for_upstream(request, self._trusted))
        if request.upgrade is not None:
            outgoing.wish = Wish(request.upgrade, self._tunnels)
        stages = self._stages
        if stages is not None:
            await stages.prepare(outgoing)
        began, retries, failed = monotonic(), 0, _NOBODY
        failure: UpstreamFailed | None = None  # the last one: what the client is told in the end
        while True:
            unwanted = None
            available = self.roster.available()
            if failed or self._candidates is not None:
                available = await self._narrow(request, available, failed)
            if available:
                member = self._policy.choose(available, request)
                self._prepare(outgoing, member, retries)
                try:
                    sent = monotonic()
                    response = await self._attempt(member, outgoing, self._senders)
                except UpstreamFailed as error:
                    failure, failed = error, failed | {member}
                    self._note_failure(member, error, request)
                else:
                    took = monotonic() - sent
                    if stages is None:
                        return self._finish(member, outgoing, response, took)
                    if not stages.is_unwanted(response):
                        return await self._finish_in_stages(member, outgoing, response, took)
                    unwanted, failed = response, failed | {member}
            wait = self._wait_of(outgoing, failure, unwanted, retries, monotonic() - began)
            if wait is None:
                if unwanted is None:
                    raise self._error(failure)
                return await self._finish_in_stages(member, outgoing, unwanted, took)
            if unwanted is not None:
                await self._drop(member, unwanted, took)
            retries += 1
            await asyncio.sleep(wait)

    async def _narrow(
        self, request: Request, available: tuple[Member, ...], failed: frozenset[Member]
    ) -> tuple[Member, ...]:
        """Return whom the policy may choose from: who has not failed this request, if there is anybody."""
        if self._candidates is not None:
            return await self._candidates.find(request, failed)
        return tuple(m for m in available if m not in failed) or available

    def _wait_of(
        self,
        outgoing: Outgoing,
        failure: UpstreamFailed | None,
        unwanted: Response | None,
        retries: int,
        elapsed: float,
    ) -> float | None:
        """Return the seconds before the next attempt, None when there shall be none."""
        stage = None if failure is None else failure.stage
        if unwanted is not None:
            stage = Stage.SENT
        tried = Tried(
            stage, outgoing.method, outgoing.is_replayable, retries, elapsed, outgoing.may_retry
        )
        wait = seconds_until_retry(self._balancing, tried)
        if wait is not None and self._candidates is not None and not self._candidates.may_retry():
            return None
        return wait

    async def _drop(self, member: Member, unwanted: Response, took: float) -> None:
        """Let an answer go that another shall replace."""
        self._judge.answered(member, unwanted.status, took)
        await discard(unwanted.body)

    def _prepare(self, outgoing: Outgoing, member: Member, retries: int) -> None:
        """Make the request one for ``member``: its Host over TLS, the configured header changes."""
        if retries:
            member.upstream.retries += 1
        if self._has_breakers:
            self._judge.chosen(member)
        outgoing.host = member.own_host
        if self._changes.has_request_steps:
            self._changes.change_request(outgoing, member)

    def _finish(
        self, member: Member, outgoing: Outgoing, response: Response, took: float
    ) -> Response:
        """Make the upstream's answer ours."""
        self._judge.answered(member, response.status, took)
        headers, request = response.headers, outgoing.request
        strip_hop_by_hop(headers)
        add_via(headers, outgoing.version)
        if self._changes.has_response_steps:
            self._changes.change_response(response, member, request)
        if request.has_vars and SET_COOKIE_VAR in request.vars:
            headers.add(b"set-cookie", request.vars[SET_COOKIE_VAR])
        return response

    async def _finish_in_stages(
        self, member: Member, outgoing: Outgoing, response: Response, took: float
    ) -> Response:
        """Make the upstream's answer ours, or hand it back to routes."""
        stages = self._stages
        assert stages is not None
        if stages.is_verbose:
            tell(self._log, member.address, outgoing.request, response, took)
        await stages.buffer(response)
        rule = stages.rule_of(response)
        if rule is None:
            return self._finish(member, outgoing, response, took)
        original = response.headers.copy()
        strip_hop_by_hop(original)
        response = self._finish(member, outgoing, response, took)
        return stages.apply(rule, original, response, member, outgoing.request)

    def _note_failure(self, member: Member, failure: UpstreamFailed, request: Request) -> None:
        failure.address = member.address
        self._judge.failed(member, failure.reason)
        self._log.warning(
            "upstream_failed",
            upstream=member.address,
            reason=failure.reason,
            stage=failure.stage.value,
            request_id=request.id,
        )

    def _error(self, failure: UpstreamFailed | None) -> HttpError:
        if failure is None:
            retry_after = (b"retry-after", b"%d" % RETRY_AFTER_SECONDS)
            return HttpError(503, f"no upstream available: {self._reasons()}", (retry_after,))
        return HttpError(failure.status, f"upstream {failure.address}: {failure.reason}")

    def _reasons(self) -> str:
        members = self.roster.members
        if not members:
            return "none is configured"
        return "; ".join(f"{m.address} {self.roster.reason_against(m) or 'full'}" for m in members)


def _transport(config: ReverseProxyConfig, provision: Provision) -> Transport:
    if config.transport is None:
        return HttpTransport(HttpTransportConfig(), provision)
    transport: Transport = provision.instantiate(config.transport)
    return transport


def _policy(config: ReverseProxyConfig, provision: Provision) -> Policy:
    module = config.load_balancing.selection_policy
    if module is None:
        return RandomPick(PlainPolicy(), provision)
    policy: Policy = provision.instantiate(module)
    return policy
