"""Which groups (curves) TLS agrees on, in order: OpenSSL can be told, Python's ssl module passes on one.

So OpenSSL is told directly: a ``SSLContext`` of CPython holds its ``SSL_CTX`` in the first field after the
object's head, in every version since 3.6. What is found there is checked against something that Python
knows before it is used; where that fails (another interpreter, a library that cannot be reached),
OpenSSL's own list stays.
"""

from __future__ import annotations

import ctypes
import ssl
import sys
from functools import cache

DEFAULT_GROUPS = ("X25519MLKEM768", "X25519", "P-256", "P-384")
"""Mozilla's intermediate list, and the post-quantum hybrid before it where OpenSSL has it (3.5)."""

_SET_GROUPS_LIST = 92
"""SSL_CTRL_SET_GROUPS_LIST of openssl/ssl.h."""


def set_groups(context: ssl.SSLContext, names: tuple[str, ...]) -> bool:
    """Let ``context`` offer the groups of ``names`` that OpenSSL has; False when it cannot be told."""
    library = _library()
    if library is None:
        return False
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if (
        pointer is None
        or library.SSL_CTX_get_options(pointer) != context.options & 0xFFFFFFFFFFFFFFFF
    ):
        return False
    known = [name for name in names if _is_known(library, pointer, name)]
    return bool(known) and _tell(library, pointer, ":".join(known))


def _is_known(library: ctypes.CDLL, pointer: int, name: str) -> bool:
    return _tell(library, pointer, name)


def _tell(library: ctypes.CDLL, pointer: int, names: str) -> bool:
    told: int = library.SSL_CTX_ctrl(pointer, _SET_GROUPS_LIST, 0, names.encode())
    library.ERR_clear_error()  # an unknown name leaves a message that the next call would find
    return told == 1


@cache
def _library() -> ctypes.CDLL | None:
    """Return OpenSSL as the ssl module uses it; None where that cannot be told."""
    if sys.implementation.name != "cpython" or hasattr(sys, "gettotalrefcount"):
        return None
    try:
        import _ssl

        library = ctypes.CDLL(_ssl.__file__)
        library.SSL_CTX_get_options.restype = ctypes.c_uint64
        library.SSL_CTX_get_options.argtypes = [ctypes.c_void_p]
        library.SSL_CTX_ctrl.restype = ctypes.c_long
        library.SSL_CTX_ctrl.argtypes = [
            ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p,
        ]  # fmt: skip
        library.ERR_clear_error.argtypes = []
    except (ImportError, OSError, AttributeError):
        return None
    return library
