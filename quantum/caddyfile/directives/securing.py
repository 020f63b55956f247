"""``tls`` and ``acme_server``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from quantum.caddyfile.context import Context
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.issuers import DNS, of_email, take_issuer, take_manager
from quantum.caddyfile.modules.pools import read_client_auth
from quantum.caddyfile.modules.settings import Setting, read_block
from quantum.caddyfile.routes import Value

PROTOCOLS = ("tls1.2", "tls1.3")
CIPHERS = (
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
)  # fmt: skip
CURVES = ("x25519mlkem768", "x25519", "secp256r1", "secp384r1", "secp521r1")


class Tls:
    """Reads one ``tls`` directive."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._d = context.d
        self.policy: dict[str, Any] = {}
        self._acme: dict[str, Any] | None = None
        self._is_internal = False
        self._issuers: list[dict[str, Any]] = []
        self._values: list[Value] = []
        self._dns_words: list[str] = []

    def read(self) -> list[Value]:
        """Return what it says: policies, issuers, certificates."""
        d = self._d
        d.next()
        args = d.rest()
        self._first_line(args)
        has_block = False
        folders: list[str] = []
        for word in d.block():
            has_block = True
            if word == "load":
                folders += d.rest()
            else:
                self._word(word)
        if not args and not has_block:
            raise d.arg_error()
        if folders:
            self._values.append(Value("tls.cert_loader", ("load_folders", folders)))
        self._finish()
        return [*self._values, Value("tls.connection_policy", self.policy)]

    def _first_line(self, args: list[str]) -> None:
        if len(args) > 2:
            raise self._d.arg_error()
        if len(args) == 2:
            self._certificate(*args)
        elif args == ["internal"]:
            self._is_internal = True
        elif args == ["force_automate"]:
            self._values.append(Value("tls.force_automate", True))
        elif args and "@" not in args[0]:
            raise self._d.error(
                "single argument must either be 'internal', 'force_automate', or an email address"
            )
        elif args:
            self._acme = {"email": args[0]}

    def _certificate(self, certificate: str, key: str) -> None:
        """Load a pair of files, tagged so that this site uses just that one."""
        tags = self._context.state.certificate_tags
        if certificate not in tags:
            tags[certificate] = f"cert{len(tags)}"
            loaded = {"certificate": certificate, "key": key, "tags": [tags[certificate]]}
            self._values.append(Value("tls.cert_loader", ("load_files", [loaded])))
        self.policy["certificate_selection"] = {"any_tag": [tags[certificate]]}

    def _word(self, word: str) -> None:
        d = self._d
        if word in ISSUING:
            self._acme = self._acme if self._acme is not None else {}
            ISSUING[word].apply(d, self._acme)
            if word in DNS and word != "dns":
                self._dns_words.append(word)
        elif word in POLICY:
            self.policy.update(POLICY[word](d))
        elif word == "issuer":
            self._issuers.append(take_issuer(d))
        elif word == "get_certificate":
            self._values.append(Value("tls.cert_manager", take_manager(d)))
        elif word in FLAGS:
            d.no_more()
            self._values.append(Value(FLAGS[word], True))
        elif word == "key_type":
            self._values.append(Value("tls.key_type", d.only()))
        elif word == "renewal_window_ratio":
            self._values.append(Value("tls.renewal_window_ratio", read_ratio(d)))
        else:
            raise d.error(f"unknown subdirective: {word}")

    def _finish(self) -> None:
        d, acme = self._d, self._acme
        if self._dns_words and "provider" not in (acme or {}).get("challenges", {}).get("dns", {}):
            raise d.error(
                f"setting DNS challenge options [{', '.join(self._dns_words)}] requires a DNS "
                "provider (set with the 'dns' subdirective or 'acme_dns' global option)"
            )
        if self._issuers and (acme is not None or self._is_internal):
            raise d.error(
                "cannot mix issuer subdirective (explicit issuers) with other issuer-specific "
                "subdirectives (implicit issuers)"
            )
        if acme is not None and self._is_internal:
            raise d.error("cannot create both ACME and internal certificate issuers")
        issuers = self._issuers
        if acme is not None:
            issuers = _acme_issuers(acme, self._context.options.get("cert_issuer", []))
        elif self._is_internal:
            issuers = [{"module": "internal"}]
        self._values += [Value("tls.cert_issuer", issuer) for issuer in issuers]


def _acme_issuers(acme: dict[str, Any], of_all: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the issuers of all sites, or the default ones, with the given settings."""
    if acme.get("ca"):
        return [{**acme, "module": "acme"}]
    found = []
    shared = [issuer for issuer in of_all if issuer["module"] == "acme"]
    for issuer in shared or of_email(acme.get("email", "")):
        made = {name: value for name, value in copy.deepcopy(acme).items() if value}
        found.append({**copy.deepcopy(issuer), **made, "ca": issuer.get("ca", "")})
    return found


def read_ratio(d: Dispenser) -> Any:
    """Read a ratio between 0 and 1."""
    value = d.arg()
    try:
        ratio = float(value)
    except ValueError:
        raise d.error(
            f'parsing renewal_window_ratio: strconv.ParseFloat: parsing "{value}": invalid syntax'
        ) from None
    if not 0 < ratio < 1:
        raise d.error("renewal_window_ratio must be between 0 and 1 (exclusive)")
    d.no_more()
    return ratio


def _protocols(d: Dispenser) -> dict[str, Any]:
    args = d.rest()
    if not args:
        raise d.error("protocols requires one or two arguments")
    for name in args[:2]:
        if name not in PROTOCOLS:
            raise d.error(f"wrong protocol name or protocol not supported: '{name}'")
    return dict(zip(("protocol_min", "protocol_max"), args, strict=False))


def _ciphers(d: Dispenser) -> dict[str, Any]:
    found = d.rest()
    for name in found:
        if name not in CIPHERS:
            raise d.error(f"wrong cipher suite name or cipher suite not supported: '{name}'")
    return {"cipher_suites": found}


def _curves(d: Dispenser) -> dict[str, Any]:
    found = d.rest()
    for name in found:
        if name not in CURVES:
            raise d.error(f"Wrong curve name or curve not supported: '{name}'")
    return {"curves": found}


POLICY: dict[str, Callable[[Dispenser], dict[str, Any]]] = {
    "protocols": _protocols,
    "ciphers": _ciphers,
    "curves": _curves,
    "alpn": lambda d: {"alpn": d.some()},
    "client_auth": lambda d: {"client_authentication": read_client_auth(d)},
    "insecure_secrets_log": lambda d: {"insecure_secrets_log": d.arg()},
}
FLAGS = {"on_demand": "tls.on_demand", "reuse_private_keys": "tls.reuse_private_keys"}


def _eab(d: Dispenser) -> dict[str, str]:
    key_id, mac_key = d.exactly(2)
    return {"key_id": key_id, "mac_key": mac_key}


ISSUING = {
    "ca": Setting("ca", settings.text_only),
    "ca_root": Setting("trusted_roots_pem_files", lambda d: [d.only()], add=True),
    "eab": Setting("external_account", _eab),
    **DNS,
}


def tls(context: Context) -> list[Value]:
    """``tls [internal|force_automate|<email>|<certificate> <key>] { … }``."""
    return Tls(context).read()


def acme_server(context: Context) -> list[Value]:
    """``acme_server [<matcher>] { … }``; it makes sure that its authority exists."""
    d = context.d
    d.next()
    match = context.take_matcher()
    d.next()
    d.no_more()
    made: dict[str, Any] = {}
    table = {
        "ca": Setting("ca", settings.text_only),
        "lifetime": Setting("lifetime", settings.duration()),
        "resolvers": Setting("resolvers", _resolvers),
        "challenges": Setting("challenges", settings.texts),
        "allow_wildcard_names": Setting("policy.allow_wildcard_names", settings.flag),
        "allow": Setting("policy.allow", _names),
        "deny": Setting("policy.deny", _names),
        "sign_with_root": Setting("sign_with_root", settings.flag),
    }
    read_block(d, made, table, "unrecognized ACME server directive: {}")
    values = context.route(match, "acme_server", made)
    return [*values, Value("pki.ca", made["ca"])] if made.get("ca") else values


def _resolvers(d: Dispenser) -> list[str]:
    found = d.rest()
    if not found:
        raise d.error("must specify at least one resolver address")
    return found


def _names(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    table = {
        "domains": Setting("domains", settings.texts, add=True),
        "ip_ranges": Setting("ip_ranges", settings.texts, add=True),
    }
    read_block(d, made, table, "unrecognized 'allow' subdirective: {}")
    return made


def timeouts(context: Context) -> dict[str, Any]:
    """``timeouts { read_timeout, write_timeout, max_write_chunk }``."""
    d = context.d
    made: dict[str, Any] = {}
    d.next()
    d.no_more()
    for word in d.block():
        if word in {"read_timeout", "write_timeout"}:
            made[word] = settings.duration("parsing " + word + ": {error}")(d)
            if d.next_arg():
                d.prev()
                made[word.replace("timeout", "min_rate")] = settings.size()(d)
        elif word == "max_write_chunk":
            made[word] = settings.size("parsing max_write_chunk: {error}")(d)
        else:
            raise d.error(f"unrecognized timeouts subdirective '{word}'")
    return made


__all__ = ["CaddyfileError", "acme_server", "timeouts", "tls"]
