"""What the certs room says about itself."""

from __future__ import annotations

from quantum.modules.spec import Manifest, ModuleSpec

_CONFIG = "services.certs.config:"
_ON_DEMAND = "services.certs.ondemand."


def _certificates(name: str, model: str, implementation: str, summary: str) -> ModuleSpec:
    return ModuleSpec(
        id=f"tls.certificates.{name}",
        room="certs",
        config=_CONFIG + model,
        implementation=f"services.certs.files:{implementation}",
        summary=summary,
    )


def _provider(name: str, implementation: str, summary: str) -> ModuleSpec:
    return ModuleSpec(
        id=f"dns.providers.{name}",
        room="certs",
        config=f"services.certs.challenges.config:{implementation}Config",
        implementation=f"services.certs.challenges.providers.{name}:{implementation}",
        summary=summary,
    )


MANIFEST = Manifest(
    room="certs",
    service="services.certs.service:CertsService",
    summary="Obtains, keeps and renews certificates; runs the local authority",
    modules=(
        ModuleSpec(
            id="http.handlers.acme_server",
            room="certs",
            config="services.certs.acme_server.config:AcmeServerConfig",
            implementation="services.certs.acme_server.handler:AcmeServer",
            terminal=True,
            summary="Our own authority for ACME clients (RFC 8555)",
        ),
        ModuleSpec(
            id="tls.issuance.internal",
            room="certs",
            config=_CONFIG + "InternalIssuerConfig",
            implementation="services.certs.issuers.internal:InternalIssuer",
            summary="Certificates signed by the local authority",
        ),
        ModuleSpec(
            id="tls.issuance.acme",
            room="certs",
            config=_CONFIG + "AcmeIssuerConfig",
            implementation="services.certs.issuers.acme:AcmeIssuer",
            summary="Certificates from an ACME authority (HTTP-01, TLS-ALPN-01, DNS-01)",
        ),
        ModuleSpec(
            id="tls.issuance.zerossl",
            room="certs",
            config=_CONFIG + "ZeroSslIssuerConfig",
            implementation="services.certs.issuers.zerossl:ZeroSslIssuer",
            summary="Certificates from ZeroSSL, by ACME",
        ),
        _provider("rfc2136", "Rfc2136", "DNS records by dynamic updates (RFC 2136)"),
        _provider("cloudflare", "Cloudflare", "DNS records at Cloudflare"),
        _provider("duckdns", "DuckDns", "DNS records at Duck DNS"),
        _provider("acmedns", "AcmeDns", "DNS records at a server of acme-dns"),
        _provider("acmeproxy", "AcmeProxy", "DNS records by a web hook (lego's httpreq)"),
        ModuleSpec(
            id="tls.permission.http",
            room="certs",
            config=_ON_DEMAND + "config:HttpPermissionConfig",
            implementation=_ON_DEMAND + "permission:HttpPermission",
            summary="A web service says which names may have certificates",
        ),
        ModuleSpec(
            id="tls.get_certificate.http",
            room="certs",
            config=_ON_DEMAND + "config:HttpManagerConfig",
            implementation=_ON_DEMAND + "managers:HttpManager",
            summary="A web service has the certificates",
        ),
        ModuleSpec(
            id="tls.get_certificate.tailscale",
            room="certs",
            config=_ON_DEMAND + "config:TailscaleManagerConfig",
            implementation=_ON_DEMAND + "managers:TailscaleManager",
            summary="The Tailscale daemon has the certificates of ts.net names",
        ),
        ModuleSpec(
            id="tls.stek.standard",
            room="certs",
            config=_CONFIG + "StandardKeys",
            implementation="services.certs.keeping.tickets:TicketSecrets",
            summary="Keys of session tickets in memory, the same for every process",
        ),
        ModuleSpec(
            id="tls.stek.distributed",
            room="certs",
            config=_CONFIG + "DistributedKeys",
            implementation="services.certs.keeping.tickets:TicketSecrets",
            summary="Keys of session tickets in the storage",
        ),
        _certificates("automate", "Automate", "no_sources", "Names that shall have certificates"),
        _certificates(
            "load_storage", "LoadStorage", "storage_sources", "Certificates in the storage"
        ),
        _certificates("load_files", "LoadFiles", "file_sources", "Certificates from PEM files"),
        _certificates("load_folders", "LoadFolders", "folder_sources", "Certificates from folders"),
        _certificates(
            "load_pem", "LoadPem", "pem_sources", "Certificates inside the configuration"
        ),
    ),
    config_apps=(
        ("apps.tls", "services.certs.config:TlsApp"),
        ("apps.pki", "services.certs.config:PkiApp"),
    ),
    subjects=("quantum_certificates", "quantum_challenges", "quantum.edge.certificate_wanted"),
)
