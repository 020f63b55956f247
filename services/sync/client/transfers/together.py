"""Many small steps in one request.

What a round trip, a sync of the disk and a trip to a thread cost, a group pays once. Every step of a
group has an end of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from services.sync.client.disk.folder import Arrival, LocalChanged
from services.sync.client.pace import Pace
from services.sync.client.planning.actions import SMALL, Action, Kind
from services.sync.client.progress import Progress
from services.sync.client.remote.api import (
    Fetched,
    Remote,
    RemoteError,
    Stale,
    Write,
    Written,
)
from services.sync.client.remote.view import RemoteView
from services.sync.client.replica import Replica, Run
from services.sync.client.transfers.uploads import Uploads

TOGETHER, BYTES = 512, 4 * 1024 * 1024
"""Steps and bytes of one request: what is asked again when the connection breaks is a moment's work."""

Ends = list[Exception | None]
"""How each step of a group ended: None is well."""


class Together:
    """Does steps in groups. Raises what ends them all, such as Offline."""

    def __init__(
        self, replica: Replica, view: RemoteView, remote: Remote, uploads: Uploads, run: Run,
        pace: Pace, progress: Progress, token: Callable[[], str], *, is_mirror: bool,
    ) -> None:  # fmt: skip
        self._replica = replica
        self._view = view
        self._remote = remote
        self._uploads = uploads
        self._run = run
        self._pace = pace
        self._progress = progress
        self._token = token
        self._is_mirror = is_mirror
        self.confirm = ""

    def groups(self, actions: Sequence[Action], workers: int) -> Iterator[list[Action]]:
        """Yield the steps in groups, each for one worker; steps that go alone are groups of one."""
        if not self._remote.takes_many:
            yield from ([action] for action in actions)
            return
        most = min(TOGETHER, -(-len(actions) // max(1, min(workers, 4))))
        for kind, same in groupby(actions, self._kind):
            group: list[Action] = []
            size = 0
            for action in same:
                group.append(action)
                size += action.node.size if action.node is not None else 0
                if kind is None or len(group) >= most or size >= BYTES:
                    yield group
                    group, size = [], 0
            if group:
                yield group

    def takes(self, group: Sequence[Action]) -> bool:
        """Whether a group is for ``do``: a step alone is not, but for a directory.

        Its answer says which operation of the log it is, so that the log need not be read for it.
        """
        first = group[0]
        return len(group) > 1 or (
            self._remote.takes_many and self._kind(first) is Kind.REMOTE_MKDIR
        )

    def _kind(self, action: Action) -> Kind | None:
        """Return the kind of a step that can be done with others of its kind."""
        if action.kind in {Kind.REMOTE_MKDIR, Kind.REMOTE_DELETE}:
            is_folder = action.expect is not None and action.expect.is_directory
            return None if action.kind is Kind.REMOTE_MKDIR and is_folder else action.kind
        is_transfer = action.kind in {Kind.UPLOAD, Kind.DOWNLOAD}
        if not is_transfer or action.node is None or action.node.size > SMALL:
            return None
        if self._is_mirror and action.expect is not None:
            return None  # what is replaced goes to the trash first
        return action.kind

    async def do(self, actions: Sequence[Action]) -> Ends:
        """Carry out a group of one kind. Raises Unsupported when they must be done one by one."""
        if actions[0].kind is Kind.DOWNLOAD:
            return await self._fetch(actions)
        return await self._send(actions)

    # To the server.

    async def _send(self, actions: Sequence[Action]) -> Ends:
        writes = await self._run(self._writes, actions)
        ends: Ends = [write if isinstance(write, Exception) else None for write in writes]
        asked = [(at, write) for at, write in enumerate(writes) if not isinstance(write, Exception)]
        size = sum(len(write.data) for _, write in asked)
        await self._pace.spend(size)
        if not asked:
            return ends
        answers = await self._remote.write_many([write for _, write in asked], self.confirm)
        self._progress.moved_bytes(size)
        for (at, _), answer in zip(asked, answers, strict=True):
            action = actions[at]
            if isinstance(answer, Written):
                self._view.wrote(action.path, action.node, answer.seq, answer.log)
            else:
                ends[at] = answer
        return ends

    def _writes(self, actions: Sequence[Action]) -> list[Write | LocalChanged]:
        """Read what shall be sent. Blocks."""
        found: list[Write | LocalChanged] = []
        for action in actions:
            try:
                data = b""
                if action.kind is Kind.UPLOAD and action.node is not None:
                    data = self._uploads.read(action.path, action.node)
                found.append(Write(action.path, action.node, action.expect, data))
            except LocalChanged as error:
                found.append(error)
        return found

    # To the disk.

    async def _fetch(self, actions: Sequence[Action]) -> Ends:
        size = sum(action.node.size for action in actions if action.node is not None)
        await self._pace.spend(size)
        answers = await self._remote.read_many([action.path for action in actions])
        self._progress.moved_bytes(size)
        ends: Ends = []
        arrivals: dict[int, Arrival] = {}
        for at, (action, answer) in enumerate(zip(actions, answers, strict=True)):
            ends.append(self._problem(action, answer))
            if ends[at] is None and isinstance(answer, Fetched):
                arrivals[at] = self._arrival(action, answer)
        placed = await self._run(self._replica.folder.place_many, list(arrivals.values()))
        for at, status in zip(arrivals, placed, strict=True):
            node = actions[at].node
            if isinstance(status, LocalChanged):
                ends[at] = status
            elif node is not None:
                self._replica.placed(actions[at].path, node, status)
        return ends

    def _problem(self, action: Action, answer: Fetched | RemoteError) -> Exception | None:
        if not isinstance(answer, Fetched):
            return answer
        if answer.node != action.node:
            return Stale(f"{action.path} is not what was announced")
        if action.expect is not None and self._replica.status.get(action.path) is None:
            return LocalChanged(f"{action.path} was not looked at")
        return None

    def _arrival(self, action: Action, answer: Fetched) -> Arrival:
        expect = self._replica.status.get(action.path) if action.expect is not None else None
        old = action.expect.hash if action.expect is not None else ""
        return Arrival(action.path, answer.data, self._token(), expect, old, answer.node.hash)
