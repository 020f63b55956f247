"""The REST interface: ``/api/*``. Any HTTP client is a client of a share.

Here are the routes, who may use them, and what all answers have in common; what they do is in the
modules beside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from quantum.http.message import Request, Response
from services.sync.access.limits import Rates
from services.sync.access.tokens import Principal
from services.sync.api.answers import REFUSALS, Refused, answer_json, full, refusal
from services.sync.api.call import Call, Desk
from services.sync.api.files import Files
from services.sync.api.past import Past
from services.sync.api.pieces import Pieces
from services.sync.api.syncing import Syncing
from services.sync.api.together.batch import Batch
from services.sync.api.together.fetch import Fetch
from services.sync.origin import is_welcome
from services.sync.uploads.routes import Uploads

READY_SECONDS = 5.0
"""How long a request waits for a share that has just been opened."""

Route = Callable[[Call], Awaitable[Response]]

_READING_POSTS = frozenset({"sync", "fetch"})
"""POSTs that change nothing."""


class Rest:
    """The interface of one share, by one handler's rules."""

    def __init__(
        self,
        desk: Desk,
        rates: Rates,
        admit: Callable[[Request], Principal],
        facts: Callable[[], dict[str, Any]],
    ) -> None:
        """``admit`` says who asks (TokenRefused); ``facts`` adds to ``/api/status``."""
        self._desk = desk
        self._share = desk.share
        self._rates = rates
        self._admit = admit
        self._facts = facts
        files, syncing, past, pieces = Files(desk), Syncing(desk), Past(desk), Pieces(desk)
        uploads, batch = Uploads(desk), Batch(desk)
        self._with_path: dict[str, dict[str, Route]] = {
            "files": {"GET": files.read, "PUT": files.write, "DELETE": files.delete},
            "dirs": {"PUT": files.make_directory, "DELETE": files.delete},
            "history": {"GET": past.history},
            "why": {"GET": past.why},
            "chunks": {"GET": pieces.read_chunk, "PUT": pieces.write_chunk},
            "uploads": {"GET": uploads.state, "PATCH": uploads.append, "DELETE": uploads.cancel},
            "manifests": {"GET": pieces.read_manifest, "PUT": pieces.write_manifest},
        }
        self._plain: dict[str, dict[str, Route]] = {
            "list": {"GET": files.list},
            "upload": {"POST": files.upload},
            "batch": {"POST": batch.write},
            "fetch": {"POST": Fetch(desk).read},
            "move": {"POST": files.move},
            "sync": {"POST": syncing.sync},
            "trash": {"GET": past.trash},
            "restore": {"POST": past.restore},
            "chunks": {"POST": pieces.missing, "PUT": pieces.write_chunks},
            "uploads": {"POST": uploads.create, "OPTIONS": uploads.options},
            "status": {"GET": self._status},
        }

    async def handle(self, request: Request) -> Response:
        """Answer a request below ``/api/``; refusals are JSON too."""
        try:
            response = await self._dispatch(request)
        except REFUSALS as error:
            response = refusal(error)
        except OSError as error:
            said = full(error)
            if said is None:
                raise
            response = refusal(said)
        if self._share.log_id:
            response.headers.set(b"sync-log", self._share.log_id.encode())
            response.headers.set(b"sync-cursor", b"%d" % self._share.tree.head)
        return response

    async def _dispatch(self, request: Request) -> Response:
        self._rates.take(request.client_ip)
        area, _, rest = request.path.removeprefix("/api").removeprefix("/").partition("/")
        routes: Mapping[str, Route] = (self._with_path if rest else self._plain).get(area, {})
        method = "GET" if request.method == "HEAD" else request.method
        if not routes:
            known = ", ".join(sorted(self._plain | self._with_path))
            raise Refused(404, f"no such resource; there are {known}")
        if method not in routes:
            allowed = ", ".join([*routes, "HEAD"] if "GET" in routes else routes)
            raise Refused(405, f"allowed: {allowed}", (b"allow", allowed.encode()))
        principal = self._admit(request)
        if not principal.may_read:
            raise Refused(401, "a token is needed", (b"www-authenticate", b"Bearer"))
        if method not in {"GET", "OPTIONS"} and area not in _READING_POSTS:
            self._check_writer(request, principal)
        if not await self._share.wait_ready(READY_SECONDS):
            raise Refused(503, "the share is being opened", (b"retry-after", b"1"))
        return await routes[method](Call.of(request, rest, principal))

    def _check_writer(self, request: Request, principal: Principal) -> None:
        config = self._desk.config
        if not config.enable_upload:
            raise Refused(403, "this share is read only: enable_upload is off")
        if not is_welcome(request, config.allowed_origins):
            raise Refused(403, "this origin may not write here")
        if not principal.may_write:
            if request.headers.get(b"authorization") is None:
                raise Refused(401, "writing needs a token", (b"www-authenticate", b"Bearer"))
            raise Refused(403, "the token does not allow writing")
        if not self._share.is_writable:
            raise Refused(503, "the folder of this share cannot be written")

    async def _status(self, call: Call) -> Response:
        facts = {"enable_upload": self._desk.config.enable_upload, **self._share.status()}
        return answer_json(200, {**facts, **self._facts()})
