"""The keys of session tickets: the same in every process of the deployment, fetched from the certs room.

Until they are here, and where the certs room is away, OpenSSL's own keys are used: sessions then resume in
the process that began them. Clients that are asked who they are keep to that too: a ticket stands for a
certificate that was looked at, and Caddy gives none.
"""

from __future__ import annotations

import base64
import json
import ssl
import weakref

from quantum.errors import HttpError
from quantum.hop.neighbours import ask
from quantum.net.openssl.tickets import TicketKey, TicketKeys, seal_tickets
from quantum.net.tls import TlsSettings
from quantum.service.api import ServiceContext

LOOK_SECONDS = 60.0
"""Between two looks at the keys, at most: a changed setting arrives within it."""
SOON_SECONDS = 1.0
"""After a rotation, and while the certs room does not answer."""


class SessionTickets:
    """Gives every context of this process the keys that are in force."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._secrets: tuple[bytes, ...] = ()
        self._disabled = False
        self._users: weakref.WeakKeyDictionary[ssl.SSLContext, tuple[bytes, TicketKeys]] = (
            weakref.WeakKeyDictionary()
        )

    def adopt(self, context: ssl.SSLContext, name: str, settings: TlsSettings) -> None:
        """Seal the tickets of ``context``, for a certificate and settings, from now on."""
        if settings.clients is not None:
            return
        scope = f"{name}\0{settings!r}".encode()
        self._users[context] = (scope, TicketKeys())
        self._equip(context)

    async def run(self) -> None:
        """Fetch the keys, again and again."""
        while True:
            await self._context.clock.sleep(await self.refresh())

    async def refresh(self) -> float:
        """Fetch the keys once; return the seconds until the next time."""
        try:
            status, _, body = await ask(
                self._context.hop, "certs", "certificates", "/session-tickets"
            )
            if status != 200:
                raise ValueError(f"the certs room answers {status}")
            found = json.loads(body)
            self._take(
                tuple(base64.b64decode(key) for key in found["keys"]), bool(found["disabled"])
            )
            return min(LOOK_SECONDS, float(found["next"]) + SOON_SECONDS)
        except (HttpError, ValueError, KeyError, TypeError) as error:
            self._context.log.debug("ticket_keys_not_fetched", reason=str(error))
            return LOOK_SECONDS if self._secrets else SOON_SECONDS

    def _take(self, found: tuple[bytes, ...], disabled: bool) -> None:
        if (found, disabled) == (self._secrets, self._disabled):
            return
        self._secrets, self._disabled = found, disabled
        for context in list(self._users):
            self._equip(context)

    def _equip(self, context: ssl.SSLContext) -> None:
        if self._disabled:
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
            return
        if not self._secrets:
            return
        context.options &= ~ssl.OP_NO_TICKET
        context.num_tickets = 2
        scope, keys = self._users[context]
        is_new = keys.seal_with() is None
        keys.take([TicketKey.derive(secret, scope) for secret in self._secrets])
        if is_new and not seal_tickets(context, keys):
            self._context.log.info("tickets_of_this_process_only")
