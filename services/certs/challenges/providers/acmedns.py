"""``dns.providers.acmedns``: a server that does nothing but such records; names point there by CNAME.

Each account holds its two newest values, which is what a name and its wildcard need; nothing is removed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quantum.config.units import Secret
from quantum.errors import ConfigError
from quantum.http.placeholders.surroundings import fill_outside
from services.certs.challenges.config import AcmeDnsAccount, AcmeDnsConfig
from services.certs.challenges.providers.api import ProviderFailed, TextRecord
from services.certs.challenges.providers.calling import call

PREFIX = "_acme-challenge."


class AcmeDns:
    """A Provider."""

    needs_zone = False
    holds_one = False

    def __init__(self, config: AcmeDnsConfig) -> None:
        """ValueError: not exactly one kind of credentials, or an unreadable file; OSError."""
        given = [bool(config.username), bool(config.config), bool(config.config_file_path)]
        if sum(given) != 1:
            raise ValueError("acmedns takes one account, or config, or config_file_path")
        self._accounts = dict(config.config)
        self._only: AcmeDnsAccount | None = None
        if config.username:
            self._only = AcmeDnsAccount(
                username=config.username,
                password=config.password or Secret(""),
                subdomain=config.subdomain,
                server_url=config.server_url,
            )
        if config.config_file_path:
            self._read(fill_outside(config.config_file_path))

    def _read(self, path: str) -> None:
        try:
            content = json.loads(Path(path).read_bytes())
            if "username" in content:
                self._only = _account(content)
            else:
                self._accounts = {name: _account(value) for name, value in content.items()}
        except (ValueError, TypeError, AttributeError, ConfigError):
            raise ValueError(f"{path} holds no accounts of acme-dns") from None

    async def append(self, record: TextRecord) -> None:
        """Set one of the account's two values."""
        account = self._only or self._of(record.name)
        fields = {
            "X-Api-User": fill_outside(account.username),
            "X-Api-Key": fill_outside(account.password.reveal()),
        }
        content = {"subdomain": fill_outside(account.subdomain), "txt": record.value}
        await call("POST", f"{account.server_url.rstrip('/')}/update", fields, content)

    async def remove(self, record: TextRecord) -> None:
        """Leave it: the next ones take its place."""

    def _of(self, name: str) -> AcmeDnsAccount:
        domain = name.removeprefix(PREFIX)
        if domain not in self._accounts:
            raise ProviderFailed(f"there is no acme-dns account for {domain}")
        return self._accounts[domain]


def _account(value: Any) -> AcmeDnsAccount:
    found: AcmeDnsAccount = AcmeDnsAccount.parse(value)
    return found
