"""An answer that gives its request's places back when it has been sent."""

from __future__ import annotations

from collections.abc import Sequence

from quantum.http.body import Body, BodyAround
from quantum.http.message import ByteStream, Response, Upgrade
from quantum.http.response_fields import replaced
from services.edge.limiting.zones import Slot


def leaving(response: Response, slots: Sequence[Slot]) -> Response:
    """Return ``response`` such that ``slots`` are left at its end: of its body, or of its tunnel.

    An answer in memory leaves them at once: sending it holds nothing behind this handler.
    """
    if isinstance(response.body, bytes) and response.upgrade is None:
        _leave(slots)
        return response
    answer = replaced(response, response.headers)
    if response.upgrade is not None:
        answer.upgrade = _leaving_upgrade(response.upgrade, slots)
    elif not isinstance(response.body, bytes):
        answer.body = LeavingBody(response.body, slots)
    return answer


def _leave(slots: Sequence[Slot]) -> None:
    for slot in slots:
        slot.leave()


def _leaving_upgrade(upgrade: Upgrade, slots: Sequence[Slot]) -> Upgrade:
    async def run(stream: ByteStream) -> None:
        try:
            await upgrade(stream)
        finally:
            _leave(slots)

    return run


class LeavingBody(BodyAround):
    """A body that leaves the slots at its end, however it ends."""

    __slots__ = ("_slots",)

    def __init__(self, body: Body, slots: Sequence[Slot]) -> None:
        super().__init__(body)
        self._slots = slots

    async def __anext__(self) -> bytes:
        try:
            return await super().__anext__()
        except BaseException:
            _leave(self._slots)
            raise

    async def aclose(self) -> None:
        """Give up what is left."""
        _leave(self._slots)
        await super().aclose()
