"""``python -m tests.rounds``: see the package."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

from quantum.testing.network import apart
from quantum.testing.topology import ROOMS, Deployment, free_port
from tests.rounds.disks import filling_disk, losing_disk
from tests.rounds.evidence import Replay
from tests.rounds.faults import faults_of
from tests.rounds.followers import Follower
from tests.rounds.judge import judge
from tests.rounds.writers import Account, Writer

WRITERS, FOLLOWERS = 4, 2
_IS_SOCKET = shutil.ignore_patterns("*.sock")


def figures_of(deployment: Deployment) -> str:
    """Return what each process says of its shares."""
    said = []
    for member in deployment.members.values():
        with contextlib.suppress(OSError):
            url = f"http://{member.ops}/metrics"
            text = urllib.request.urlopen(url, timeout=3).read().decode() if member.ops else ""
            wanted = ("quantum_sync_head{", "quantum_sync_clients ", "quantum_sync_pending")
            said += [
                f"{member.name} {line}" for line in text.splitlines() if line.startswith(wanted)
            ]
    return "\n".join(said)


class Rounds:
    """Rounds on one deployment."""

    def __init__(self, deployment: Deployment, url: str, root: Path, seed: int) -> None:
        self.deployment = deployment
        self.url = url
        self.root = root
        self.seed = seed
        self.followers = [
            Follower(url, random.Random(seed * 100 + number)) for number in range(FOLLOWERS)
        ]
        self.replay = Replay()
        self.head = 0
        self.good = 0
        self.answers: Counter[int] = Counter()
        self.promised = 0

    async def play(self, number: int, fault_name: str, seconds: float) -> list[str]:
        """Play one round; return what is wrong."""
        dice = random.Random(self.seed * 1_000_003 + number)
        account, end = Account(), asyncio.Event()
        folder = f"r{self.seed}-{number}"
        writers = [
            Writer(self.url, folder, f"w{n}", random.Random(dice.random()), account)
            for n in range(WRITERS)
        ]
        working = [asyncio.ensure_future(writer.work(end)) for writer in writers]
        await asyncio.sleep(dice.uniform(0, seconds))
        await self.faults[fault_name](self.deployment, dice)
        await asyncio.sleep(dice.uniform(0.2, seconds))
        end.set()
        outcomes = await asyncio.gather(*working, return_exceptions=True)
        problems = [f"a writer failed: {o!r}" for o in outcomes if isinstance(o, BaseException)]
        found, self.head = await judge(
            self.url, self.root, account, self.followers, self.replay, self.head
        )
        self.answers.update(account.answers)
        self.promised += len(account.promised)
        return problems + found

    async def run(self, count: int, seconds: float, faults: dict) -> int:
        """Play rounds until the count, or the first that fails; return how many were good."""
        self.faults = faults
        following = [asyncio.ensure_future(follower.follow()) for follower in self.followers]
        names, dice = sorted(faults), random.Random(self.seed)
        try:
            for number in range(count):
                name = dice.choice(names)
                problems = await self.play(number, name, seconds)
                if problems:
                    print(f"seed {self.seed} round {number} {name}:", *problems[:40], sep="\n  ")
                    print(figures_of(self.deployment))
                    print(self.deployment.logs(40))
                    break
                self.good += 1
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
        return self.good


def deploy(
    options: argparse.Namespace, directory: Path, stack: contextlib.ExitStack
) -> tuple[Deployment, str, Path]:
    """Start what was asked for; return it, the address of its edge and the folder of the share."""
    rooms = ("edge", "sync", "sync", "sync") if options.topology == "three" else ("edge", "sync")
    if options.topology == "all":
        rooms = ROOMS
    prefix, address = [], "127.0.0.1"
    if options.network:
        namespace = stack.enter_context(apart())
        prefix, address = namespace.prefix, namespace.there
    port, root = free_port(), directory / "share"
    sync = {
        "handler": "file_sync", "root": str(root), "enable_upload": True,
        "max_delete_files": 0, "max_delete_percent": 0, "content": options.content,
    }  # fmt: skip
    server = {"listen": [f"{address}:{port}"], "routes": [{"handle": [sync]}]}
    document = {"apps": {"http": {"servers": {"sync": server}}}}
    topology = "all" if options.topology == "all" else "split"
    made = Deployment(topology, document, directory, rooms=rooms, prefix=prefix, host=address)
    stack.enter_context(made)
    subprocess.run(["sync", "-f", str(directory)], check=True)  # the configuration must stay
    return made, f"http://{address}:{port}", root


def play(
    options: argparse.Namespace, directory: Path, stack: contextlib.ExitStack
) -> tuple[int, dict]:
    """Play rounds as asked in a folder; return how many were good and figures."""
    full = stack.enter_context(filling_disk(directory)) if options.small_disk else None
    losing = stack.enter_context(losing_disk(directory)) if options.power else None
    deployment, url, root = deploy(options, directory, stack)
    rounds = Rounds(deployment, url, root, options.seed)
    faults = faults_of(options.topology, has_network=options.network, full=full, losing=losing)
    if options.fault:
        faults = {name: fault for name, fault in faults.items() if options.fault in name}
    started = time.monotonic()
    try:
        asyncio.run(rounds.run(options.rounds, options.seconds, faults))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    starts = sum(member.starts for member in deployment.members.values())
    if rounds.good < options.rounds:
        deployment.stop()
        kept = shutil.copytree(directory, f"{directory}-failed", ignore=_IS_SOCKET)
        print(f"kept: {kept}", flush=True)
    return rounds.good, {
        "topology": options.topology, "content": options.content, "seed": options.seed,
        "rounds": rounds.good, "of": options.rounds, "operations": rounds.head,
        "contents_promised": rounds.promised, "answers": dict(sorted(rounds.answers.items())),
        "process_starts": starts, "seconds": round(time.monotonic() - started),
        "resumed": sum(follower.sessions for follower in rounds.followers),
    }  # fmt: skip


def run(options: argparse.Namespace) -> tuple[int, dict]:
    """Run rounds as asked; return how many were good and figures."""
    directory = Path(tempfile.mkdtemp(prefix="q-rounds-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        return play(options, directory, stack)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rounds", description=__doc__)
    parser.add_argument("--topology", default="all", choices=("all", "split", "three"))
    parser.add_argument("--content", default="disk", choices=("disk", "bus"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seconds", type=float, default=0.6, help="of writing before a fault, at most"
    )
    parser.add_argument(
        "--small-disk", action="store_true", help="on a tmpfs that is full at times (root)"
    )
    parser.add_argument("--network", action="store_true", help="in a namespace with loss (root)")
    parser.add_argument(
        "--power", action="store_true", help="on a disk that forgets what was not synced (root)"
    )
    parser.add_argument("--fault", default="", help="only faults with this in their name")
    options = parser.parse_args()
    good, figures = run(options)
    print(json.dumps(figures), flush=True)
    sys.exit(0 if good == options.rounds else 1)


if __name__ == "__main__":
    main()
