"""ZeroSSL: an ACME authority whose accounts are bound to an API key or an email address.

Its ACME endpoint wants External Account Binding (RFC 8555 §7.3.4); the credentials for it come from its
web API when an account is registered, once.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from quantum.config.units import Secret
from quantum.net.fetch import FetchFailedError, Wish, fetch_blocking
from services.certs.config import AcmeIssuerConfig, ExternalAccount, ZeroSslIssuerConfig
from services.certs.issuers.acme import AcmeIssuer
from services.certs.issuers.api import IssuanceFailed, Surroundings

DIRECTORY = "https://acme.zerossl.com/v2/DV90"
CREDENTIALS = "https://api.zerossl.com/acme/eab-credentials"
MAX_ANSWER = 64 * 1024


class ZeroSslIssuer(AcmeIssuer):
    """``tls.issuance.zerossl``."""

    def __init__(self, config: ZeroSslIssuerConfig, surroundings: Surroundings) -> None:
        """The key is told to ZeroSSL alone, when the account is registered."""
        acme = AcmeIssuerConfig(ca=DIRECTORY)
        super().__init__(acme, surroundings, lambda: bind_by_key(config.api_key))


def bind_by_key(key: Secret) -> ExternalAccount:
    """Return credentials for the owner of an API key. Blocks; IssuanceFailed when there are none."""
    return _credentials(Wish(f"{CREDENTIALS}?access_key={quote(key.reveal(), safe='')}", "POST"))


def bind_by_email(email: str) -> ExternalAccount:
    """Return credentials for an email address, which need no account at ZeroSSL. Blocks."""
    fields = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"email={quote(email, safe='')}".encode()
    return _credentials(Wish(f"{CREDENTIALS}-email", "POST", body, fields))


def _credentials(wish: Wish) -> ExternalAccount:
    try:
        answer = fetch_blocking(wish)
        content = json.loads(answer.body)
        if not content.get("success"):
            reason = content.get("error", {}).get("type", f"status {answer.status}")
            raise IssuanceFailed(f"ZeroSSL gives no credentials: {reason}", ordered=False)
        return ExternalAccount(key_id=content["eab_kid"], mac_key=Secret(content["eab_hmac_key"]))
    except (FetchFailedError, ValueError, KeyError, AttributeError) as error:
        raise IssuanceFailed(f"ZeroSSL gives no credentials: {error}", ordered=False) from error
