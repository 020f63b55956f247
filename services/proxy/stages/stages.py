"""The stages of one handler: what is done before the first attempt, and with an answer."""

from __future__ import annotations

from quantum.errors import BodyAborted, HttpError
from quantum.hop.handed_back import HandedBack, Note
from quantum.http.header_ops import compile_requirement
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.placeholders import compile_template
from quantum.modules.border import RETRY_VAR, REWRITTEN_VAR, ResponseRule
from services.proxy.config import ReverseProxyConfig
from services.proxy.exchange import Outgoing
from services.proxy.header_changes import upstream_facts
from services.proxy.stages.buffering import buffered
from services.proxy.upstreams import Member


def make_stages(config: ReverseProxyConfig) -> Stages | None:
    """Return the stages that ``config`` asks for, None when there are none."""
    wanted = (
        config.border, config.request_buffers, config.response_buffers, config.load_balancing.retry_on,
        config.verbose_logs,
    )  # fmt: skip
    return Stages(config) if any(wanted) else None


class Stages:
    """Compiled once."""

    def __init__(self, config: ReverseProxyConfig) -> None:
        self.is_verbose = config.verbose_logs
        """Whether each answer is to be logged."""
        self._request_buffers = config.request_buffers
        self._response_buffers = config.response_buffers
        self._rules = [_Rule(rule) for rule in config.handle_response]
        unwanted = config.load_balancing.retry_on
        self._is_unwanted = None if unwanted is None else compile_requirement(unwanted)

    async def prepare(self, outgoing: Outgoing) -> None:
        """Make of the request what shall go upstream; what breaks its body is raised."""
        request = outgoing.request
        if request.has_vars:
            outgoing.may_retry = request.vars.get(RETRY_VAR)
            rewritten = request.vars.pop(REWRITTEN_VAR, None)
            if rewritten is not None:
                outgoing.method, outgoing.target = rewritten
        if self._request_buffers:
            outgoing.body = await buffered(outgoing.body, self._request_buffers)

    def is_unwanted(self, response: Response) -> bool:
        """Whether an answer shall be retried like a failure."""
        if self._is_unwanted is None or response.upgrade is not None:
            return False
        return self._is_unwanted(response.status, response.headers)

    async def buffer(self, response: Response) -> None:
        """Hold the answer's body back; HttpError 502 when it breaks off meanwhile."""
        if not self._response_buffers or response.upgrade is not None:
            return
        try:
            response.body = await buffered(response.body, self._response_buffers)
        except BodyAborted as error:
            raise HttpError(502, f"the answer broke off while it was buffered: {error}") from error

    def rule_of(self, response: Response) -> int | None:
        """Return which rule of ``handle_response`` an answer falls under: the first that matches."""
        if response.upgrade is not None:
            return None
        for index, rule in enumerate(self._rules):
            if rule.matches is None or rule.matches(response.status, response.headers):
                return index
        return None

    def apply(
        self, index: int, original: Headers, response: Response, member: Member, request: Request
    ) -> Response:
        """Return the finished answer as its rule wants it; ``original``: the upstream's fields."""
        rule = self._rules[index]
        if rule.status is not None:
            status = rule.status(request)
            if not (status.isdecimal() and (status == "0" or 100 <= int(status) <= 999)):
                raise HttpError(500, f"handle_response: status_code became {status!r}")
            response.status = int(status) or response.status
            return response
        fields = None if original.fields == response.headers.fields else original.fields
        note = Note(index, fields, upstream_facts(member))
        return HandedBack(response.status, response.headers, response.body, note)


class _Rule:
    """One rule, compiled; ``status``: its replacement, None where routes handle the answer."""

    def __init__(self, config: ResponseRule) -> None:
        match = config.match
        self.matches = None if match is None else compile_requirement(match)
        self.status = compile_template(config.status_code) if config.status_code else None
