"""``tls.issuance.internal``: certificates from an authority of ``apps.pki``."""

from __future__ import annotations

import asyncio
from datetime import datetime

from services.certs.config import InternalIssuerConfig
from services.certs.issuers.api import IssuanceFailed, Surroundings
from services.certs.material import Material, PrivateKey, key_pem, make_key

NEVER_SECONDS = 10 * 365 * 86_400.0
"""Our own authority has no wishes."""


class InternalIssuer:
    """Signs at once."""

    is_prompt = True

    def __init__(self, config: InternalIssuerConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._authority = surroundings.authority(config.ca)
        self.key = config.ca

    def recognises(self, material: Material) -> bool:
        """Whether the chain ends below the root of today: a CA that was made anew is another one."""
        return self._authority.has_issued(material.chain)

    async def issue(self, name: str, key_type: str, key: PrivateKey | None = None) -> Material:
        """Return a leaf for ``name`` with a key of its own."""
        try:
            return await asyncio.to_thread(self._issue, name, key_type, key)
        except ValueError as error:
            raise IssuanceFailed(str(error), ordered=False) from error

    async def suggest(self, material: Material) -> tuple[datetime | None, float]:
        """Nothing: the policy's ratio says when."""
        return None, NEVER_SECONDS

    def _issue(self, name: str, key_type: str, key: PrivateKey | None) -> Material:
        key = key or make_key(key_type)
        config = self._config
        chain = self._authority.sign(
            key.public_key(), name, config.lifetime, with_root=config.sign_with_root
        )
        return Material.from_pem(chain, key_pem(key), self.key)
