"""Network namespaces: a machine of its own for some processes, and a cable that can be cut (root)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Apart:
    """A namespace with one link to this one."""

    name: str
    here: str
    """Our address on the link."""
    there: str
    """The namespace's address."""

    @property
    def prefix(self) -> list[str]:
        """What a command begins with to run there."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *command: str) -> None:
        """Run a command there; CalledProcessError."""
        subprocess.run([*self.prefix, *command], check=True, capture_output=True)  # noqa: S603

    def cut(self) -> None:
        """Let nothing through: packets vanish, nobody is told."""
        for chain in ("INPUT", "OUTPUT"):
            self.run(
                "iptables", "-A", chain, "!", "-i" if chain == "INPUT" else "-o", "lo", "-j", "DROP"
            )

    def cut_from(self, port: int) -> None:
        """Let nothing through to a TCP port of ours."""
        self.run("iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")
        self.run("iptables", "-A", "INPUT", "-p", "tcp", "--sport", str(port), "-j", "DROP")

    def mend(self) -> None:
        """Let everything through again."""
        self.run("iptables", "-F")


@contextmanager
def apart() -> Iterator[Apart]:
    """Make a namespace named for this process, and remove it."""
    pid = os.getpid()
    net = f"10.{64 + (pid >> 8) % 64}.{pid % 256}"  # two runs at once must not meet
    namespace = Apart(f"quantum-{pid}", f"{net}.1", f"{net}.2")
    outside = f"q{pid}"
    commands = [
        f"ip netns add {namespace.name}",
        f"ip link add {outside} type veth peer name inside netns {namespace.name}",
        f"ip addr add {namespace.here}/24 dev {outside}",
        f"ip link set {outside} up",
        f"ip -n {namespace.name} addr add {namespace.there}/24 dev inside",
        f"ip -n {namespace.name} link set inside up",
        f"ip -n {namespace.name} link set lo up",
    ]
    try:
        for command in commands:
            subprocess.run(command.split(), check=True, capture_output=True)  # noqa: S603
        yield namespace
    finally:
        remove = ["ip", "netns", "del", namespace.name]
        subprocess.run(remove, check=False, capture_output=True)  # noqa: S603
