"""Three replicas without a shared disk on a real NATS server that dies: one history, nothing lost."""

import asyncio
import hashlib
import os
import random
import signal

import pytest

from quantum.bus.api import Bus
from quantum.errors import BusUnavailable
from services.sync.api.call import Desk
from services.sync.api.writing import Wish, receive, write
from services.sync.rules.changes import Plan, Step
from services.sync.rules.conditions import Condition, Conflicted
from services.sync.rules.operations import created
from services.sync.rules.tree import Node
from services.sync.share.committing import Asked
from services.sync.share.history import events
from tests.integration.sync.writer import make_desk

WRITERS, WRITES, PATHS = 6, 30, 4


async def open_replica(place, bus: Bus) -> Desk:
    desk = make_desk(str(place / "root"), str(place / "data"), bus, "bus")
    assert await desk.share.wait_ready(20)
    return desk


async def scribble(desk: Desk, name: str, dice: random.Random, won: dict, contents: set) -> None:
    """Write with what was last seen as the base, sometimes as a copy; repeat what may not have been done."""
    for turn in range(WRITES):
        path = f"p{dice.randrange(PATHS)}"
        node = desk.share.tree.get(path)
        base = frozenset({f"v{node.version}"}) if node else None
        absent = frozenset({"*"}) if node is None else frozenset()
        data = f"{name} {turn}".encode()
        wish = Wish(
            path, "2026-01-01T00:00:00Z", Condition(base, absent), name, dice.random() < 0.3, f"{name}-{turn}"
        )  # fmt: skip
        for _ in range(100):
            try:
                written = await write(desk, wish, await receive(desk, data))
            except BusUnavailable:
                await asyncio.sleep(0.1)
                continue
            except Conflicted:
                break
            contents.add(hashlib.sha256(data).hexdigest())
            if not written.is_copy:
                key = (path, node.version if node else 0)
                won.setdefault(key, []).append(name)
            break
        await asyncio.sleep(dice.uniform(0, 0.02))


async def test_one_wins_for_each_base_and_every_replica_ends_the_same(nats, tmp_path):
    desks = [await open_replica(tmp_path / str(n), await nats.connect()) for n in range(3)]
    heard: list[list[int]] = [[] for _ in desks]
    for desk, seqs in zip(desks, heard, strict=True):
        desk.share.listen(lambda seq, entry, seqs=seqs: seqs.append(seq))
    won: dict = {}
    contents: set[str] = set()
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            dice = random.Random(number)
            group.create_task(scribble(desks[number % 3], f"w{number}", dice, won, contents))
        await asyncio.sleep(0.3)
        os.kill(nats.server.pid, signal.SIGKILL)
    trees = await settled(desks)
    assert trees[0] == trees[1] == trees[2]
    assert {key: names for key, names in won.items() if len(names) > 1} == {}
    assert len(won) > WRITES
    for seqs in heard:
        for _ in range(1000):  # a listener hears once the disk has it, after the tree
            if len(seqs) == desks[0].share.tree.head:
                break
            await asyncio.sleep(0.05)
        assert seqs == list(range(1, desks[0].share.tree.head + 1))
    kept = {
        event.node.hash
        for path in desks[0].share.tree.nodes
        for event in events(desks[0].share.index, path, 10_000)
        if event.node is not None
    }
    assert contents <= kept
    for desk, number in zip(desks, range(3), strict=True):
        await mended(desk)
        for path, node in desk.share.tree.nodes.items():
            data = (tmp_path / str(number) / "root" / path).read_bytes()
            assert hashlib.sha256(data).hexdigest() == node.hash
        await desk.share.aclose()


async def settled(desks: list[Desk]) -> list[dict]:
    for _ in range(1000):
        if len({desk.share.tree.head for desk in desks}) == 1:
            break
        await asyncio.sleep(0.05)
    return [desk.share.tree.nodes for desk in desks]


async def mended(desk: Desk) -> None:
    for _ in range(1000):
        if not desk.share.keeper.pending and not desk.share.keeper.differences():
            return
        await asyncio.sleep(0.05)


def writes(desk: Desk, names: list[str], **op_ids: str) -> list[Asked]:
    """Ask for empty files: what it takes to be one operation each."""

    def asked(name: str) -> Asked:
        node = Node(name, 0, hashlib.sha256(b"").hexdigest(), "2026-01-01T00:00:00Z", False, 0)
        return Asked(lambda tree: Plan((Step(created(node)),), name), "w", op_ids.get(name, ""))

    return [asked(name) for name in names]


@pytest.mark.parametrize("count", [1, 5, 40])
async def test_a_request_that_reaches_two_replicas_at_once_is_one_in_all_of_them(
    nats, tmp_path, count
):
    """Each replica commits it behind writes of its own, at the same place of the log, as its last one."""
    desks = [await open_replica(tmp_path / str(n), await nats.connect()) for n in range(2)]
    shares = [desk.share for desk in desks]
    own = [[f"{which}{number}" for number in range(count - 1)] for which in "ab"]
    outcomes = await asyncio.gather(
        *[
            share.commit_all(writes(desk, [*names, f"same-{which}"], **{f"same-{which}": "same"}))
            for share, desk, names, which in zip(shares, desks, own, "ab", strict=True)
        ]
    )
    trees = await settled(desks)
    assert [end for each in outcomes for end in each if isinstance(end, BaseException)] == []
    assert trees[0] == trees[1]
    assert {*own[0], *own[1]} < trees[0].keys()
    assert len(trees[0]) == 2 * count - 1
    assert shares[0].tree.head == (await shares[0]._stream.state())[2]
    for share in shares:
        await share.aclose()
