"""Operations that come over a WebSocket: what needs no content is carried out, the rest confirmed.

Metadata never comes before content: a file counts as created when its bytes are here, so for files
this only confirms (upload first, over REST).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.sync import protocol
from services.sync.access.limits import Rates
from services.sync.access.tokens import Principal
from services.sync.api.answers import REFUSALS, Refused, refused
from services.sync.api.call import Desk
from services.sync.api.writing import change, guarded_removal
from services.sync.rules import changes
from services.sync.rules.conditions import ALWAYS, Condition
from services.sync.rules.operations import content_of
from services.sync.share.paths import parse_path


class Operator:
    """The room of one handler's connections."""

    def __init__(self, desk: Desk, rates: Rates, admit: Callable[[str], Principal]) -> None:
        self._desk = desk
        self._share = desk.share
        self._rates = rates
        self.admit = admit

    def take(self, client: str) -> None:
        """Count one message; TooFast."""
        self._rates.take(client)

    async def operate(
        self, message: protocol.FileOperation, principal: Principal, client: str
    ) -> dict[str, Any]:
        """Carry out what a client announced; return the message that answers it."""
        operation = message.operation.model_dump(by_alias=True, mode="json")
        kind, body = content_of(operation)
        try:
            if not self._desk.config.enable_upload:
                raise Refused(403, "this share is read only: enable_upload is off")
            path, seq = await self._carry_out(kind, body, message, principal, client)
        except REFUSALS as error:
            said = refused(error)
            text = f"{kind} refused: {said.problem}"
            return protocol.error(text, said.code, operation_id=message.op_id, **said.more)
        node = self._share.tree.get(path)
        version = seq or (node.version if node is not None else self._share.tree.head)
        return protocol.ack(message.op_id or f"{kind}:{path}", seq=version, version=version)

    async def _carry_out(
        self,
        kind: str,
        body: dict[str, Any],
        message: protocol.FileOperation,
        principal: Principal,
        client: str,
    ) -> tuple[str, int]:
        tree, op_id = self._share.tree, message.op_id or ""
        condition = ALWAYS
        if message.base_version is not None:
            condition = Condition(match=frozenset({f"v{message.base_version}"}))
        if kind == "Delete":
            path = self._allowed(principal, body["path"])
            decide = lambda tree: guarded_removal(  # noqa: E731 - three plans, one commit
                self._desk, tree, path, condition, client, message.confirm, recursive=False
            )
            return await change(self._desk, decide, [path], client, op_id)
        metadata = body["metadata"]
        path = self._allowed(principal, metadata["path"])
        if kind == "Move":
            source, to = (
                self._allowed(principal, body["from"]),
                self._allowed(principal, body["to"]),
            )
            move = lambda tree: changes.move(tree, source, to, condition)  # noqa: E731
            return await change(self._desk, move, [source], client, op_id, target=to)
        if metadata["is_directory"]:
            make = lambda tree: changes.make_directory(tree, path, metadata["modified"])  # noqa: E731
            return await change(self._desk, make, [], client, op_id, target=path)
        await self._share.look_at(path)
        now = tree.get(path)
        if now is None or now.hash != metadata["hash"]:
            raise Refused(409, f"the content of {path} is not here: PUT /api/files/{path} first")
        return path, now.version

    def _allowed(self, principal: Principal, text: str) -> str:
        path = parse_path(text)
        if not principal.may_change(path):
            raise Refused(403, f"the token does not allow changing {path}")
        return path
