"""A simulated disk under the real folder."""

import pytest

from services.sync.client.disk.folder import LocalFolder
from tests.simulation.disk import Disk, SimulatedCalls


class Ticking:
    """A wall clock that moves with every look at it."""

    def __init__(self) -> None:
        self.now = 10**18

    def __call__(self) -> int:
        self.now += 10**8
        return self.now


@pytest.fixture
def disk() -> Disk:
    return Disk(Ticking())


@pytest.fixture
def folder(disk: Disk) -> LocalFolder:
    numbers = iter(range(10**6))
    found = LocalFolder("", SimulatedCalls(disk, lambda where: None), lambda: str(next(numbers)))
    found.prepare("marker")
    return found


def write(disk: Disk, path: str, data: bytes) -> None:
    """What another program does."""
    names, name = disk.parent("/" + path)
    inode = names.get(name) or disk.node()
    inode.data = inode.durable = data
    inode.modified = inode.changed = disk.stamp()
    names[name] = inode
