"""What goes wrong in a round. Each fault is over, and what it needs is healed, when it returns."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from quantum.testing.topology import Deployment, descendants
from tests.rounds.delay import LONGEST_SECONDS
from tests.rounds.disks import Filling, Losing

Fault = Callable[[Deployment, random.Random], Awaitable[None]]


def _bus_pid(deployment: Deployment) -> int | None:
    member = deployment.members.get("nats")
    if member is not None:
        return member.process.pid if member.process is not None else None
    process = deployment.members["quantum"].process
    for pid in descendants(process.pid) if process is not None and process.poll() is None else []:
        if b"nats-server" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def _sync(deployment: Deployment, dice: random.Random) -> str:
    names = [name for name in deployment.members if name.startswith("sync")]
    return dice.choice(names) if names else "quantum"


async def none(deployment: Deployment, dice: random.Random) -> None:
    """Nothing goes wrong."""


async def kill_sync(deployment: Deployment, dice: random.Random) -> None:
    """SIGKILL, once or twice in a row."""
    for _ in range(dice.choice([1, 1, 2])):
        deployment.kill(_sync(deployment, dice))
        await asyncio.sleep(dice.uniform(0, 0.8))


async def kill_bus(deployment: Deployment, dice: random.Random) -> None:
    pid = _bus_pid(deployment)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


async def kill_edge(deployment: Deployment, dice: random.Random) -> None:
    deployment.kill("edge")


async def kill_both(deployment: Deployment, dice: random.Random) -> None:
    """The machine's processes go at once."""
    await kill_bus(deployment, dice)
    deployment.kill(_sync(deployment, dice))


async def stop_sync(deployment: Deployment, dice: random.Random) -> None:
    """SIGSTOP: alive for the kernel, dead for everybody else."""
    member = deployment.member(_sync(deployment, dice))
    member.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(dice.uniform(0.3, 2.5))
    finally:
        member.signal(signal.SIGCONT)


async def stop_bus(deployment: Deployment, dice: random.Random) -> None:
    pid = _bus_pid(deployment)
    if pid is None:
        return
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(dice.uniform(0.3, 2.5))
    finally:
        os.kill(pid, signal.SIGCONT)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


async def lose_packets(deployment: Deployment, dice: random.Random) -> None:
    """A fifth of the packets to the server is lost, and a tenth of those within it."""
    rules = [
        ["-i", "inside", "-m", "statistic", "--mode", "random", "--probability", "0.2"],
        ["-i", "lo", "-p", "tcp", "-m", "statistic", "--mode", "random", "--probability", "0.1"],
    ]
    inside = deployment.prefix
    for rule in rules:
        _run(*inside, "iptables", "-A", "INPUT", *rule, "-j", "DROP")
    try:
        await asyncio.sleep(dice.uniform(0.5, 2.5))
    finally:
        _run(*inside, "iptables", "-F", "INPUT")


async def cut_link(deployment: Deployment, dice: random.Random) -> None:
    """Partition: the link is down."""
    _run(*deployment.prefix, "ip", "link", "set", "inside", "down")
    try:
        await asyncio.sleep(dice.uniform(0.3, 3.0))
    finally:
        _run(*deployment.prefix, "ip", "link", "set", "inside", "up")


async def delay_packets(deployment: Deployment, dice: random.Random) -> None:
    """Every packet to the server and within it is held up, and some overtake others."""
    command = [*deployment.prefix, sys.executable, "-m", "tests.rounds.delay", "1"]
    holder = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        await asyncio.to_thread(holder.stdout.readline)
        for interface in ("inside", "lo"):
            _run(
                *deployment.prefix, "iptables", "-A", "INPUT", "-i", interface, "-p", "tcp",
                "-j", "NFQUEUE", "--queue-num", "1", "--queue-bypass",
            )  # fmt: skip
        await asyncio.sleep(dice.uniform(0.5, 2.5))
    finally:
        _run(*deployment.prefix, "iptables", "-F", "INPUT")
        await asyncio.sleep(2 * LONGEST_SECONDS)
        holder.kill()
        holder.wait()


def losing_power(disk: Losing) -> Fault:
    """The fault of a disk that forgets what was not synced."""

    async def lose_power(deployment: Deployment, dice: random.Random) -> None:
        await asyncio.to_thread(deployment.lose_power, disk.lose)

    return lose_power


def filling(disk: Filling) -> Fault:
    """The fault of a disk of the share, its chunks, the index and the bus that is full for a moment."""

    async def fill_disk(deployment: Deployment, dice: random.Random) -> None:
        """Once in three times a process is killed meanwhile: it has to start on a full disk."""
        disk.fill()
        try:
            if dice.random() < 1 / 3:
                deployment.kill(_sync(deployment, dice))
            await asyncio.sleep(dice.uniform(0.3, 3.0))
        finally:
            disk.free()
        if "nats" in deployment.members:  # as its health check does: it takes no writes any more
            deployment.kill_bus()

    return fill_disk


def faults_of(
    topology: str,
    *,
    has_network: bool = False,
    full: Filling | None = None,
    losing: Losing | None = None,
) -> dict[str, Fault]:
    """Return the faults that a deployment can have."""
    found: list[Fault] = [none, kill_sync, kill_sync, kill_bus, kill_both, stop_sync, stop_bus]
    if topology != "all":
        found.append(kill_edge)
    if full is not None:
        found += [filling(full)] * 4
    if has_network:
        found += [lose_packets, lose_packets, cut_link, cut_link, delay_packets, delay_packets]
    if losing is not None:
        found += [losing_power(losing)] * 4
    return {f"{fault.__name__}-{place}": fault for place, fault in enumerate(found)}
