"""``/api/uploads``: each request to the dialect that it speaks."""

from __future__ import annotations

from quantum.http.message import Response
from services.sync.api.answers import Refused
from services.sync.api.call import Call, Desk
from services.sync.uploads.draft import Draft
from services.sync.uploads.resuming import Resuming
from services.sync.uploads.tus import VERSION, Tus


class Uploads:
    """The routes of one share."""

    def __init__(self, desk: Desk) -> None:
        uploads = Resuming(desk)
        self._tus = Tus(uploads)
        self._draft = Draft(uploads)

    async def options(self, call: Call) -> Response:
        """Answer OPTIONS."""
        return self._tus.options()

    async def create(self, call: Call) -> Response:
        """Answer ``POST /api/uploads``."""
        return await (self._tus if _speaks_tus(call) else self._draft).create(call)

    async def state(self, call: Call) -> Response:
        """Answer ``HEAD /api/uploads/ID``."""
        return await (self._tus if _speaks_tus(call) else self._draft).state(call)

    async def append(self, call: Call) -> Response:
        """Answer ``PATCH /api/uploads/ID``."""
        return await (self._tus if _speaks_tus(call) else self._draft).append(call)

    async def cancel(self, call: Call) -> Response:
        """Answer ``DELETE /api/uploads/ID``."""
        return await (self._tus.terminate if _speaks_tus(call) else self._draft.cancel)(call)


def _speaks_tus(call: Call) -> bool:
    version = call.request.headers.get(b"tus-resumable")
    if version is not None and version != VERSION:
        said = f"only tus {VERSION.decode()} is spoken here"
        raise Refused(412, said, (b"tus-version", VERSION), code="invalid")
    return version is not None
