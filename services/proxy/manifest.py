"""What the proxy room is and which modules live in it."""

from __future__ import annotations

from quantum.modules.spec import Manifest, ModuleSpec

_POLICIES = (
    ("client_ip_hash", "PlainPolicy", "ClientIpHash", "By the true client's address"),
    ("cookie", "CookiePolicy", "CookieSticky", "Sticky by a cookie"),
    ("first", "PlainPolicy", "First", "The first available: failover"),
    ("header", "HeaderPolicy", "HeaderHash", "By a request field"),
    ("ip_hash", "PlainPolicy", "IpHash", "By the peer's address"),
    ("least_conn", "PlainPolicy", "LeastConn", "The one with fewest requests under way"),
    ("query", "QueryPolicy", "QueryHash", "By a query parameter"),
    ("random", "PlainPolicy", "RandomPick", "Any"),
    ("random_choose", "RandomChoosePolicy", "RandomChoose", "The less busy of a few random ones"),
    ("round_robin", "PlainPolicy", "RoundRobin", "Each in turn"),
    ("uri_hash", "PlainPolicy", "UriHash", "By path and query"),
    ("weighted_round_robin", "WeightedPolicy", "WeightedRoundRobin", "In turn, by weights"),
)

_SOURCES = (
    ("a", "ASource", "AddressRecords", "Every address of a name"),
    ("multi", "MultiSource", "Together", "What several sources find"),
    ("srv", "SrvSource", "ServiceRecords", "Hosts and ports from SRV records"),
)

MANIFEST = Manifest(
    room="proxy",
    service="services.proxy.service:ProxyService",
    summary="Balances requests over upstreams",
    # Roots and certificates towards upstreams are asked for while a revision is prepared.
    needs=("certs",),
    modules=(
        ModuleSpec(
            id="http.handlers.reverse_proxy",
            room="proxy",
            config="services.proxy.config:ReverseProxyConfig",
            implementation="services.proxy.handler:ReverseProxy",
            terminal=True,
            summary="Sends requests to one of several upstreams",
        ),
        ModuleSpec(
            id="http.reverse_proxy.transport.http",
            room="proxy",
            config="services.proxy.transports.config:HttpTransportConfig",
            implementation="services.proxy.transports.http:HttpTransport",
            summary="Upstreams over HTTP/1.1, HTTP/2 and HTTP/3, by TCP, TLS, QUIC or a unix socket",
        ),
        ModuleSpec(
            id="http.reverse_proxy.transport.fastcgi",
            room="proxy",
            config="services.proxy.transports.config:FastCgiTransportConfig",
            implementation="services.proxy.transports.fastcgi.transport:FastCgiTransport",
            summary="Application servers such as PHP-FPM, by TCP or a unix socket",
        ),
        *(
            ModuleSpec(
                id=f"http.reverse_proxy.selection_policies.{name}",
                room="proxy",
                config=f"services.proxy.selection.config:{model}",
                implementation=f"services.proxy.selection.policies:{policy}",
                summary=summary,
            )
            for name, model, policy, summary in _POLICIES
        ),
        ModuleSpec(
            id="http.reverse_proxy.selection_policies.peak_ewma",
            room="proxy",
            config="services.proxy.selection.config:PeakEwmaPolicy",
            implementation="services.proxy.selection.latency:PeakEwma",
            summary="The one that will probably answer first",
        ),
        *(
            ModuleSpec(
                id=f"http.reverse_proxy.upstreams.{name}",
                room="proxy",
                config=f"services.proxy.discovery.config:{model}",
                implementation=f"services.proxy.discovery.sources:{source}",
                summary=summary,
            )
            for name, model, source, summary in _SOURCES
        ),
    ),
    subjects=("quantum.proxy.upstream_observed", "quantum.proxy.upstreams_measured"),
)
