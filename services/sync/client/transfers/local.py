"""The lists of chunks of local files: remembered since they were hashed, or made now."""

from __future__ import annotations

from services.sync.client.disk.folder import LocalChanged
from services.sync.client.planning.model import Node
from services.sync.client.replica import Replica, Run
from services.sync.client.state import State
from services.sync.client.transfers.lists import Cutting
from services.sync.content.manifest import Manifest


class LocalLists:
    """Tells what the files of the folder are made of."""

    def __init__(self, replica: Replica, state: State, run: Run, cutting: Cutting) -> None:
        self._replica = replica
        self._state = state
        self._run = run
        self.cutting = cutting

    def remembered(self, node: Node | None) -> Manifest | None:
        """Return the chunks of a content if they are known and it is large enough to need them."""
        if node is None or node.size < self.cutting.edited_from:
            return None
        return self._state.list_of(node.hash)

    async def of(self, path: str, node: Node) -> Manifest:
        """Return the chunks of the file at ``path``; LocalChanged when it is not ``node``."""
        manifest = self._state.list_of(node.hash)
        if manifest is None:
            manifest = await self._make(path)
            if manifest.hash != node.hash:
                raise LocalChanged(f"{path} was changed")
            self._state.keep_list(manifest)
        return manifest

    def keep(self, manifest: Manifest) -> None:
        """Remember the chunks of a content that is being placed."""
        self._state.keep_list(manifest)

    async def _make(self, path: str) -> Manifest:
        manifest, _ = await self._run(self._replica.folder.read_file, path, self.cutting.cut)
        assert isinstance(manifest, Manifest)
        return manifest
