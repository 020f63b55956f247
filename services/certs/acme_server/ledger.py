"""What becomes of accounts, orders and challenges: the states of RFC 8555 §7.1.6. Blocks on the disk.

Each method is one change of the records, under their lock; what is asked of it was signed by the account.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from josepy.jwk import JWK

from quantum.clock import Clock
from services.certs.acme_server.config import AcmeServerConfig
from services.certs.acme_server.policy import check_name
from services.certs.acme_server.problems import AcmeProblem
from services.certs.acme_server.records import ORDER_SECONDS, Record, Records
from services.certs.acme_server.signed import read_key, thumbprint
from services.certs.names import normalise

MAX_NAMES = 100
"""Names of one order: as public authorities have it."""
MAX_CONTACTS = 10
REVOKED_SECONDS = 60.0
"""How long ago a revoked certificate should have been renewed."""
REASONS = frozenset({0, 1, 2, 3, 4, 5, 6, 8, 9, 10})
"""Reasons of a revocation (RFC 5280 §5.3.1)."""


class Ledger:
    """The records of one server, changed by its rules."""

    def __init__(self, records: Records, config: AcmeServerConfig, clock: Clock) -> None:
        self._records = records
        self._config = config
        self._clock = clock

    # Accounts.

    def register(self, key: JWK, wish: Record) -> tuple[str, Record, bool]:
        """Return the id and content of the account with ``key``, and whether it is new."""
        with self._records.locked():
            known = self._records.account_of(thumbprint(key))
            if known is not None:
                return known, self.account(known), False
            if wish.get("onlyReturnExisting"):
                raise AcmeProblem("accountDoesNotExist", "there is no account with this key")
            content = {"status": "valid", "contact": _contacts(wish), "key": key.to_json()}
            return self._records.make_account(thumbprint(key), content), content, True

    def account(self, account: str) -> Record:
        """Return an account in use; AcmeProblem for others."""
        found = self._records.account(account)
        if found is None:
            raise AcmeProblem("accountDoesNotExist", "there is no such account")
        if found["status"] != "valid":
            raise AcmeProblem("unauthorized", f"the account is {found['status']}")
        return found

    def update(self, account: str, wish: Record) -> Record:
        """Change the contacts of an account, or end it."""
        with self._records.locked():
            content = self.account(account)
            if "contact" in wish:
                content["contact"] = _contacts(wish)
            if wish.get("status") == "deactivated":
                content["status"] = "deactivated"
            self._records.change_account(account, content)
            return content

    def change_key(self, account: str, key: JWK) -> Record:
        """Give an account another key, which no other account has."""
        with self._records.locked():
            content = self.account(account)
            if (owner := self._records.account_of(thumbprint(key))) is not None:
                raise AcmeProblem("malformed", f"the key is that of account {owner}", 409)
            before = thumbprint(read_key(content["key"]))
            content = {**content, "key": key.to_json()}
            self._records.change_key(account, before, thumbprint(key), content)
            return content

    # Orders.

    def order(self, account: str, wish: Record) -> tuple[str, Record]:
        """Make an order; AcmeProblem when its names are none, or not allowed."""
        names = self._names(wish)
        if wish.get("notBefore") or wish.get("notAfter"):
            raise AcmeProblem("malformed", "this server chooses when a certificate begins and ends")
        content = {
            "status": "pending",
            "expires": self._clock.now().timestamp() + ORDER_SECONDS,
            "names": names,
            "authorizations": [self._authorization(name) for name in names],
        }
        with self._records.locked():
            return self._records.make_order(account, content), content

    def find(self, account: str, order: str) -> Record:
        """Return an order of an account."""
        return self._records.order(account, order)

    def orders(self, account: str) -> list[str]:
        """Return the ids of an account's orders."""
        return self._records.orders(account)

    def deactivate(self, account: str, order: str, index: int) -> Record:
        """End an authorization, and with it the order (§7.5.2)."""
        with self._records.locked():
            content, authorization = self._authorized(account, order, index)
            authorization["status"] = "deactivated"
            if content["status"] in {"pending", "ready"}:
                content["status"] = "invalid"
            self._records.change_order(account, order, content)
            return content

    def begin(self, account: str, order: str, index: int, which: int) -> tuple[Record, bool]:
        """Note that a challenge shall be looked at; whether that is new."""
        with self._records.locked():
            content, authorization = self._authorized(account, order, index)
            challenge = _challenge(authorization, which)
            if authorization["status"] != "pending" or challenge["status"] != "pending":
                return content, False
            challenge["status"] = "processing"
            self._records.change_order(account, order, content)
            return content, True

    def conclude(
        self, account: str, order: str, index: int, which: int, problem: AcmeProblem | None
    ) -> None:
        """Note what came of a challenge."""
        with self._records.locked():
            content, authorization = self._authorized(account, order, index)
            challenge = _challenge(authorization, which)
            state = "valid" if problem is None else "invalid"
            authorization["status"] = challenge["status"] = state
            if problem is None:
                challenge["validated"] = self._clock.now().timestamp()
            else:
                challenge["error"] = problem.document()
            states = {a["status"] for a in content["authorizations"]}
            if content["status"] == "pending":
                content["status"] = (
                    "ready"
                    if states == {"valid"}
                    else "pending"
                    if "invalid" not in states
                    else "invalid"
                )
            self._records.change_order(account, order, content)

    def finish(self, account: str, order: str, chain: bytes) -> Record:
        """Note the certificate of an order."""
        leaf = x509.load_pem_x509_certificate(chain)
        with self._records.locked():
            content = self._records.order(account, order)
            content.update(status="valid", certificate=chain.decode())
            end = leaf.not_valid_after_utc.timestamp()
            start = leaf.not_valid_before_utc.timestamp()
            self._records.note_certificate(leaf.serial_number, account, start, end)
            self._records.change_order(account, order, content)
            return content

    # Revocation.

    def revoke(
        self, der: bytes, account: str | None, key: CertificatePublicKeyTypes | None, reason: Any
    ) -> None:
        """Note that a certificate is revoked, by its account or by who has its key (§7.6)."""
        if reason is not None and (not isinstance(reason, int) or reason not in REASONS):
            raise AcmeProblem("badRevocationReason", "there is no such reason")
        try:
            certificate = x509.load_der_x509_certificate(der)
        except ValueError:
            raise AcmeProblem("malformed", "not a certificate in DER") from None
        with self._records.locked():
            known = self._records.certificate(certificate.serial_number)
            if known is None:
                raise AcmeProblem("malformed", "the certificate is not one of this server", 404)
            if known["account"] != account and (key is None or certificate.public_key() != key):
                raise AcmeProblem("unauthorized", "neither its account nor its key signed this")
            if known["revoked"]:
                raise AcmeProblem("alreadyRevoked", "it was revoked before")
            self._records.revoke(certificate.serial_number, {**known, "reason": reason or 0})

    def window(self, serial: int) -> tuple[float, float]:
        """Return when a certificate should be renewed (RFC 9773): the middle of its last half; now, if revoked."""
        known = self._records.certificate(serial)
        if known is None:
            raise AcmeProblem("malformed", "the certificate is not one of this server", 404)
        if known["revoked"]:
            now = self._clock.now().timestamp()
            return now - REVOKED_SECONDS, now
        lifetime = known["end"] - known["start"]
        return known["end"] - lifetime * 0.4, known["end"] - lifetime * 0.3

    def _names(self, wish: Record) -> list[str]:
        found = wish.get("identifiers")
        if not isinstance(found, list) or not 0 < len(found) <= MAX_NAMES:
            raise AcmeProblem("malformed", f"identifiers: one to {MAX_NAMES}")
        names = sorted({_name(identifier) for identifier in found})
        for name in names:
            check_name(name, self._config.policy)
        return names

    def _authorization(self, name: str) -> Record:
        kinds = [kind for kind in self._config.challenges if _can_prove(kind, name)]
        if not kinds:
            raise AcmeProblem("rejectedIdentifier", f"no challenge of this server can prove {name}")
        challenges = [
            {"type": kind, "token": secrets.token_urlsafe(32), "status": "pending"}
            for kind in kinds
        ]
        return {"name": name, "status": "pending", "challenges": challenges}

    def _authorized(self, account: str, order: str, index: int) -> tuple[Record, Record]:
        content = self._records.order(account, order)
        if not 0 <= index < len(content["authorizations"]):
            raise AcmeProblem("malformed", "there is no such authorization", 404)
        return content, content["authorizations"][index]


def _challenge(authorization: Record, which: int) -> Record:
    if not 0 <= which < len(authorization["challenges"]):
        raise AcmeProblem("malformed", "there is no such challenge", 404)
    challenge: Record = authorization["challenges"][which]
    return challenge


def _name(identifier: Any) -> str:
    kind = identifier.get("type") if isinstance(identifier, dict) else None
    value = identifier.get("value") if isinstance(identifier, dict) else None
    if kind not in {"dns", "ip"} or not isinstance(value, str):
        raise AcmeProblem("unsupportedIdentifier", "identifiers are of type dns or ip")
    name = normalise(value)
    if name is None or (kind == "ip") != _is_address(name):
        raise AcmeProblem("malformed", f"{value[:64]!r} is no identifier of type {kind}")
    return name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _can_prove(kind: str, name: str) -> bool:
    """Whether a challenge is for names of this kind (RFC 8555 §8.4, RFC 8738 §7)."""
    if name.startswith("*."):
        return kind == "dns-01"
    return kind != "dns-01" if _is_address(name) else True


def _contacts(wish: Record) -> list[str]:
    found = wish.get("contact", [])
    if not isinstance(found, list) or len(found) > MAX_CONTACTS:
        raise AcmeProblem("malformed", f"contact: a list of up to {MAX_CONTACTS}")
    return [str(contact)[:256] for contact in found]


def moment(seconds: float) -> str:
    """Return a Unix time as RFC 3339 has it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
