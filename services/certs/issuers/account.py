"""The account at an ACME authority: its key and where the authority knows it.

Kept as ``acme/<ca>/users/<email>/<email>.{key,json}`` (Caddy's layout). The authority may lose an
account (a rebuilt test server, a restored backup); the same key then registers again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from acme import client, errors, messages
from josepy.json_util import field
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests import Response

from services.certs.config import AcmeIssuerConfig, ExternalAccount
from services.certs.keeping.storage import Storage, safe_name
from services.certs.material import key_pem, make_key, read_key

REQUEST_SECONDS = 10
"""Timeout of one request to the authority: a stop of the process may have to wait for it."""

NONCE_ATTEMPTS = 8
"""Tries of one request whose nonce is refused (RFC 8555 §6.5 tells clients to retry): with 15 % bad
nonces, one request in four million still fails."""

Binding = Callable[[], ExternalAccount | None]
"""Gives the credentials that a new account is bound with; may block, or raise IssuanceFailed."""


class OrderUntil(messages.NewOrder):
    """An order that says when the certificate shall end (RFC 8555 §7.4), which the library's cannot."""

    not_after: str = field("notAfter")


class RetryingNetwork(client.ClientNetwork):
    """The library's network, which gives up after one bad nonce, made patient.

    ``lifetime``: that of ordered certificates in seconds; 0 leaves it to the authority.
    """

    lifetime = 0.0

    def post(self, url: str, obj: Any, *args: Any, **kwargs: Any) -> Response:
        """Send a signed request, with a fresh nonce as often as the authority asks for one."""
        if self.lifetime and isinstance(obj, messages.NewOrder):
            end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=self.lifetime)
            stamp = end.isoformat().replace("+00:00", "Z")
            obj = OrderUntil(identifiers=obj.identifiers, profile=obj.profile, not_after=stamp)
        args = (url, obj, *args)
        for _ in range(NONCE_ATTEMPTS - 1):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
                self._nonces.clear()
        return self._post_once(*args, **kwargs)


class Account:
    """The account of one authority and one email. Methods block on the network and the disk."""

    def __init__(
        self, config: AcmeIssuerConfig, folder: str, storage: Storage, bind: Binding
    ) -> None:
        """``folder`` names the authority in the storage. OSError: roots that cannot be read."""
        self._config = config
        self._bind = bind
        self._storage = storage
        email = safe_name(config.email) if config.email else "default"
        self._place = ("acme", folder, "users", email)
        self._file = email.partition("@")[0]
        self._folder = folder
        self._roots = b"\n".join(Path(f).read_bytes() for f in config.trusted_roots_pem_files)

    def connect(self) -> client.ClientV2:
        """Return a client that speaks for the account, registered if it never was."""
        network = RetryingNetwork(
            JWKEC(key=self._key()),
            alg=ES256,
            verify_ssl=cast("bool", self._trust()),  # requests takes a path here as well
            user_agent="Quantum",
            timeout=REQUEST_SECONDS,
        )
        network.lifetime = self._config.certificate_lifetime
        directory = client.ClientV2.get_directory(self._config.ca, network)
        connected = client.ClientV2(directory, network)
        stored = self._storage.read(*self._place, f"{self._file}.json")
        if stored is None:
            self.register(connected)
        else:
            network.account = _resource(json.loads(stored)["location"])
        return connected

    def register(self, connected: client.ClientV2) -> None:
        """Register the key; an authority that knows it already gives its old account."""
        connected.net.account = None
        try:
            location = connected.new_account(self._registration(connected)).uri
        except errors.ConflictError as known:
            location = known.location
        connected.net.account = _resource(location)
        content = {"status": "valid", "location": location, "contact": self._config.email}
        self._storage.write(json.dumps(content).encode(), *self._place, f"{self._file}.json")

    def _registration(self, connected: client.ClientV2) -> messages.NewRegistration:
        binding = None
        key = connected.net.key
        assert key is not None
        if (external := self._bind()) is not None:
            binding = messages.ExternalAccountBinding.from_data(
                key.public_key(),  # Pebble and others compare it with the account's
                external.key_id,
                external.mac_key.reveal(),
                connected.directory,
            )
        return messages.NewRegistration.from_data(
            email=self._config.email or None,
            external_account_binding=binding,
            terms_of_service_agreed=True,
        )

    def _key(self) -> Any:
        if self._config.account_key is not None:
            return read_key(self._config.account_key.reveal().encode())
        with self._storage.locked(*self._place):
            stored = self._storage.read(*self._place, f"{self._file}.key")
            if stored is not None:
                return read_key(stored)
            key = make_key("p256")
            self._storage.write(key_pem(key), *self._place, f"{self._file}.key")
            return key

    def _trust(self) -> bool | str:
        """Return what ``requests`` verifies the authority with: the configured roots as one file."""
        if not self._roots:
            return True
        place = "acme", self._folder, "roots.pem"
        self._storage.write(self._roots, *place)
        return str(self._storage.root.joinpath(*place))


def _resource(location: str) -> messages.RegistrationResource:
    return messages.RegistrationResource(body=messages.Registration(), uri=location)
