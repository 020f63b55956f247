"""``http.handlers.acme_server``: the requests of RFC 8555 §7, one method for each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from josepy.jwk import JWK

from quantum.errors import ConfigError, HttpError
from quantum.http.body import read_all
from quantum.http.headers import Field, Headers
from quantum.http.message import Request, Response
from quantum.modules.lifetime import Provision
from quantum.tasks import TaskSet
from services.certs.acme_server.config import AcmeServerConfig
from services.certs.acme_server.documents import Documents
from services.certs.acme_server.issuing import check_request
from services.certs.acme_server.ledger import Ledger, moment
from services.certs.acme_server.problems import AcmeProblem
from services.certs.acme_server.rates import Rates
from services.certs.acme_server.records import Record, Records
from services.certs.acme_server.signed import (
    MAX_BODY,
    Nonces,
    Signed,
    decode,
    read_key,
    read_signed,
    thumbprint,
)
from services.certs.acme_server.surroundings import AcmeSurroundings
from services.certs.acme_server.validation import prove
from services.certs.issuers.authority import Authority

T = TypeVar("T")

MAX_LOOKS = 16
"""Challenges that are looked at at a time; further ones wait."""
ACCOUNTS_AN_HOUR = 50
"""New accounts of one client: each is a file that stays."""
CLEAN_SECONDS = 3600.0
"""Between two looks for records whose time is over."""
RENEWAL_INFO_SECONDS = 3600
"""After which a client may ask again when to renew: leaves of half a day hear of a revocation in time."""
RETRY: Field = (b"retry-after", b"1")


@dataclass
class Visit:
    """One request: what its answers' URLs begin with, who signed it."""

    documents: Documents
    signed: Signed
    account: str = ""
    key: JWK | None = None

    @property
    def payload(self) -> Record:
        """What was sent; AcmeProblem where nothing was (POST-as-GET)."""
        if self.signed.payload is None:
            raise AcmeProblem("malformed", "this request needs a payload")
        return self.signed.payload

    @property
    def is_get(self) -> bool:
        """Whether it only asks (§6.3)."""
        return self.signed.payload is None


class AcmeServer:
    """A terminal Handler."""

    def __init__(self, config: AcmeServerConfig, provision: Provision) -> None:
        """ConfigError when there is no such authority, or its certificates end before ours."""
        around: AcmeSurroundings = provision.get(AcmeSurroundings)
        self._config = config
        self._find_authority = around.find_authority
        _check_authority(config, around.find_authority(config.ca), provision.path)
        self._prefix = f"{config.path_prefix}{config.ca}/"
        records = Records(around.storage, config.ca, provision.clock)
        self._records = records
        self._ledger = Ledger(records, config, provision.clock)
        self._nonces = Nonces()
        self._rates = Rates(provision.clock.monotonic, ACCOUNTS_AN_HOUR, 3600.0)
        self._looks = asyncio.Semaphore(MAX_LOOKS)
        self._clock = provision.clock
        self._log = provision.log.bind(authority=config.ca)
        self._tasks = TaskSet("certs:acme_server")
        self._tasks.start(self._clean(), "clean")
        provision.on_cleanup(self._tasks.aclose)

    async def handle(self, request: Request) -> Response:
        """Answer one request; paths of others are not found."""
        if not request.path.startswith(self._prefix):
            raise HttpError(404, f"no path of the ACME server at {self._prefix}")
        base = f"{request.scheme}://{self._config.host or request.authority}{self._prefix}"
        documents = Documents(base)
        place = request.path.removeprefix(self._prefix)
        try:
            response = await self._answer(request, place, documents)
        except AcmeProblem as problem:
            self._log.info("acme_request_refused", place=place.partition("/")[0], kind=problem.kind)
            response = _problem(problem)
        response.headers.fields += [
            (b"replay-nonce", self._nonces.make().encode()),
            (b"cache-control", b"no-store"),
            (b"link", f'<{base}directory>;rel="index"'.encode()),
        ]
        return response

    async def _answer(self, request: Request, place: str, documents: Documents) -> Response:
        if place == "directory" and request.method in {"GET", "HEAD"}:
            return _json(200, documents.directory())
        if place == "new-nonce" and request.method in {"GET", "HEAD"}:
            return Response(200 if request.method == "HEAD" else 204)
        if place.startswith("renewal-info/") and request.method in {"GET", "HEAD"}:
            return await self._renewal_info(place.removeprefix("renewal-info/"))
        if request.method != "POST":
            raise AcmeProblem("malformed", "only POST", 405)
        if request.headers.get(b"content-type") != b"application/jose+json":
            raise AcmeProblem("malformed", "the content type is application/jose+json", 415)
        visit = await self._authenticate(request, place, documents)
        return await self._dispatch(visit, place.split("/"), request.client_ip)

    async def _authenticate(self, request: Request, place: str, documents: Documents) -> Visit:
        try:
            body = await read_all(request.body, MAX_BODY)
        except ValueError:
            raise AcmeProblem("malformed", f"more than {MAX_BODY} bytes", 413) from None
        signed = read_signed(body, documents.base + place)
        self._nonces.use(signed.header.get("nonce"))
        visit = Visit(documents, signed)
        if "jwk" in signed.header:
            if place not in {"new-account", "revoke-cert"}:
                raise AcmeProblem("malformed", "this request is signed by an account (kid)")
            visit.key = signed.key
        else:
            visit.account = _account_in(signed.header["kid"], documents)
            content = await _blocking(self._ledger.account, visit.account)
            visit.key = read_key(content["key"])
        signed.verify(visit.key)
        return visit

    async def _dispatch(self, visit: Visit, place: list[str], client: str) -> Response:
        match place:
            case ["new-account"]:
                return await self._new_account(visit, client)
            case ["new-order"]:
                return await self._new_order(visit)
            case ["revoke-cert"]:
                return await self._revoke(visit)
            case ["key-change"]:
                return await self._change_key(visit)
            case ["account", account]:
                return await self._account(visit, account)
            case ["account", account, "orders"]:
                return await self._orders(visit, account)
            case ["order", order]:
                return await self._order(visit, order)
            case ["order", order, "finalize"]:
                return await self._finalize(visit, order)
            case ["authz", order, index] if index.isdecimal():
                return await self._authorization(visit, order, int(index))
            case ["challenge", order, index, which] if index.isdecimal() and which.isdecimal():
                return await self._challenge(visit, order, int(index), int(which))
            case ["certificate", order]:
                return await self._certificate(visit, order)
        raise AcmeProblem("malformed", "there is nothing at this path", 404)

    async def _clean(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._records.clean)
            except (OSError, ValueError, KeyError) as error:
                self._log.warning("acme_records_not_cleaned", reason=str(error))
            await self._clock.sleep(CLEAN_SECONDS)

    # Accounts.

    async def _new_account(self, visit: Visit, client: str) -> Response:
        if "jwk" not in visit.signed.header:
            raise AcmeProblem("malformed", "a new account is signed by its own key (jwk)")
        if not visit.payload.get("onlyReturnExisting") and not self._rates.take(client):
            raise AcmeProblem("rateLimited", f"{ACCOUNTS_AN_HOUR} new accounts an hour")
        register = self._ledger.register
        account, content, is_new = await _blocking(register, visit.key, visit.payload)
        location = (b"location", visit.documents.account_url(account).encode())
        shown = visit.documents.account(account, content)
        return _json(201 if is_new else 200, shown, location)

    async def _account(self, visit: Visit, account: str) -> Response:
        if account != visit.account:
            raise AcmeProblem("unauthorized", "that is another account")
        if visit.is_get:
            content = await _blocking(self._ledger.account, account)
        else:
            content = await _blocking(self._ledger.update, account, visit.payload)
        return _json(200, visit.documents.account(account, content))

    async def _orders(self, visit: Visit, account: str) -> Response:
        if account != visit.account:
            raise AcmeProblem("unauthorized", "that is another account")
        orders = await _blocking(self._ledger.orders, account)
        return _json(200, {"orders": [visit.documents.order_url(order) for order in orders]})

    async def _change_key(self, visit: Visit) -> Response:
        """§7.3.5: signed by the account, and inside of it by the new key."""
        inner = read_signed(json.dumps(visit.payload).encode(), visit.signed.header["url"])
        inner.verify(inner.key)
        said = inner.payload or {}
        content = await _blocking(self._ledger.account, visit.account)
        old = visit.documents.account_url(visit.account)
        if said.get("account") != old or thumbprint(read_key(said.get("oldKey"))) != thumbprint(
            read_key(content["key"])
        ):
            raise AcmeProblem("malformed", "account and oldKey are not those of the signer")
        content = await _blocking(self._ledger.change_key, visit.account, inner.key)
        return _json(200, visit.documents.account(visit.account, content))

    # Orders.

    async def _new_order(self, visit: Visit) -> Response:
        order, content = await _blocking(self._ledger.order, visit.account, visit.payload)
        location = (b"location", visit.documents.order_url(order).encode())
        return _json(201, visit.documents.order(order, content), location)

    async def _order(self, visit: Visit, order: str) -> Response:
        content = await _blocking(self._ledger.find, visit.account, order)
        return _json(200, visit.documents.order(order, content))

    async def _authorization(self, visit: Visit, order: str, index: int) -> Response:
        content = await _blocking(self._ledger.find, visit.account, order)
        if index >= len(content["authorizations"]):
            raise AcmeProblem("malformed", "there is no such authorization", 404)
        if not visit.is_get and visit.payload.get("status") == "deactivated":
            content = await _blocking(self._ledger.deactivate, visit.account, order, index)
        return _json(200, visit.documents.authorization(order, index, content), RETRY)

    async def _challenge(self, visit: Visit, order: str, index: int, which: int) -> Response:
        if visit.is_get:
            content = await _blocking(self._ledger.find, visit.account, order)
        else:
            begin = self._ledger.begin
            content, is_new = await _blocking(begin, visit.account, order, index, which)
            if is_new:
                self._tasks.start(self._look(visit, content, order, index, which), "look")
        try:
            challenge = content["authorizations"][index]["challenges"][which]
        except IndexError:
            raise AcmeProblem("malformed", "there is no such challenge", 404) from None
        up = (b"link", f'<{visit.documents.base}authz/{order}/{index}>;rel="up"'.encode())
        shown = visit.documents.challenge(order, index, which, challenge)
        return _json(200, shown, up, RETRY)

    async def _look(
        self, visit: Visit, content: Record, order: str, index: int, which: int
    ) -> None:
        authorization = content["authorizations"][index]
        challenge = authorization["challenges"][which]
        token = challenge["token"]
        assert visit.key is not None
        proof = f"{token}.{thumbprint(visit.key)}"
        kind, name = challenge["type"], authorization["name"]
        async with self._looks:
            problem = await prove(
                kind, name, token, proof, self._config.resolvers, self._clock.sleep
            )
        outcome = "met" if problem is None else problem.detail
        self._log.info("acme_challenge_looked_at", name=name, outcome=outcome)
        conclude = self._ledger.conclude
        await _blocking(conclude, visit.account, order, index, which, problem)

    async def _finalize(self, visit: Visit, order: str) -> Response:
        content = await _blocking(self._ledger.find, visit.account, order)
        if content["status"] != "ready":
            raise AcmeProblem("orderNotReady", f"the order is {content['status']}")
        try:
            request = decode(visit.payload.get("csr", ""))
        except ValueError:
            raise AcmeProblem("badCSR", "csr is not base64url") from None
        content = await _blocking(self._sign, visit.account, order, content, request)
        self._log.info("acme_certificate_issued", names=content["names"])
        location = (b"location", visit.documents.order_url(order).encode())
        return _json(200, visit.documents.order(order, content), location)

    def _sign(self, account: str, order: str, content: Record, request: bytes) -> Record:
        key = check_request(request, content["names"])
        authority = self._find_authority(self._config.ca)
        if authority is None:
            raise AcmeProblem("serverInternal", "the authority is gone")
        chain = authority.sign(
            key, content["names"], self._config.lifetime, with_root=self._config.sign_with_root
        )
        return self._ledger.finish(account, order, chain)

    async def _certificate(self, visit: Visit, order: str) -> Response:
        content = await _blocking(self._ledger.find, visit.account, order)
        if "certificate" not in content:
            raise AcmeProblem("orderNotReady", "there is no certificate yet", 404)
        headers = Headers([(b"content-type", b"application/pem-certificate-chain")])
        return Response(200, headers, content["certificate"].encode())

    async def _renewal_info(self, certificate: str) -> Response:
        """RFC 9773 §4.1: named by authority key and serial number, asked by anybody."""
        try:
            serial = int.from_bytes(decode(certificate.partition(".")[2]), "big")
        except ValueError:
            raise AcmeProblem("malformed", "not the name of a certificate", 404) from None
        start, end = await _blocking(self._ledger.window, serial)
        window = {"start": moment(start), "end": moment(end)}
        again = (b"retry-after", b"%d" % RENEWAL_INFO_SECONDS)
        return _json(200, {"suggestedWindow": window}, again)

    async def _revoke(self, visit: Visit) -> Response:
        try:
            der = decode(visit.payload.get("certificate", ""))
        except ValueError:
            raise AcmeProblem("malformed", "certificate is not base64url") from None
        key: Any = None
        if not visit.account and visit.key is not None:
            key = getattr(visit.key.key, "_wrapped", visit.key.key)
        reason = visit.payload.get("reason")
        await _blocking(self._ledger.revoke, der, visit.account or None, key, reason)
        return Response(200)


def _check_authority(config: AcmeServerConfig, authority: Authority | None, path: str) -> None:
    if authority is None:
        raise ConfigError(
            f"{path}.ca", f"there is no authority {config.ca!r}", "name it in apps.pki"
        )
    limit = authority.config.intermediate_lifetime
    if config.lifetime >= limit and not config.sign_with_root:
        raise ConfigError(
            f"{path}.lifetime",
            "must be shorter than the lifetime of the intermediate certificate",
            "raise intermediate_lifetime of the authority",
        )


def _account_in(kid: object, documents: Documents) -> str:
    place = documents.account_url("")
    if not isinstance(kid, str) or not kid.startswith(place):
        raise AcmeProblem("accountDoesNotExist", "kid is no account of this server")
    return kid.removeprefix(place)


async def _blocking(function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.to_thread(function, *arguments)


def _json(status: int, content: Record, *fields: Field) -> Response:
    headers = Headers([(b"content-type", b"application/json"), *fields])
    return Response(status, headers, json.dumps(content).encode())


def _problem(problem: AcmeProblem) -> Response:
    headers = Headers([(b"content-type", b"application/problem+json")])
    return Response(problem.status, headers, problem.body())
