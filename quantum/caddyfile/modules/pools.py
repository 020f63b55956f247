"""Pools of trusted authorities, and what is asked of a client's certificate."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.namespaces import Readers, take_module
from quantum.caddyfile.modules.settings import Setting, read_block
from quantum.caddyfile.modules.storages import take_storage
from quantum.caddyfile.values.encoding import compact, module

UNKNOWN = "unrecognized directive: {}"
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def take_pool(d: Dispenser) -> dict[str, Any]:
    """Return the pool that the next argument names."""
    return take_module(d, "tls.ca_pool.source", POOLS, "provider")


def _inline(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    d.next()
    d.no_more()
    table = {"trust_der": Setting("trusted_ca_certs", settings.any_texts, add=True)}
    read_block(d, made, table, UNKNOWN)
    if not made.get("trusted_ca_certs"):
        raise d.error("no certificates specified")
    return made


def _listed(field: str, word: str, missing: str) -> Any:
    def read(d: Dispenser) -> dict[str, Any]:
        d.next()
        made: dict[str, Any] = {field: d.rest()}
        read_block(d, made, {word: Setting(field, settings.any_texts, add=True)}, UNKNOWN)
        if not made[field]:
            raise d.error(missing)
        return made

    return read


def _storage(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    d.next()
    d.no_more()
    table = {
        "storage": Setting("storage", take_storage),
        "keys": Setting("pem_keys", settings.any_texts, add=True),
    }
    read_block(d, made, table, UNKNOWN)
    return made


def _renegotiation(d: Dispenser) -> str:
    value = d.arg()
    if value not in {"never", "once", "freely"}:
        raise d.error(f"unrecognized renegotiation level: {value}")
    return value


def _http_tls(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    table = {
        "ca": Setting("ca", take_pool),
        "insecure_skip_verify": Setting("insecure_skip_verify", settings.loose_flag),
        "handshake_timeout": Setting("handshake_timeout", settings.duration("bad timeout value '{value}': {error}")),
        "server_name": Setting("server_name", settings.text),
        "renegotiation": Setting("renegotiation", _renegotiation),
    }  # fmt: skip
    read_block(d, made, table, "unrecognized directive: {}")
    return made


def _http(d: Dispenser) -> dict[str, Any]:
    d.next()
    made: dict[str, Any] = {"endpoints": d.rest()}
    table = {
        "endpoint": Setting("endpoints", settings.one_in_list, add=True),
        "tls": Setting("tls", _http_tls),
    }
    read_block(d, made, table, UNKNOWN)
    return made


def _system(d: Dispenser) -> dict[str, Any]:
    d.next()
    d.no_more()
    return {}


def _combined(d: Dispenser) -> dict[str, Any]:
    d.next()
    made: dict[str, Any] = {}
    table = {"source": Setting("sources", lambda d: [take_pool(d)], add=True)}
    read_block(d, made, table, UNKNOWN)
    return made


POOLS: Readers = {
    "inline": _inline,
    "file": _listed("pem_files", "pem_file", "no certificates specified"),
    "pki_root": _listed("authority", "authority", "no authorities specified"),
    "pki_intermediate": _listed("authority", "authority", "no authorities specified"),
    "storage": _storage,
    "http": _http,
    "system": _system,
    "combined": _combined,
}

LEAF_LOADERS: Readers = {}


def read_certificates(d: Dispenser, path: str) -> list[str]:
    """Return the certificates of a PEM file as base64 of DER."""
    try:
        content = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise d.error(f"open {path}: {reason}") from None
    found = CERTIFICATE.findall(content)
    return [base64.b64encode(base64.b64decode("".join(body.split()))).decode() for body in found]


def _leaf(d: Dispenser) -> dict[str, Any]:
    d.next()
    made: dict[str, Any] = {}
    loaders = []
    if d.next_arg():
        loaders.append(_loader(d))
    loaders += [_loader(d) for _ in d.block()]
    made["leaf_certs_loaders"] = loaders
    return made


def _loader(d: Dispenser) -> dict[str, Any]:
    names = {"file": "files", "folder": "folders", "pem": "certificates", "storage": "certificates"}
    kind = d.val
    if kind not in names:
        space = "tls.leaf_cert_loader"
        raise d.error(
            f"getting module named '{space}.{kind}': module not registered: {space}.{kind}"
        )
    inner = d.fork()
    inner.next()
    values = inner.rest()
    return module({names[kind]: values}, "loader", kind)


VERIFIERS: Readers = {"leaf": _leaf}


def read_client_auth(d: Dispenser) -> dict[str, Any]:
    """Read ``client_auth { … }``; the cursor is on that word."""
    inner = d.fork()
    made: dict[str, Any] = {}
    given: list[str] = []
    inner.next()
    for _ in inner.rest():
        pass
    for word in inner.block():
        _client_auth_word(inner, word, made, given)
    if given:
        made["ca"] = module({"trusted_ca_certs": given}, "provider", "inline")
    order = ("ca", "trusted_leaf_certs", "verifiers", "mode")
    return compact(**{name: made.get(name) for name in order})


def _wrapped(d: Dispenser) -> dict[str, Any]:
    """Take a pool; its errors name the end of its block as well."""
    try:
        return take_pool(d)
    except CaddyfileError as error:
        raise d.error(error.problem) from None


def _client_auth_word(d: Dispenser, word: str, made: dict[str, Any], given: list[str]) -> None:
    both = "cannot specify both 'trust_pool' and 'trusted_ca_cert' or 'trusted_ca_cert_file'"
    if word == "mode":
        made["mode"] = d.only()
    elif word == "trust_pool":
        if given:
            raise d.error(both)
        made["ca"] = _wrapped(d)
    elif word in {"trusted_ca_cert", "trusted_ca_cert_file"}:
        if "ca" in made:
            raise d.error(both)
        value = d.arg()
        given += read_certificates(d, value) if word.endswith("_file") else [value]
    elif word in {"trusted_leaf_cert", "trusted_leaf_cert_file"}:
        value = d.arg()
        made.setdefault("trusted_leaf_certs", []).extend(
            read_certificates(d, value) if word.endswith("_file") else [value]
        )
    elif word == "verifier":
        found = take_module(d, "tls.client_auth.verifier", VERIFIERS, "verifier")
        made.setdefault("verifiers", []).append(found)
    else:
        raise d.error(f"unknown subdirective for client_auth: {word}")
