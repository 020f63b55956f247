"""The jobs: a first copy of small files, an edited byte, a renamed folder, one saved file."""

import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench.sync.meters import wait_until, wire_bytes
from bench.sync.pairs import Pair

FILES, FOLDERS = 10_000, 100
LARGE = 1 << 30
SAVES = 100
SAVE_PAUSE = 0.1

Figures = dict[str, float]


def measured(pair: Pair, change: Callable[[], object], is_done: Callable[[], bool]) -> Figures:
    """Make a change, let the pair sync, wait until it is there; return seconds, bytes, peak memory."""
    os.sync()
    pair.forget()
    before = wire_bytes()
    change()
    begun = time.monotonic()
    pair.sync()
    wait_until(is_done, step=0.02)
    seconds = time.monotonic() - begun
    return {
        "seconds": seconds,
        "megabytes": (wire_bytes() - before) / 1e6,
        "peak_mb": pair.memory() / 1e6,
    }


def make_files(root: Path, seed: int) -> None:
    """Make 10,000 files of 100 to 4,000 bytes in 100 folders."""
    dice = random.Random(seed)
    for number in range(FOLDERS):
        (root / f"d{number:02}").mkdir(parents=True)
    for number in range(FILES):
        data = dice.randbytes(dice.randint(100, 4000))
        (root / f"d{number % FOLDERS:02}" / f"f{number}.txt").write_bytes(data)


def count(root: Path) -> int:
    """Return how many of the files have their names; temporary ones have others."""
    found = 0
    for _, _, names in os.walk(root):
        found += sum(name.startswith("f") and name.endswith(".txt") for name in names)
    return found


def has_all(root: Path) -> Callable[[], bool]:
    last = 0.0

    def question() -> bool:
        nonlocal last
        if time.monotonic() - last < 0.2:  # counting must not slow down what is counted
            return False
        found = root.is_dir() and count(root) == FILES
        last = time.monotonic()
        return found

    return question


def first_copy(pair: Pair) -> Figures:
    make_files(pair.scratch / "made", 1)
    return measured(
        pair, lambda: (pair.scratch / "made").rename(pair.one / "many"), has_all(pair.two / "many")
    )


def rename(pair: Pair) -> Figures:
    if not (pair.two / "many").exists():
        first_copy(pair)
        time.sleep(1)

    def is_done() -> bool:
        return not (pair.two / "many").exists() and has_all(pair.two / "renamed")()

    return measured(pair, lambda: (pair.one / "many").rename(pair.one / "renamed"), is_done)


def edit(pair: Pair) -> Figures:
    """Change a byte in the middle of a gibibyte of random bytes; its first copy is measured as well."""
    made, source, target = pair.scratch / "large", pair.one / "large", pair.two / "large"
    with made.open("wb") as file:
        for _ in range(LARGE >> 20):
            file.write(os.urandom(1 << 20))

    def is_there() -> bool:
        return target.exists() and target.stat().st_size == LARGE

    copy = measured(pair, lambda: made.rename(source), is_there)
    time.sleep(2)
    with target.open("rb") as file:
        file.seek(LARGE // 2)
        wanted = bytes([file.read(1)[0] ^ 0xFF])

    def change() -> None:
        with source.open("r+b") as file:
            file.seek(LARGE // 2)
            file.write(wanted)

    def is_done() -> bool:
        try:
            with target.open("rb") as file:
                file.seek(LARGE // 2)
                return file.read(1) == wanted
        except FileNotFoundError:  # some take the old one away first
            return False

    found = measured(pair, change, is_done)
    return {**found, "copy_seconds": copy["seconds"], "copy_peak_mb": copy["peak_mb"]}


def save(pair: Pair) -> Figures:
    """Save 4 KiB and wait until they are on the other side, again and again."""
    count = SAVES if pair.is_live else 5
    times = []
    for number in range(count + 3):
        data = os.urandom(4096)
        target = pair.two / f"s{number}"
        begun = time.monotonic()
        (pair.one / f"s{number}").write_bytes(data)
        tell = getattr(pair, "sync_file", None)
        tell(f"s{number}") if tell else pair.sync()
        wait_until(lambda: target.exists() and target.read_bytes() == data, 30, 0.0005)  # noqa: B023
        times.append(time.monotonic() - begun)
        time.sleep(SAVE_PAUSE)
    times = sorted(times[3:])
    return {
        "p50_ms": statistics.median(times) * 1e3,
        "p99_ms": times[min(len(times) - 1, int(len(times) * 0.99))] * 1e3,
        "peak_mb": pair.memory() / 1e6,
    }


JOBS: dict[str, Callable[[Pair], Figures]] = {
    "first": first_copy, "rename": rename, "edit": edit, "save": save
}  # fmt: skip
