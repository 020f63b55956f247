"""``dns.providers.duckdns``: a name below duckdns.org, which has room for one TXT record."""

from __future__ import annotations

from urllib.parse import urlencode

from quantum.http.placeholders.surroundings import fill_outside
from services.certs.challenges.config import DuckDnsConfig
from services.certs.challenges.providers.api import ProviderFailed, TextRecord
from services.certs.challenges.providers.calling import call

API = "https://www.duckdns.org/update"
LABELS = 3
"""What is registered is NAME.duckdns.org; names below it have its record."""


class DuckDns:
    """A Provider."""

    needs_zone = False
    holds_one = True

    def __init__(self, config: DuckDnsConfig) -> None:
        self._token = fill_outside(config.api_token.reveal())
        self._domain = fill_outside(config.override_domain)

    async def append(self, record: TextRecord) -> None:
        """Set the record."""
        await self._update(record)

    async def remove(self, record: TextRecord) -> None:
        """Clear the record."""
        await self._update(record, clear="true")

    async def _update(self, record: TextRecord, **more: str) -> None:
        domain = ".".join((self._domain or record.name).split(".")[-LABELS:])
        query = {"domains": domain, "token": self._token, "txt": record.value, **more}
        answer = await call("GET", f"{API}?{urlencode(query)}")
        if answer.body.strip() != b"OK":
            raise ProviderFailed(f"Duck DNS does not change {domain}: wrong token or domain")
