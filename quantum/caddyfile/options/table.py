"""Every global option by its name, and the block that holds them."""

from __future__ import annotations

from quantum.caddyfile.context import State
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.language.parser import ServerBlock
from quantum.caddyfile.options import certificates, general
from quantum.caddyfile.options.general import Option
from quantum.caddyfile.options.servers import servers

OPTIONS: dict[str, Option] = {
    "acme_ca": general.text,
    "acme_ca_root": general.text,
    "acme_dns": certificates.acme_dns,
    "acme_eab": certificates.acme_eab,
    "admin": general.admin,
    "auto_https": general.auto_https,
    "cert_issuer": certificates.cert_issuer,
    "cert_lifetime": general.duration,
    "debug": general.yes,
    "default_bind": general.default_bind,
    "default_sni": general.text,
    "dns": certificates.dns,
    "ech": certificates.ech,
    "email": general.text,
    "events": general.events,
    "fallback_sni": general.text,
    "filesystem": general.filesystem,
    "grace_period": general.duration,
    "http_port": general.port,
    "https_port": general.port,
    "key_type": general.text,
    "local_certs": general.yes,
    "log": general.log,
    "metrics": general.metrics,
    "ocsp_interval": general.duration,
    "ocsp_stapling": general.off(problem="invalid argument '{}'"),
    "on_demand_tls": certificates.on_demand_tls,
    "order": general.order,
    "persist_config": general.off(problem="persist_config must be 'off'"),
    "pki": general.pki,
    "preferred_chains": certificates.preferred_chains,
    "renew_interval": general.duration,
    "renewal_window_ratio": certificates.renewal_window_ratio,
    "servers": servers,
    "shutdown_delay": general.duration,
    "skip_install_trust": general.yes,
    "storage": general.storage,
    "storage_check": general.off(problem="storage_check must be 'off'"),
    "storage_clean_interval": general.duration,
    "tls_resolvers": certificates.tls_resolvers,
}


def read_options(block: ServerBlock, state: State) -> None:
    """Read the block of global options into ``state.options``."""
    for segment in block.segments:
        name = segment[0].text
        read = OPTIONS.get(name)
        if read is None:
            raise CaddyfileError(
                f"{segment[0].file}:{segment[0].line}: unrecognized global option: {name}"
            )
        try:
            state.options[name] = read(Dispenser(segment), state)
        except CaddyfileError as error:
            raise CaddyfileError(
                f"parsing caddyfile tokens for '{name}': {error.problem}"
            ) from None
    addresses = [made["address"] for made in state.options.get("servers", ())]
    for address in addresses:
        if addresses.count(address) > 1:
            raise CaddyfileError(
                f"cannot have 'servers' global options with duplicate listener addresses: {address}"
            )
