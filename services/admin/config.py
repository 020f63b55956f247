"""``admin``: where the API listens and whom it believes (Caddy's fields)."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator

from quantum.config.model import StrictModel
from quantum.config.unbuilt import NotBuilt
from quantum.config.units import Duration, NetworkAddress, StringArray

DEFAULT_PORT = 2019
DEFAULT_ADDRESS = NetworkAddress("tcp", "localhost", DEFAULT_PORT, DEFAULT_PORT)
"""Caddy's: reachable from this machine only."""


def _address(value: Any) -> NetworkAddress:
    if isinstance(value, NetworkAddress):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError('must be an address such as "localhost:2019"')
    address = NetworkAddress.parse(value, DEFAULT_PORT)
    if not address.is_stream or address.is_fd or address.end_port != address.start_port:
        raise ValueError("must be one TCP or unix address")
    return address


class LoaderTls(StrictModel):
    """How the server of configurations is known, and how this process says who it is."""

    use_server_identity: NotBuilt = None
    client_certificate_file: str = ""
    client_certificate_key_file: str = ""
    root_ca_pem_files: list[str] = Field(default_factory=list)


class HttpLoader(StrictModel):
    """``caddy.config_loaders.http``: a configuration that is asked for at an address."""

    module: Literal["http"]
    method: str = "GET"
    url: str
    header: dict[str, StringArray] = Field(default_factory=dict)
    timeout: Duration = Field(default=0.0, ge=0)
    adapter: Literal["", "caddyfile"] = ""
    tls: LoaderTls | None = None

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if "{" not in url and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ValueError("must be an http or https URL")
        return url


class PersistConfig(StrictModel):
    """``admin.config``. Without ``persist`` the configuration in force is not kept in the data directory.

    ``load`` is asked once, or ``load_delay`` after it came into force and again until it differs.
    """

    persist: bool = True
    load: HttpLoader | None = None
    load_delay: Duration = Field(default=0.0, ge=0)


class AdminConfig(StrictModel):
    """The admin API. Without this section it listens on localhost:2019."""

    disabled: bool = False
    listen: Annotated[NetworkAddress, BeforeValidator(_address)] = DEFAULT_ADDRESS
    enforce_origin: bool = False
    origins: list[str] | None = None
    config: PersistConfig = Field(default_factory=PersistConfig)
    identity: NotBuilt = None
    remote: NotBuilt = None

    @field_validator("origins")
    @classmethod
    def _origins_are_hosts(cls, value: list[str] | None) -> list[str] | None:
        for origin in value or ():
            _, _, rest = origin.rpartition("://")
            if not rest or "/" in rest or any(c.isspace() for c in rest):
                raise ValueError(f"{origin!r} is no origin: host, host:port or scheme://host:port")
        return value
