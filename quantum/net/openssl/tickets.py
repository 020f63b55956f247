"""Session tickets sealed with keys of our own, so that another process can open them (RFC 5077, RFC 8446 §4.6.1).

OpenSSL makes up keys for each context; a client that comes to another worker, or after a restart, then
shakes hands in full. With its callback the keys are ours: several at a time, so that rotating them breaks
no session. What a callback cannot do (a key that is unknown) means a full handshake, never an error.
"""

from __future__ import annotations

import ctypes
import hmac
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantum.net.openssl.library import keep, library, pointer_of

NAME_BYTES = IV_BYTES = 16
"""Fixed by OpenSSL for this callback; AES takes an IV of 16."""

_OCTETS, _TEXT = 5, 4
"""Types of OSSL_PARAM (openssl/core.h)."""


class _Param(ctypes.Structure):
    _fields_ = (
        ("key", ctypes.c_char_p),
        ("data_type", ctypes.c_uint),
        ("data", ctypes.c_void_p),
        ("data_size", ctypes.c_size_t),
        ("return_size", ctypes.c_size_t),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
    ctypes.c_void_p, ctypes.c_int,
)  # fmt: skip

_DIGEST = ctypes.create_string_buffer(b"sha256")


@dataclass(frozen=True)
class TicketKey:
    """What one ticket key is made of: its public name, AES-256-CBC and HMAC-SHA-256 keys."""

    name: bytes
    cipher: bytes
    mac: bytes

    @classmethod
    def derive(cls, secret: bytes, scope: bytes) -> TicketKey:
        """Return the key for ``scope`` (a policy, a certificate): tickets of one do not open in another."""
        parts = [
            hmac.digest(secret, label + scope, "sha256")
            for label in (b"name\0", b"aes\0", b"mac\0")
        ]
        return cls(parts[0][:NAME_BYTES], parts[1], parts[2])


class TicketKeys:
    """The keys of one scope: the first seals, all open. ``take`` exchanges them."""

    def __init__(self) -> None:
        self._sealing: TicketKey | None = None
        self._by_name: dict[bytes, TicketKey] = {}

    def take(self, keys: Sequence[TicketKey]) -> None:
        """Use these from now on; at least one."""
        self._sealing = keys[0]
        self._by_name = {key.name: key for key in keys}

    def seal_with(self) -> TicketKey | None:
        """Return the key of new tickets."""
        return self._sealing

    def open_with(self, name: bytes) -> tuple[TicketKey | None, bool]:
        """Return the key that a ticket names, and whether it is the newest."""
        key = self._by_name.get(name)
        return key, key is self._sealing


def seal_tickets(context: ssl.SSLContext, keys: TicketKeys) -> bool:
    """Let ``context`` seal and open tickets with ``keys``, which has some; False where it cannot be told."""
    openssl, pointer = library(), pointer_of(context)
    if openssl is None or pointer is None:
        return False
    cipher = openssl.EVP_aes_256_cbc()

    def seal(name: int, iv: int, cipher_context: int, mac_context: int) -> int:
        key = keys.seal_with()
        if key is None:
            return -1
        ctypes.memmove(name, key.name, NAME_BYTES)
        ctypes.memmove(iv, secrets.token_bytes(IV_BYTES), IV_BYTES)
        begun = openssl.EVP_EncryptInit_ex(cipher_context, cipher, None, key.cipher, iv)
        return 1 if begun == 1 and _set_mac(openssl, mac_context, key) else -1

    def unseal(name: int, iv: int, cipher_context: int, mac_context: int) -> int:
        key, is_newest = keys.open_with(ctypes.string_at(name, NAME_BYTES))
        if key is None or not _set_mac(openssl, mac_context, key):
            return 0
        if openssl.EVP_DecryptInit_ex(cipher_context, cipher, None, key.cipher, iv) != 1:
            return 0
        return 1 if is_newest else 2  # 2: the session goes on, and the client gets a newer ticket

    def either(_: int, name: int, iv: int, cipher_context: int, mac_context: int, new: int) -> int:
        return (seal if new else unseal)(name, iv, cipher_context, mac_context)

    callback = _Callback(either)  # an exception in it counts as 0
    keep(context, callback)
    told: int = openssl.SSL_CTX_set_tlsext_ticket_key_evp_cb(pointer, callback)
    return told == 1


def _set_mac(openssl: Any, mac_context: int, key: TicketKey) -> bool:
    secret = ctypes.create_string_buffer(key.mac, len(key.mac))
    parameters = (_Param * 3)(
        _Param(b"key", _OCTETS, ctypes.addressof(secret), len(key.mac), 0),
        _Param(b"digest", _TEXT, ctypes.addressof(_DIGEST), len(_DIGEST.value), 0),
        _Param(None, 0, None, 0, 0),
    )
    done: int = openssl.EVP_MAC_CTX_set_params(mac_context, ctypes.byref(parameters))
    return done == 1
