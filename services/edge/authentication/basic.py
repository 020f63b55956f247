"""``http.authentication.providers.http_basic``: a name and a password with each request (RFC 7617)."""

from __future__ import annotations

import base64
import binascii

from quantum.http.message import Request
from quantum.http.placeholders.surroundings import fill_outside
from quantum.modules.lifetime import Provision
from services.edge.authentication.comparing import Comparisons
from services.edge.authentication.config import SHAPES, HttpBasicConfig
from services.edge.authentication.handler import Verdict
from services.edge.authentication.hashes import Bcrypt, Hash

DEFAULT_REALM = "restricted"


class HttpBasic:
    """Knows the users of a list. A name that is not on it takes as long as one that is."""

    def __init__(self, config: HttpBasicConfig, provision: Provision) -> None:
        self._hash: Hash = provision.instantiate(config.hash) if config.hash else Bcrypt()
        self._accounts = {
            fill_outside(account.username): fill_outside(account.password.reveal())
            for account in config.accounts
        }
        for name, hashed in self._accounts.items():
            if not SHAPES[config.algorithm].fullmatch(hashed):
                raise ValueError(f"the password of {name!r} is no hash of {config.algorithm}")
        self._fake = self._hash.fake(next(iter(self._accounts.values()), None))
        self._caches = config.hash_cache is not None
        self._comparisons: Comparisons = provision.get(Comparisons)
        realm = (config.realm or DEFAULT_REALM).replace("\\", "\\\\").replace('"', '\\"')
        self._challenge = f'Basic realm="{realm}"'.encode()

    async def authenticate(self, request: Request) -> Verdict:
        """Return the user's name, or the challenge."""
        credentials = _credentials(request)
        if credentials is not None:
            name, password = credentials
            hashed = self._accounts.get(name)
            is_right = await self._comparisons.is_right(
                self._hash, hashed or self._fake, password, cached=self._caches
            )
            if is_right and hashed is not None:
                return Verdict(user=name)
        return Verdict(challenge=self._challenge)


def _credentials(request: Request) -> tuple[str, bytes] | None:
    """Return name and password; None when there are none that can be read."""
    field = request.headers.get(b"authorization")
    if field is None or field[:6].lower() != b"basic ":
        return None
    try:
        name, colon, password = base64.b64decode(field[6:], validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None
