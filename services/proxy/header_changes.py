"""The proxy's own ``headers`` configuration, carried out for each attempt."""

from __future__ import annotations

from quantum.http import header_ops
from quantum.http.message import Request, Response
from services.proxy.config import ProxyHeaders
from services.proxy.exchange import Outgoing
from services.proxy.upstreams import Member


class HeaderChanges:
    """Compiled once. Placeholders may name the upstream, so requests are changed once it is chosen."""

    def __init__(self, config: ProxyHeaders) -> None:
        request, response = config.request, config.response
        self._request = header_ops.compile_operations(request) if request else []
        self._response = header_ops.compile_operations(response) if response else []
        self._is_wanted = None
        if response is not None and response.require is not None:
            self._is_wanted = header_ops.compile_requirement(response.require)
        self.has_request_steps = bool(self._request)
        self.has_response_steps = bool(self._response)

    def change_request(self, outgoing: Outgoing, member: Member) -> None:
        """Change what goes upstream. A Host that is set here wins over all others."""
        request = outgoing.request
        _tell_placeholders(member, request)
        headers = outgoing.unchanged.copy()
        header_ops.run(self._request, headers, request)
        outgoing.headers = headers
        host = headers.get(b"host")
        if host is not None:
            outgoing.host = host

    def change_response(self, response: Response, member: Member, request: Request) -> None:
        """Change what comes back, if it is one of the responses meant."""
        if self._is_wanted is not None and not self._is_wanted(response.status, response.headers):
            return
        _tell_placeholders(member, request)
        request.vars["http.reverse_proxy.status_code"] = response.status
        header_ops.run(self._response, response.headers, request)


def _tell_placeholders(member: Member, request: Request) -> None:
    request.vars.update(upstream_facts(member))


def upstream_facts(member: Member) -> dict[str, str]:
    """Return the placeholders ``{http.reverse_proxy.upstream.*}``."""
    host, _, port = member.host_port.decode().rpartition(":")
    return {
        "http.reverse_proxy.upstream.address": _with_network(member.address),
        "http.reverse_proxy.upstream.hostport": member.host_port.decode(),
        "http.reverse_proxy.upstream.host": host or member.host_port.decode(),
        "http.reverse_proxy.upstream.port": port,
        "http.reverse_proxy.upstream.requests": str(member.upstream.in_flight),
        "http.reverse_proxy.upstream.fails": str(member.upstream.fails),
    }


def _with_network(address: str) -> str:
    return address if "/" in address else f"tcp/{address}"
