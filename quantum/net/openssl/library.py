"""OpenSSL itself, for the few things that Python's ssl module does not pass on.

A ``SSLContext`` of CPython holds its ``SSL_CTX`` in the first field after the object's head, in every
version since 3.6. What is found there is checked against something that Python knows before it is used;
where that fails (another interpreter, a library that cannot be reached), there is no pointer and callers
do without, or refuse.
"""

from __future__ import annotations

import ctypes
import ssl
import sys
import weakref
from functools import cache
from typing import Any

_kept: weakref.WeakKeyDictionary[ssl.SSLContext, list[Any]] = weakref.WeakKeyDictionary()


def pointer_of(context: ssl.SSLContext) -> int | None:
    """Return the ``SSL_CTX`` of ``context``; None where it cannot be had."""
    openssl = library()
    if openssl is None:
        return None
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if (
        pointer is None
        or openssl.SSL_CTX_get_options(pointer) != context.options & 0xFFFFFFFFFFFFFFFF
    ):
        return None
    return pointer


def keep(context: ssl.SSLContext, callback: Any) -> None:
    """Let a callback of C live as long as ``context``: OpenSSL knows its address only."""
    _kept.setdefault(context, []).append(callback)


@cache
def library() -> ctypes.CDLL | None:
    """Return OpenSSL as the ssl module uses it; None where that cannot be told."""
    if sys.implementation.name != "cpython" or hasattr(sys, "gettotalrefcount"):
        return None
    try:
        import _ssl

        found = ctypes.CDLL(_ssl.__file__)
        for name, result, *arguments in _FUNCTIONS:
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (ImportError, OSError, AttributeError):
        return None
    return found


_POINTER, _INT, _LONG, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p

_FUNCTIONS: tuple[tuple[Any, ...], ...] = (
    ("SSL_CTX_get_options", ctypes.c_uint64, _POINTER),
    ("SSL_CTX_ctrl", _LONG, _POINTER, _INT, _LONG, _TEXT),
    ("ERR_clear_error", None),
    ("SSL_CTX_set_cert_verify_callback", None, _POINTER, _POINTER, _POINTER),
    ("X509_verify_cert", _INT, _POINTER),
    ("X509_STORE_CTX_get0_cert", _POINTER, _POINTER),
    ("X509_STORE_CTX_set_error", None, _POINTER, _INT),
    ("i2d_X509", _INT, _POINTER, _POINTER),
    ("SSL_CTX_callback_ctrl", _LONG, _POINTER, _INT, _POINTER),
    ("SSL_CTX_set_tlsext_ticket_key_evp_cb", _INT, _POINTER, _POINTER),
    ("SSL_ctrl", _LONG, _POINTER, _INT, _LONG, _POINTER),
    ("CRYPTO_malloc", _POINTER, ctypes.c_size_t, _TEXT, _INT),
    ("EVP_EncryptInit_ex", _INT, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER),
    ("EVP_DecryptInit_ex", _INT, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER),
    ("EVP_aes_256_cbc", _POINTER),
    ("EVP_MAC_init", _INT, _POINTER, _TEXT, ctypes.c_size_t, _POINTER),
    ("EVP_MAC_CTX_set_params", _INT, _POINTER, _POINTER),
)
"""Name, result, arguments, from the manual pages of OpenSSL 3."""
