"""``dns.providers.rfc2136``: dynamic updates of the zone's own server (BIND, Knot, PowerDNS, …)."""

from __future__ import annotations

import base64
import binascii

from dns import asyncquery, exception, rcode, tsig, update

from quantum.http.placeholders.surroundings import fill_outside
from services.certs.challenges.config import Rfc2136Config
from services.certs.challenges.lookup import SECONDS, address_of
from services.certs.challenges.providers.api import ProviderFailed, TextRecord


class Rfc2136:
    """A Provider."""

    needs_zone = True
    holds_one = False

    def __init__(self, config: Rfc2136Config) -> None:
        """ValueError: a key that is no base64."""
        self._server = config.server
        self._key: tsig.Key | None = None
        if config.key_name:
            secret = fill_outside(config.key.reveal()) if config.key else ""
            name = fill_outside(config.key_name)
            try:
                bits = base64.b64decode(secret, validate=True)
                self._key = tsig.Key(f"{name}.", bits, f"{config.key_alg}.")
            except (binascii.Error, exception.DNSException):
                raise ValueError("key is no base64, or key_name no name") from None
            if not bits:
                raise ValueError("key_name without key")

    async def append(self, record: TextRecord) -> None:
        """Add the record (RFC 2136 §2.5.1)."""
        message = self._message(record)
        message.add(f"{record.name}.", record.ttl, "TXT", f'"{record.value}"')
        await self._send(message)

    async def remove(self, record: TextRecord) -> None:
        """Delete this record of the set (RFC 2136 §2.5.4)."""
        message = self._message(record)
        message.delete(f"{record.name}.", "TXT", f'"{record.value}"')
        await self._send(message)

    def _message(self, record: TextRecord) -> update.UpdateMessage:
        return update.UpdateMessage(f"{record.zone}.", keyring=self._key)

    async def _send(self, message: update.UpdateMessage) -> None:
        try:
            host, port = await address_of(self._server)
            answer = await asyncquery.tcp(message, host, timeout=SECONDS, port=port)
        except (OSError, EOFError, exception.DNSException) as error:
            reason = str(error) or type(error).__name__
            raise ProviderFailed(f"{self._server} takes no update: {reason}") from error
        if answer.rcode() != rcode.NOERROR:
            raise ProviderFailed(f"{self._server} refuses: {rcode.to_text(answer.rcode())}")
