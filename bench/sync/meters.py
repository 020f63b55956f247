"""What is measured: bytes on the loopback of an own network namespace, peak memory, time until it is there."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

INSIDE = "BENCH_SYNC_INSIDE"
"""Set in the process that runs in its own network namespace."""


def enter_own_network() -> None:
    """Run this program again where nobody else's bytes are counted; needs root, and is left out without."""
    if os.environ.get(INSIDE) or os.geteuid() != 0:
        return
    command = ["unshare", "--net", sys.executable, "-m", "bench.sync", *sys.argv[1:]]
    os.execvpe(command[0], command, {**os.environ, INSIDE: "yes"})


def raise_loopback() -> None:
    if os.environ.get(INSIDE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def wire_bytes() -> int:
    """Return what the loopback has carried, headers and acknowledgements included."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            return int(rest.split()[8])
    return 0


def family(pid: int) -> list[int]:
    """Return a process and all below it, whichever of its threads started them (Go's: any)."""
    try:
        listed = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [pid, *(p for text in listed for child in text.split() for p in family(int(child)))]


def peak_memory(pids: list[int]) -> int:
    """Return the sum of the peak resident sizes of processes so far."""
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) * 1024
    return total


def forget_peaks(pids: list[int]) -> None:
    for pid in pids:
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError:
            continue


def wait_until(question: Callable[[], bool], seconds: float = 200.0, step: float = 0.001) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            raise TimeoutError("not there in time")
        time.sleep(step)
