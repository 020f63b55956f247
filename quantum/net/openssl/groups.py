"""Which groups (curves) TLS agrees on, in order: OpenSSL can be told, Python's ssl module passes on one.

So OpenSSL is told directly (``quantum.net.openssl.library``); where it cannot be reached its own list stays.
"""

from __future__ import annotations

import ctypes
import ssl

from quantum.net.openssl.library import library, pointer_of

DEFAULT_GROUPS = ("X25519MLKEM768", "X25519", "P-256", "P-384")
"""Mozilla's intermediate list, and the post-quantum hybrid before it where OpenSSL has it (3.5)."""

_SET_GROUPS_LIST = 92
"""SSL_CTRL_SET_GROUPS_LIST of openssl/ssl.h."""


def set_groups(context: ssl.SSLContext, names: tuple[str, ...]) -> bool:
    """Let ``context`` offer the groups of ``names`` that OpenSSL has; False when it cannot be told."""
    openssl, pointer = library(), pointer_of(context)
    if openssl is None or pointer is None:
        return False
    known = [name for name in names if _is_known(openssl, pointer, name)]
    return bool(known) and _tell(openssl, pointer, ":".join(known))


def _is_known(openssl: ctypes.CDLL, pointer: int, name: str) -> bool:
    return _tell(openssl, pointer, name)


def _tell(openssl: ctypes.CDLL, pointer: int, names: str) -> bool:
    told: int = openssl.SSL_CTX_ctrl(pointer, _SET_GROUPS_LIST, 0, names.encode())
    openssl.ERR_clear_error()  # an unknown name leaves a message that the next call would find
    return told == 1
