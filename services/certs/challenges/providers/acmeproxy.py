"""``dns.providers.acmeproxy``: a web service changes the zone: what lego calls ``httpreq``.

``POST endpoint/present`` and ``POST endpoint/cleanup`` with ``{"fqdn": "_acme-challenge.a.example.",
"value": "…"}`` and, if there is a name, basic authentication. Also the way to a script of one's own.
"""

from __future__ import annotations

import base64

from quantum.http.placeholders.surroundings import fill_outside
from services.certs.challenges.config import AcmeProxyConfig
from services.certs.challenges.providers.api import TextRecord
from services.certs.challenges.providers.calling import call


class AcmeProxy:
    """A Provider."""

    needs_zone = False
    holds_one = False

    def __init__(self, config: AcmeProxyConfig) -> None:
        self._endpoint = config.endpoint.rstrip("/")
        self._fields: dict[str, str] = {}
        if config.username:
            password = config.password.reveal() if config.password else ""
            pair = f"{fill_outside(config.username)}:{fill_outside(password)}"
            self._fields["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"

    async def append(self, record: TextRecord) -> None:
        """Ask for the record."""
        await self._post("present", record)

    async def remove(self, record: TextRecord) -> None:
        """Ask for its end."""
        await self._post("cleanup", record)

    async def _post(self, what: str, record: TextRecord) -> None:
        content = {"fqdn": f"{record.name}.", "value": record.value}
        await call("POST", f"{self._endpoint}/{what}", self._fields, content)
