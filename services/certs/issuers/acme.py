"""``tls.issuance.acme``: certificates from an ACME authority (RFC 8555).

Every step of the protocol is one short blocking call in a thread. How names are proven is the affair
of ``challenges``.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from acme import client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from quantum.errors import BusUnavailable
from services.certs.challenges.proof import Proof, ProofFailed, make_proofs
from services.certs.config import AcmeIssuerConfig, ExternalAccount
from services.certs.issuers.account import Account, Binding
from services.certs.issuers.api import IssuanceFailed, Surroundings
from services.certs.issuers.authority import general_name
from services.certs.issuers.chains import choose_chain
from services.certs.keeping.storage import safe_name
from services.certs.material import Material, PrivateKey, key_pem, make_key

T = TypeVar("T")

ORDER_SECONDS = 120.0
"""How long one order may take when ``acme_timeout`` does not say: validation with retries takes less."""

POLL_SECONDS = 1.0
"""Pause between looks at a pending authorization."""

MAX_ORDERS = 4
"""Orders of one authority at a time: a new configuration with a thousand names must not be a flood."""


class _ProofRefused(Exception):
    """The authority looked at a proof and did not find it good; the order is of no more use."""

    def __init__(self, proof: Proof, reason: str) -> None:
        super().__init__(f"{proof.kind.typ}: {reason}")
        self.proof = proof


class AcmeIssuer:
    """Orders certificates from one authority."""

    is_prompt = False

    def __init__(
        self, config: AcmeIssuerConfig, surroundings: Surroundings, bind: Binding | None = None
    ) -> None:
        """``bind``: how new accounts are bound, when the configuration does not say.

        ValueError when the configuration leaves no way to prove a name; OSError: unreadable roots.
        """
        self._proofs = make_proofs(
            config.challenges,
            surroundings.bus,
            surroundings.clock,
            surroundings.dns,
            surroundings.resolvers,
        )
        address = urlsplit(config.ca)
        self.key = safe_name(f"{address.netloc}{address.path.replace('/', '-')}")
        self._config = config
        self._surroundings = surroundings
        self._account = Account(
            config, self.key, surroundings.storage, bind or (lambda: _binding(config))
        )
        self._connecting = asyncio.Lock()
        self._orders = asyncio.Semaphore(MAX_ORDERS)
        self._log = surroundings.log.bind(issuer=self.key)

    def recognises(self, material: Material) -> bool:
        """Whether it is worth serving: what a public authority signed once, it signed."""
        return True

    async def issue(self, name: str, key_type: str, key: PrivateKey | None = None) -> Material:
        """Order a certificate for ``name``; takes seconds. IssuanceFailed says why there is none."""
        async with self._orders:
            connected = await self._connect()
            ours = key if key is not None else await asyncio.to_thread(make_key, key_type)
            left = self._proofs.for_name(name)
            refused: list[str] = []
            while left:
                try:
                    return await self._try(connected, name, ours, left)
                except _ProofRefused as error:
                    left.remove(error.proof)
                    refused.append(str(error))
                    self._log.info("acme_proof_refused", name=name, reason=str(error))
                except IssuanceFailed as error:
                    refused.append(error.reason)
                    break
            raise IssuanceFailed("; ".join(refused), ordered=True)

    async def _try(
        self, connected: client.ClientV2, name: str, key: PrivateKey, proofs: list[Proof]
    ) -> Material:
        seconds = self._config.acme_timeout or ORDER_SECONDS
        seconds += max(proof.seconds for proof in proofs)
        try:
            async with asyncio.timeout(seconds):
                return await self._order(connected, name, key, proofs)
        except (errors.Error, requests.RequestException, BusUnavailable, ProofFailed) as error:
            raise IssuanceFailed(_explain(error), ordered=True) from error
        except TimeoutError:
            raise IssuanceFailed(f"not done after {seconds:g} s", ordered=True) from None

    async def suggest(self, material: Material) -> tuple[datetime.datetime | None, float]:
        """Ask for renewal information (RFC 9773), which some authorities have."""
        connected = await self._connect()
        try:
            moment, again = await _blocking(connected.renewal_time, material.chain)
        except errors.ARIError as error:
            raise IssuanceFailed(str(error), ordered=False) from error
        now = datetime.datetime.now().astimezone().replace(tzinfo=None)  # the library's, naive
        return moment, (again - now).total_seconds()

    async def _connect(self) -> client.ClientV2:
        async with self._connecting:  # one registration, however many names wait
            try:
                return await asyncio.to_thread(self._account.connect)
            except (errors.Error, requests.RequestException) as error:
                raise IssuanceFailed(_explain(error), ordered=False) from error

    async def _order(
        self, connected: client.ClientV2, name: str, key: PrivateKey, proofs: list[Proof]
    ) -> Material:
        request = _signing_request(name, key)
        order = await self._place(connected, request)
        for authorization in order.authorizations:
            if authorization.body.status != messages.STATUS_VALID:
                await self._prove(connected, authorization, proofs)
        chain = await self._finalize(connected, order)
        return Material.from_pem(chain.encode(), key_pem(key), self.key)

    async def _place(self, connected: client.ClientV2, request: bytes) -> messages.OrderResource:
        profile = self._config.profile or None
        try:
            return await _blocking(connected.new_order, request, profile)
        except messages.Error as error:
            if error.code != "accountDoesNotExist":
                raise
            self._log.warning("acme_account_lost")
        async with self._connecting:
            await _blocking(self._account.register, connected)
        return await _blocking(connected.new_order, request, profile)

    async def _prove(
        self,
        connected: client.ClientV2,
        authorization: messages.AuthorizationResource,
        proofs: list[Proof],
    ) -> None:
        """Show the first of ``proofs`` that the authority would look at."""
        proof, offered = _choose(authorization, proofs)
        name = authorization.body.identifier.value
        response, validation = offered.chall.response_and_validation(connected.net.key)
        try:
            await proof.show(name, offered.chall, validation)
            await _blocking(connected.answer_challenge, offered, response)
            await self._wait(connected, authorization)
        except errors.ValidationError as error:
            raise _ProofRefused(proof, _explain(error)) from error
        finally:
            left = await proof.hide(name, offered.chall, validation)
            if left:
                self._log.warning("acme_proof_left", name=name, reason=left)
        self._proofs.remember(name, proof)

    async def _wait(
        self, connected: client.ClientV2, authorization: messages.AuthorizationResource
    ) -> None:
        while authorization.body.status in {messages.STATUS_PENDING, messages.STATUS_PROCESSING}:
            await self._surroundings.clock.sleep(POLL_SECONDS)
            authorization, _ = await _blocking(connected.poll, authorization)
        if authorization.body.status != messages.STATUS_VALID:
            raise errors.ValidationError([authorization])

    async def _finalize(self, connected: client.ClientV2, order: messages.OrderResource) -> str:
        order = await _blocking(connected.begin_finalization, order)
        while True:
            # The library polls in a blocking loop with a naive local deadline: a short one gives way
            # to a stop of the process, and asyncio's timeout around us bounds the whole.
            deadline = datetime.datetime.now().astimezone().replace(tzinfo=None)
            deadline += datetime.timedelta(seconds=2 * POLL_SECONDS)
            try:
                wants = self._config.preferred_chains is not None
                done = await _blocking(connected.poll_finalization, order, deadline, wants)
            except errors.TimeoutError:
                continue
            chains = [str(done.fullchain_pem), *(done.alternative_fullchains_pem or ())]
            return choose_chain(chains, self._config.preferred_chains)


def _choose(
    authorization: messages.AuthorizationResource, proofs: list[Proof]
) -> tuple[Proof, messages.ChallengeBody]:
    for proof in proofs:
        for offered in authorization.body.challenges:
            if isinstance(offered.chall, proof.kind):
                return proof, offered
    kinds = " or ".join(proof.kind.typ for proof in proofs)
    hint = "; wildcards need challenges.dns" if authorization.body.wildcard else ""
    name = authorization.body.identifier.value
    raise errors.Error(f"the authority offers no {kinds} challenge for {name}{hint}")


def _binding(config: AcmeIssuerConfig) -> ExternalAccount | None:
    """Return the credentials of the configuration; ZeroSSL gives them to whoever has an email address."""
    if config.external_account is None and config.email and ".zerossl.com/" in config.ca:
        from services.certs.issuers.zerossl import bind_by_email

        return bind_by_email(config.email)
    return config.external_account


def _signing_request(name: str, key: PrivateKey) -> bytes:
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([general_name(name)]), critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM)


async def _blocking(function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.to_thread(function, *arguments)


def _explain(error: BaseException) -> str:
    """Return a failure in words for a log: what the authority said about each name, if it did."""
    if isinstance(error, errors.ValidationError):
        found = [
            f"{a.body.identifier.value}: {c.error.detail or c.error.code}"
            for a in error.failed_authzrs
            for c in a.body.challenges
            if c.error is not None
        ]
        return "; ".join(found) or "the authority refused the proof"
    return str(error) or type(error).__name__
