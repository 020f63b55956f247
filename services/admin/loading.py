"""``admin.config.load``: the configuration in force names an address where the next one is asked for.

Without ``load_delay`` it is asked for once, and what comes must not name an address itself. With one it is asked for
after that time, again and again while it fails or nothing has changed; what comes says how it goes on (Caddy).
A failure is logged, and what is in force stays.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Any

import aiohttp

from quantum.caddyfile.errors import CaddyfileError
from quantum.config.load import MAX_DOCUMENT_BYTES, parse_json
from quantum.errors import BusUnavailable, ConfigError, HttpError
from quantum.http.placeholders import compile_template
from quantum.service.api import Revision, ServiceContext
from quantum.tasks import TaskSet
from services.admin.caddyfile import adapt_caddyfile
from services.admin.config import AdminConfig, HttpLoader, LoaderTls
from services.admin.store import RevisionStore

DEFAULT_SECONDS = 60.0
"""For an answer, where ``timeout`` says nothing: a server that never answers must not stop the asking."""
PLACE = "admin.config.load"


class Loader:
    """Asks for configurations, for the revision that is in force."""

    def __init__(self, context: ServiceContext, store: RevisionStore) -> None:
        self._clock = context.clock
        self._log = context.log
        self._store = store
        self._tasks = TaskSet("admin:load")
        self._asking: asyncio.Task[None] | None = None

    def follow(self, revision: Revision) -> None:
        """Do what a revision that came into force says; what the former one said ends."""
        current = asyncio.current_task()
        if self._asking is not None and self._asking is not current:
            self._asking.cancel()
        self._asking = None
        admin: AdminConfig = revision.section("admin") or AdminConfig()
        config = admin.config
        if config.load is not None:
            self._asking = self._tasks.start(self._ask(config.load, config.load_delay), "load")

    async def aclose(self) -> None:
        """Ask no more. Idempotent."""
        await self._tasks.aclose()

    async def _ask(self, loader: HttpLoader, delay: float) -> None:
        while True:
            await self._clock.sleep(delay)
            try:
                document = await fetch(loader)
                if not delay:
                    _refuse_another(document)
                outcome = await self._store.change(partial(_instead, document), loader.url)
            except asyncio.CancelledError:
                raise
            except (
                ConfigError, HttpError, BusUnavailable, OSError, ValueError, TimeoutError, aiohttp.ClientError,
            ) as error:  # fmt: skip
                self._log.error("config_not_loaded", url=loader.url, reason=str(error) or "no answer in time")  # fmt: skip
            else:
                if outcome.changed:
                    return  # the new revision says how it goes on
            if not delay or self._asking is not asyncio.current_task():
                return  # another revision came and went meanwhile, and has its own asking


def _instead(document: Any, current: Any) -> Any:
    return document


def _refuse_another(document: Any) -> None:
    """Refuse a configuration that asks at once for yet another one: it might never end."""
    admin = document.get("admin") if isinstance(document, dict) else None
    config = admin.get("config") if isinstance(admin, dict) else None
    if isinstance(config, dict) and config.get("load") and not config.get("load_delay"):
        raise ConfigError(
            PLACE, "a configuration that was loaded names another one", "give it a load_delay"
        )


async def fetch(loader: HttpLoader) -> Any:
    """Return the document at the address of ``loader``. ClientError, OSError, TimeoutError, ConfigError."""
    headers = [(n, _expanded(value)) for n, values in loader.header.items() for value in values]
    url = _expanded(loader.url)
    seconds = aiohttp.ClientTimeout(total=loader.timeout or DEFAULT_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=seconds) as session,
        session.request(
            loader.method.upper() or "GET", url, headers=headers, ssl=_tls(loader.tls)
        ) as answer,
    ):
        if answer.status >= 400:
            raise ConfigError(PLACE, f"status {answer.status} from {loader.url}")
        data = await _read(answer.content)
        kind = answer.content_type
    if loader.adapter == "caddyfile" or kind == "text/caddyfile":
        try:
            return (await adapt_caddyfile(data)).document
        except CaddyfileError as error:
            raise ConfigError(PLACE, f"the Caddyfile: {error.problem}") from None
    return parse_json(data, loader.url)


def _expanded(text: str) -> str:
    """Fill in placeholders of the process (``{env.TOKEN}``); there is no request to ask."""
    nobody: Any = None
    try:
        return compile_template(text)(nobody)
    except AttributeError:
        raise ConfigError(PLACE, f"{text!r}: placeholders of requests mean nothing here") from None


async def _read(content: aiohttp.StreamReader) -> bytes:
    data = bytearray()
    async for piece in content.iter_chunked(64 * 1024):
        data += piece
        if len(data) > MAX_DOCUMENT_BYTES:
            raise ConfigError(PLACE, f"larger than {MAX_DOCUMENT_BYTES} bytes")
    return bytes(data)


def _tls(config: LoaderTls | None) -> ssl.SSLContext | bool:
    if config is None:
        return True
    context = ssl.create_default_context()
    for file in config.root_ca_pem_files:
        context.load_verify_locations(cafile=file)
    if config.client_certificate_file:
        context.load_cert_chain(
            config.client_certificate_file, config.client_certificate_key_file or None
        )
    return context
