"""The configurations of the transports: how upstreams are reached."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from quantum.config.curves import check_curves
from quantum.config.model import StrictModel
from quantum.config.units import Duration, NetworkAddress
from quantum.modules.trust import InlineCertificate, TrustPool
from services.proxy.discovery.config import ResolverConfig


def _local_address(text: str) -> str:
    """Return ``IP`` or ``IP:port`` as given; ValueError for anything else."""
    if text:
        ipaddress.ip_address(NetworkAddress.parse(text, default_port=0).host)
    return text


class NetworkProxy(StrictModel):
    """The proxy that upstreams are reached through: ``{"from": "url", "url": "http://…"}`` or ``none``."""

    source: Literal["url", "none"] = Field(alias="from")
    url: str = ""

    @model_validator(mode="after")
    def _has_url(self) -> NetworkProxy:
        if (self.source == "url") != bool(self.url):
            raise ValueError('"url" needs an url, "none" has none')
        return self


class KeepAlive(StrictModel):
    """Idle upstream connections: how many of each upstream and of all are kept, and for how long."""

    enabled: bool = True
    probe_interval: Duration = Field(default=30.0, ge=0)
    max_idle_conns: int = Field(default=0, ge=0)
    max_idle_conns_per_host: int = Field(default=32, ge=0)
    idle_timeout: Duration = Field(default=120.0, gt=0)


def _ascii(text: str) -> str:
    if not text or not text.isascii():
        raise ValueError("split_path has plain ASCII such as .php")
    return text


class FastCgiTransportConfig(StrictModel):
    """``http.reverse_proxy.transport.fastcgi``: application servers such as PHP-FPM.

    ``keep_alive`` is an extension and off unless it is set: a connection that is kept holds one of the
    server's few processes.
    """

    root: str = ""
    split_path: list[Annotated[str, AfterValidator(_ascii)]] = Field(default_factory=list)
    resolve_root_symlink: bool = False
    env: dict[str, str] = Field(default_factory=dict)
    dial_timeout: Duration = Field(default=3.0, gt=0)
    read_timeout: Duration = Field(default=0.0, ge=0)
    write_timeout: Duration = Field(default=0.0, ge=0)
    capture_stderr: bool = False
    keep_alive: KeepAlive | None = None


class UpstreamTls(StrictModel):
    """TLS towards upstreams; certificates are verified against ``ca`` or the system's roots."""

    ca: TrustPool | None = None
    root_ca_pool: list[InlineCertificate] = Field(default_factory=list)
    root_ca_pem_files: list[str] = Field(default_factory=list)
    client_certificate_file: str = ""
    client_certificate_key_file: str = ""
    client_certificate_automate: str = ""
    insecure_skip_verify: bool = False
    handshake_timeout: Duration = Field(default=0.0, ge=0)
    server_name: str = ""
    renegotiation: Literal["", "never", "once", "freely"] = ""
    except_ports: list[str] = Field(default_factory=list)
    curves: Annotated[list[str], AfterValidator(check_curves)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check(self) -> UpstreamTls:
        if bool(self.client_certificate_file) != bool(self.client_certificate_key_file):
            raise ValueError("a client certificate needs both its file and its key file")
        if self.client_certificate_file and self.client_certificate_automate:
            raise ValueError("client_certificate_automate: not beside a certificate from files")
        if self.renegotiation not in ("", "never"):
            raise ValueError(
                'renegotiation: only "never" is obeyed: OpenSSL as a client refuses an upstream that asks'
            )
        return self


class HttpTransportConfig(StrictModel):
    """``http.reverse_proxy.transport.http``: how upstreams are reached.

    ``versions`` over TLS are settled by ALPN; without TLS ``h2c`` means HTTP/2 from the first byte.
    ``expect_continue_timeout``: how long an HTTP/1.1 upstream is asked first whether it wants a body whose client
    sent ``Expect: 100-continue``; 0 sends it at once.
    ``compression``: bodies pass as they are, whatever it says; an Accept-Encoding is never invented.
    """

    resolver: ResolverConfig | None = None
    tls: UpstreamTls | None = None
    keep_alive: KeepAlive = Field(default_factory=KeepAlive)
    compression: bool = True
    max_conns_per_host: int = Field(default=0, ge=0)
    proxy_protocol: Literal["", "v1", "v2"] = ""
    forward_proxy_url: str = ""
    network_proxy: NetworkProxy | None = None
    dial_timeout: Duration = Field(default=3.0, gt=0)
    dial_fallback_delay: Duration = 0.3
    response_header_timeout: Duration = Field(default=0.0, ge=0)
    expect_continue_timeout: Duration = Field(default=0.0, ge=0)
    max_response_header_size: int = Field(default=10 * 1024 * 1024, ge=0)
    write_buffer_size: int = Field(default=4096, ge=0)
    read_buffer_size: int = Field(default=4096, ge=0)
    read_timeout: Duration = Field(default=0.0, ge=0)
    write_timeout: Duration = Field(default=0.0, ge=0)
    versions: list[str] = Field(default_factory=lambda: ["1.1", "2"])
    local_address: Annotated[str, AfterValidator(_local_address)] = ""

    @model_validator(mode="after")
    def _check_versions(self) -> HttpTransportConfig:
        unknown = set(self.versions) - {"1.1", "2", "h2c", "3"}
        if unknown:
            raise ValueError(f"versions: {min(unknown)!r} is none of 1.1, 2, h2c, 3")
        if "3" in self.versions:
            return self._check_http3()
        if not self.versions:
            raise ValueError("versions: at least one is needed")
        if self.tls is None and not {"1.1", "h2c"} & set(self.versions):
            raise ValueError('versions: HTTP/2 without TLS is "h2c"')
        if self.tls is not None and not {"1.1", "2"} & set(self.versions):
            raise ValueError('versions: over TLS there are "1.1" and "2"')
        if self.proxy_protocol and "1.1" not in self.versions:
            raise ValueError("proxy_protocol: a connection of its own needs HTTP/1.1")
        if self.proxy_protocol and self.proxy_url:
            raise ValueError("proxy_protocol: not through another proxy")
        return self

    def _check_http3(self) -> HttpTransportConfig:
        if self.versions != ["3"]:
            raise ValueError('versions: "3" stands alone: nobody switches from TCP to QUIC')
        if self.tls is None:
            raise ValueError('versions: HTTP/3 needs "tls": {}')
        refused = (
            ("except_ports", "client_certificate_automate", "server_name")
            if "{" in self.tls.server_name
            else ("except_ports", "client_certificate_automate")
        )
        for name in refused:
            if getattr(self.tls, name):
                raise ValueError(f"tls.{name}: not with HTTP/3")
        if self.proxy_protocol or self.proxy_url:
            raise ValueError(
                "versions: HTTP/3 goes neither through a proxy nor behind a PROXY header"
            )
        return self

    @property
    def proxy_url(self) -> str:
        """The proxy that upstreams are reached through, "" for none."""
        return self.network_proxy.url if self.network_proxy is not None else self.forward_proxy_url

    @property
    def bind_address(self) -> tuple[str, int] | None:
        """The local (IP, port) that connections leave from; None: the system chooses."""
        if not self.local_address:
            return None
        address = NetworkAddress.parse(self.local_address, default_port=0)
        return address.host, address.port
