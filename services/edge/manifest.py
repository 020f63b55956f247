"""What the edge room says about itself."""

from __future__ import annotations

from quantum.modules.spec import Manifest, ModuleSpec
from services.edge.authentication.modules import MODULES as AUTHENTICATION
from services.edge.bodies.modules import MODULES as BODIES
from services.edge.encoding.modules import MODULES as ENCODING
from services.edge.limiting.modules import MODULES as LIMITING
from services.edge.listening.modules import MODULES as LISTENERS
from services.edge.modules import MODULES
from services.edge.observing.modules import MODULES as OBSERVING
from services.edge.tls.modules import MODULES as TLS

MANIFEST = Manifest(
    room="edge",
    service="services.edge.service:EdgeService",
    summary="Terminates HTTP and TLS, routes requests, runs middleware and matchers",
    # Their handlers and certificates of a revision are asked for while edge prepares it.
    needs=("certs", "proxy", "static", "sync"),
    modules=(
        *MODULES,
        *BODIES,
        *ENCODING,
        *LIMITING,
        *LISTENERS,
        *AUTHENTICATION,
        *OBSERVING,
        *TLS,
        ModuleSpec(
            id="http.ip_sources.static",
            room="edge",
            config="services.edge.config:StaticRanges",
            implementation="services.edge.config:StaticRanges",
            summary="trusted proxies by address",
        ),
    ),
    config_apps=(("apps.http", "services.edge.config:HttpApp"),),
    subjects=(
        "quantum_certificates",
        "quantum.edge.certificate_wanted",
        "quantum.edge.requests_counted",
    ),
)
