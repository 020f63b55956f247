"""``dns.providers.cloudflare``: zones at Cloudflare, by its API (version 4)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from quantum.config.units import Secret
from quantum.http.placeholders.surroundings import fill_outside
from services.certs.challenges.config import CloudflareConfig
from services.certs.challenges.providers.api import ProviderFailed, TextRecord
from services.certs.challenges.providers.calling import call, read

API = "https://api.cloudflare.com/client/v4"


class Cloudflare:
    """A Provider."""

    needs_zone = True
    holds_one = False

    def __init__(self, config: CloudflareConfig) -> None:
        self._records = _bearer(config.api_token)
        self._zones = _bearer(config.zone_token or config.api_token)
        self._ids: dict[str, str] = {}

    async def append(self, record: TextRecord) -> None:
        """Add the record."""
        content = {
            "type": "TXT", "name": record.name, "content": _quoted(record.value), "ttl": record.ttl,
        }  # fmt: skip
        await self._call("POST", await self._place(record.zone), content=content)

    async def remove(self, record: TextRecord) -> None:
        """Remove the records of this name and value."""
        place = await self._place(record.zone)
        query = urlencode({"type": "TXT", "name": record.name, "per_page": 100})
        for found in await self._call("GET", f"{place}?{query}"):
            if found["content"].strip('"') == record.value:
                await self._call("DELETE", f"{place}/{found['id']}")

    async def _place(self, zone: str) -> str:
        if zone not in self._ids:
            query = urlencode({"name": zone, "status": "active"})
            found = read(await call("GET", f"{API}/zones?{query}", self._zones))["result"]
            if not found:
                raise ProviderFailed(f"the token knows no zone {zone}")
            self._ids[zone] = found[0]["id"]
        return f"/zones/{self._ids[zone]}/dns_records"

    async def _call(self, method: str, path: str, content: Any = None) -> Any:
        return read(await call(method, API + path, self._records, content))["result"]


def _bearer(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {fill_outside(token.reveal())}"}


def _quoted(value: str) -> str:
    return f'"{value}"'  # as Cloudflare would like texts written
