"""How an ACME server's objects look to clients (RFC 8555 §7.1), and where they are."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from services.certs.acme_server.ledger import moment
from services.certs.acme_server.records import Record


@dataclass(frozen=True)
class Documents:
    """The objects of the server whose URLs begin with ``base``."""

    base: str

    def directory(self) -> Record:
        """Return where a client begins."""
        names = {
            "newNonce": "new-nonce",
            "newAccount": "new-account",
            "newOrder": "new-order",
            "revokeCert": "revoke-cert",
            "keyChange": "key-change",
            "renewalInfo": "renewal-info",
        }
        return {key: self.base + place for key, place in names.items()}

    def account_url(self, account: str) -> str:
        """Return what a client calls itself (``kid``)."""
        return f"{self.base}account/{account}"

    def account(self, account: str, content: Record) -> Record:
        """Return an account."""
        orders = f"{self.account_url(account)}/orders"
        return {"status": content["status"], "contact": content["contact"], "orders": orders}

    def order_url(self, order: str) -> str:
        """Return where an order is."""
        return f"{self.base}order/{order}"

    def order(self, order: str, content: Record) -> Record:
        """Return an order."""
        count = len(content["authorizations"])
        shown: dict[str, Any] = {
            "status": content["status"],
            "expires": moment(content["expires"]),
            "identifiers": [identifier(name) for name in content["names"]],
            "authorizations": [f"{self.base}authz/{order}/{index}" for index in range(count)],
            "finalize": f"{self.order_url(order)}/finalize",
        }
        if "certificate" in content:
            shown["certificate"] = f"{self.base}certificate/{order}"
        if content["status"] == "invalid":
            errors = [
                challenge["error"]
                for authorization in content["authorizations"]
                for challenge in authorization["challenges"]
                if "error" in challenge
            ]
            shown.update({"error": errors[0]} if errors else {})
        return shown

    def authorization(self, order: str, index: int, content: Record) -> Record:
        """Return an authorization of an order."""
        authorization = content["authorizations"][index]
        name = authorization["name"]
        challenges = authorization["challenges"]
        shown = {
            "status": authorization["status"],
            "expires": moment(content["expires"]),
            "identifier": identifier(name.removeprefix("*.")),
            "challenges": [
                self.challenge(order, index, which, challenge)
                for which, challenge in enumerate(challenges)
                if authorization["status"] == "pending" or challenge["status"] != "pending"
            ],
        }
        return {**shown, "wildcard": True} if name.startswith("*.") else shown

    def challenge(self, order: str, index: int, which: int, challenge: Record) -> Record:
        """Return a challenge of an authorization."""
        shown = {key: challenge[key] for key in ("type", "token", "status")}
        shown["url"] = f"{self.base}challenge/{order}/{index}/{which}"
        if "validated" in challenge:
            shown["validated"] = moment(challenge["validated"])
        return {**shown, "error": challenge["error"]} if "error" in challenge else shown


def identifier(name: str) -> Record:
    """Return a name as orders have it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return {"type": "dns", "value": name}
    return {"type": "ip", "value": name}
