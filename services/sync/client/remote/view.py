"""What the client believes the server has.

That is the log applied up to a cursor, and on top its own acknowledged changes that the log has not
told it of yet. Keeping the two apart is what makes the belief exact: an answer may arrive before operations that
came earlier in the log, and must not be undone, or doubled, by them.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from services.sync.client.planning.model import DIRECTORY, Node, ancestors, is_below
from services.sync.client.remote.api import Change, Listing
from services.sync.client.state import State


class RemoteView:
    """The server's tree as of ``cursor``, with our own later changes on top. Kept in the state."""

    def __init__(self, state: State, client: str, takes: Callable[[str, Node], bool]) -> None:
        """``takes`` says which paths take part."""
        self._state = state
        self._client = client
        self._takes = takes
        self.log = state.fact("log")
        self.cursor = int(state.fact("cursor") or 0)
        self._relied = self._recorded = _place(state.fact("relied"))
        self._own: dict[str, tuple[Node | None, int]] = {}
        self._order: list[tuple[int, str]] = []
        self._told: dict[int, Change] = {}
        """Operations after the cursor that our answers told us of."""
        self._waiting: list[Change] | None = None
        self.tree: dict[str, Node] = dict(state.remote)
        self.awaited_head = 0
        """The place in the log that a listing must reach: operations after it are told, earlier ones not."""
        self.is_known = bool(self.log)
        """Whether the tree is worth planning with; a server without cursors must be listed."""

    @property
    def lags(self) -> bool:
        """Whether the log was not yet read as far as an earlier process knew it when it recorded what is synced.

        What the record has and the tree has not would be taken for deleted on the server. A replica that
        has not heard of our last writes answers so, or a log that was restored from an older copy.
        """
        log, seq = self._recorded
        return bool(self.log) and self.log == log and self.cursor < seq

    @property
    def has_cursor(self) -> bool:
        """Whether the server has a log that can be followed from a cursor."""
        return bool(self.log)

    def expect_listing(self) -> None:
        """Keep operations until ``replace``: they may be newer than the listing that is on its way."""
        self._waiting = self._waiting or []

    def replace(self, listing: Listing) -> None:
        """Take a whole listing; an older one than what is known is ignored."""
        waiting, self._waiting = self._waiting or [], None
        self._replace(listing)
        for change in waiting:
            self.apply(change)

    def _replace(self, listing: Listing) -> None:
        if listing.log and listing.log == self.log and listing.cursor < self.cursor:
            return
        tree = {p: n for p, n in listing.tree.items() if self._takes(p, n)}
        for path in list(tree):
            for above in ancestors(path):
                tree.setdefault(above, DIRECTORY)
        if listing.log != self.log:
            self._told.clear()
        self._state.replace_remote(tree)
        self.log = listing.log
        self._advance(listing.cursor)
        if not listing.log:
            self._own.clear()
            self._order.clear()
        self.tree = dict(self._state.remote)
        for path, (node, _) in self._own.items():
            self._show(path, node)
        self._state.set_fact("log", self.log)
        self.is_known = True

    def apply(self, change: Change) -> bool:
        """Apply one operation of the log; one that was applied before changes nothing.

        Returns False when operations before it are missing: then it is not applied, and the log has
        to be read from the cursor.
        """
        if self._waiting is not None:
            self._waiting.append(change)
        elif not change.seq or change.seq == self.cursor + 1:
            self._apply(change)
        return change.seq <= self.cursor + 1

    def _apply(self, change: Change) -> None:
        if not change.seq and change.client == self._client:
            return  # no place in an order: our own answer told us already
        if not change.path:
            pass  # a name that would leave the folder: it takes its place in the order, and nothing else
        elif change.source:
            self._move(change.source, change.path, change.node)
        elif change.node is None:
            found = self._state.remote.get(change.path)
            if found is None or found.is_directory:
                for path in [p for p in self._state.remote if is_below(p, change.path)]:
                    self._set(path, None)
            self._set(change.path, None)
            if change.client == self._client and change.path not in self._own:
                # Our own deletion whose answer was lost: both had agreed that nothing is there, and what
                # is there now is new. It must not be taken for the old one, and deleted.
                self._state.set_synced(change.path, None)
        else:
            self._set(change.path, change.node)
        if change.seq:
            self._advance(change.seq)

    def wrote(self, path: str, node: Node | None, seq: int, log: str = "") -> None:
        """Note a change of our own that the server acknowledged.

        With ``log`` its operation there is this change and nothing else: where the log goes on with
        such ones from the cursor, they need not be read.
        """
        if self.log and seq > self.cursor:
            self._own[path] = (node, seq)
            heappush(self._order, (seq, path))
            self._rely_on(seq)
            self._show(path, node)
            if log == self.log:
                self._told[seq] = Change(path, node, "", seq, self._client)
                self._follow_own()
        elif not self.log:
            self._set(path, node)

    def _follow_own(self) -> None:
        while self._waiting is None and (change := self._told.get(self.cursor + 1)) is not None:
            self._apply(change)

    def moved(self, source: str, to: str, seq: int) -> None:
        """Note a move of our own, with everything below."""
        for path in [p for p in self.tree if p == source or is_below(p, source)]:
            node = self.tree[path]
            self.wrote(path, None, seq)
            self.wrote(to + path[len(source) :], node, seq)

    @property
    def awaited(self) -> int:
        """The place in the log up to which it must be read to have seen all our own changes."""
        return max((seq for _, seq in self._own.values()), default=0)

    def _advance(self, cursor: int) -> None:
        if cursor == self.cursor + 1:
            self._told.pop(cursor, None)
        else:
            self._told = {seq: change for seq, change in self._told.items() if seq > cursor}
        self.cursor = cursor
        self._state.set_fact("cursor", str(cursor))
        self._rely_on(cursor)
        while self._order and self._order[0][0] <= cursor:
            _, path = heappop(self._order)
            if path in self._own and self._own[path][1] <= cursor:
                del self._own[path]
                self._show(path, self._state.remote.get(path))

    def _rely_on(self, seq: int) -> None:
        """Record with the next commit that what is synced is of the log up to ``seq``."""
        if self._relied[0] != self.log or self._relied[1] < seq:
            self._relied = (self.log, seq)
            self._state.set_fact("relied", f"{seq} {self.log}")

    def _move(self, source: str, to: str, node: Node | None) -> None:
        below = [p for p in self._state.remote if is_below(p, source)]
        moved = {to + p[len(source) :]: self._state.remote[p] for p in below}
        node = self._state.remote.get(source, node)
        for path in [source, *below]:
            self._set(path, None)
        if node is not None:
            self._set(to, node)
        for path, found in moved.items():
            self._set(path, found)

    def _set(self, path: str, node: Node | None) -> None:
        if node is not None:
            if not self._takes(path, node):
                return
            for above in ancestors(path):
                if above not in self._state.remote:
                    self._set(above, DIRECTORY)
        self._state.set_remote(path, node)
        if path not in self._own:
            self._show(path, node)

    def _show(self, path: str, node: Node | None) -> None:
        if node is None:
            self.tree.pop(path, None)
        else:
            self.tree[path] = node


def _place(recorded: str) -> tuple[str, int]:
    """Return the log and the place in it."""
    seq, _, log = recorded.partition(" ")
    return log, int(seq or 0)
