"""Trusted roots from wherever a pool says: files, the configuration, the certs room, web servers.

A room that verifies somebody calls ``fetch`` while it prepares a revision; what is then made without
waiting (contexts, handlers) takes the roots with ``roots_of``. A pool that cannot be read is an error
of the configuration, never an empty pool: trust must not fail open.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from quantum.errors import ConfigError, HttpError
from quantum.hop.neighbours import ask
from quantum.hop.resolve import Hop
from quantum.modules.config import ModuleConfig
from quantum.modules.trust import NAMESPACE, pem_of, sources_of
from quantum.net.client_tls import Roots, trusting
from quantum.net.fetch import FetchFailedError, Wish, fetch

PATIENCE_SECONDS = 10.0
"""How long the certs room may take to learn of an authority: it prepares the same revision."""
START_SECONDS = 60.0
"""How long it may take to be there at all: rooms of a deployment start together, on machines that are busy."""
PAUSE_SECONDS = 0.25


class TrustedPools:
    """The pools of one process. ``fetch`` reads those of a revision that somebody else has."""

    def __init__(self, hop: Hop | None = None) -> None:
        """Without a hop only pools of this machine can be read."""
        self._hop = hop
        self._fetched: dict[str, str] = {}

    async def fetch(self, modules: Iterable[ModuleConfig]) -> None:
        """Read the remote pools among ``modules``; ConfigError names the one that cannot be read."""
        for module in modules:
            read = _REMOTE.get(module.spec.id)
            if read is None:
                continue
            try:
                pem = await read(self, module)
                _check(pem)
            except (HttpError, FetchFailedError, OSError, ValueError, KeyError) as error:
                raise ConfigError(module.path, f"cannot be read: {error}") from error
            self._fetched[_identity(module)] = pem

    def roots_of(self, pool: ModuleConfig) -> Roots:
        """Return what ``pool`` trusts. OSError or ValueError when it cannot be read."""
        roots = Roots()
        for source in sources_of(pool):
            roots += self._read(source)
        return roots

    def fetched(self, module: ModuleConfig) -> str:
        """Return the certificates (PEM) that ``fetch`` read for ``module``; ValueError when it did not."""
        pem = self._fetched.get(_identity(module))
        if pem is None:
            raise ValueError(f"{module.path}: was not read when the configuration was loaded")
        return pem

    def _read(self, source: ModuleConfig) -> Roots:
        match source.spec.name:
            case "system":
                return Roots(system=True)
            case "file":
                texts = [Path(name).read_text("ascii") for name in source.config.pem_files]
                return Roots("\n".join(texts))
            case "inline":
                return Roots("\n".join(pem_of(text) for text in source.config.trusted_ca_certs))
        return Roots(self.fetched(source))

    # What others have.

    async def _http(self, module: ModuleConfig) -> str:
        tls = module.config.tls
        context = ssl.create_default_context()
        if tls is not None and tls.ca is not None:
            context = trusting(self.roots_of(tls.ca))
        if tls is not None and tls.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        texts = []
        for url in module.config.endpoints:
            answer = await fetch(Wish(url, context=context))
            if answer.status != 200:
                raise ValueError(f"{url} answers {answer.status}")
            text = answer.body.decode("ascii")
            _check(text)
            texts.append(text)
        return "\n".join(texts)

    async def _roots(self, module: ModuleConfig) -> str:
        return await self._authorities(module, "root_certificate")

    async def _intermediates(self, module: ModuleConfig) -> str:
        return await self._authorities(module, "intermediate_certificate")

    async def _authorities(self, module: ModuleConfig, field: str) -> str:
        names = module.config.authority
        answers = [json.loads(await self._certs("pki", f"/pki/ca/{quote(n, '')}")) for n in names]
        return "\n".join(str(answer[field]) for answer in answers)

    async def _storage(self, module: ModuleConfig) -> str:
        return await self._stored(module.config.pem_keys)

    async def _leaves(self, module: ModuleConfig) -> str:
        return await self._stored(module.config.certificates)

    async def _stored(self, keys: Iterable[str]) -> str:
        answers = [await self._certs("certificates", f"/stored/{quote(key, '')}") for key in keys]
        return "\n".join(answer.decode("ascii") for answer in answers)

    async def _certs(self, service: str, path: str) -> bytes:
        if self._hop is None:
            raise ValueError("only the certs room has it, and there is no way to ask")
        patience = Patience()
        while True:
            try:
                status, _, body = await ask(self._hop, "certs", service, path)
            except HttpError as error:
                if not patience.bears(error.status):
                    raise
            else:
                if status == 200:
                    return body
                if not patience.bears(status):
                    raise ValueError(f"the certs room answers {status} for {path}")
            await asyncio.sleep(PAUSE_SECONDS)


class Patience:
    """How long refusals of the certs room are borne: it may be starting, or learning of a revision."""

    def __init__(self) -> None:
        self._begin = asyncio.get_running_loop().time()

    def bears(self, status: int) -> bool:
        """Whether to ask again after an answer with this status."""
        limit = {404: PATIENCE_SECONDS, 502: START_SECONDS, 503: START_SECONDS}.get(status, 0.0)
        return asyncio.get_running_loop().time() - self._begin < limit


_REMOTE: dict[str, Any] = {
    f"{NAMESPACE}.http": TrustedPools._http,  # noqa: SLF001 - of the class above
    f"{NAMESPACE}.pki_intermediate": TrustedPools._intermediates,  # noqa: SLF001
    f"{NAMESPACE}.pki_root": TrustedPools._roots,  # noqa: SLF001
    f"{NAMESPACE}.storage": TrustedPools._storage,  # noqa: SLF001
    "tls.leaf_cert_loader.storage": TrustedPools._leaves,  # noqa: SLF001
}
"""What has to be asked for, and how."""


def _check(pem: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except ssl.SSLError:
        raise ValueError("there is no certificate in PEM in it") from None


def _identity(module: ModuleConfig) -> str:
    return f"{module.spec.id} {json.dumps(module.raw, sort_keys=True)}"
