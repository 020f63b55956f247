"""Why a server could not be asked, in words of whoever has to mend it."""

from __future__ import annotations

import errno

import aiohttp


def why(error: BaseException) -> str:
    """Return what went wrong, and what to do where that is known."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            found = error.certificate_error
            said = getattr(found, "verify_message", "") or str(found)
            return (
                f"its certificate is not trusted: {said}; name the authority that signed it in"
                " SSL_CERT_FILE, or use --insecure in a network that you trust"
            )
        case aiohttp.ClientConnectorSSLError():
            return f"no TLS there: {_tls(error.os_error)}; a server without TLS is http://…"
        case aiohttp.ClientConnectorDNSError():
            return f"no such host: {error.host}"
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.ECONNREFUSED:
            return f"nothing listens on port {error.port} of {error.host}"
        case aiohttp.ContentTypeError():
            return "what answers there is no share: --server names the address of its page"
        case TimeoutError():
            return "no answer in time"
    return str(error) or type(error).__name__


def _tls(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror
    return (reason or str(error)).replace("_", " ").lower()
