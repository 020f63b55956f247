"""Which certificates of clients a server takes: chains, exact leaves, or anybody's.

Python's ssl module can verify a chain or not ask at all. What lies between (Caddy's modes ``request`` and
``require``, and the verifier ``leaf``) needs OpenSSL's own callback. It runs inside the handshake, so that
a refusal is an alert; whatever goes wrong in it refuses.
"""

from __future__ import annotations

import ctypes
import hashlib
import ssl

from quantum.net.openssl.library import keep, library, pointer_of

_CERT_REJECTED = 28
"""X509_V_ERR_CERT_REJECTED: OpenSSL answers with the alert bad_certificate, as Go does."""

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def verify_clients(
    context: ssl.SSLContext, *, chains: bool, leaves: frozenset[str] = frozenset()
) -> None:
    """Say which certificates ``context`` takes; ValueError where OpenSSL cannot be told.

    ``chains``: they lead to its roots. ``leaves``, if any: they are one of these (SHA-256 of the DER).
    """
    openssl, pointer = library(), pointer_of(context)
    if openssl is None or pointer is None:
        raise ValueError("this interpreter's OpenSSL cannot be told whom to take")

    def verify(store: int, _: int) -> int:
        if chains and openssl.X509_verify_cert(store) != 1:
            return 0
        if leaves and fingerprint(openssl, openssl.X509_STORE_CTX_get0_cert(store)) not in leaves:
            openssl.X509_STORE_CTX_set_error(store, _CERT_REJECTED)
            return 0
        return 1

    callback = _Callback(verify)  # an exception in it counts as 0: refused
    keep(context, callback)
    openssl.SSL_CTX_set_cert_verify_callback(pointer, callback, None)


def fingerprint(openssl: ctypes.CDLL, certificate: int | None) -> str:
    """Return the SHA-256 of an ``X509``, hexadecimal; ValueError when there is none."""
    size = openssl.i2d_X509(certificate, None) if certificate else 0
    if size <= 0:
        raise ValueError("there is no certificate to look at")
    der = ctypes.create_string_buffer(size)
    end = ctypes.c_void_p(ctypes.addressof(der))  # i2d_X509 moves the pointer it is given
    openssl.i2d_X509(certificate, ctypes.byref(end))
    return hashlib.sha256(der.raw).hexdigest()
