"""What Caddy calls automatic HTTPS, as far as it concerns listeners and routes.

What lives here: who speaks TLS for which names (``planning``, pure) and the redirects from HTTP. What does
not: certificates, which the certs room issues and ``services.edge.certificates`` fetches.
"""

from services.edge.automatic_https.planning import (
    Plan,
    Redirect,
    ServerPlan,
    is_public,
    is_secure_listener,
    plan,
    qualifies_for_certificate,
)

__all__ = [
    "Plan",
    "Redirect",
    "ServerPlan",
    "is_public",
    "is_secure_listener",
    "plan",
    "qualifies_for_certificate",
]
