"""Packs: small chunks that came together, and what becomes of them."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from services.sync.content import packs as packs_module
from services.sync.content.directory import ABANDONED, ChunkDirectory
from services.sync.content.packs import PACK, Packs


def contents(count: int, of: str = "") -> dict[str, bytes]:
    made = (f"{of}content {number}".encode() for number in range(count))
    return {hashlib.sha256(data).hexdigest(): data for data in made}


def files_of(root: Path) -> list[Path]:
    return sorted((root / "packs").iterdir())


def grow_old(path: Path) -> None:
    then = time.time() - ABANDONED - 60
    os.utime(path, (then, then))


@pytest.fixture
def directory(tmp_path: Path) -> ChunkDirectory:
    return ChunkDirectory(str(tmp_path))


def test_contents_that_come_together_are_one_file(
    directory: ChunkDirectory, tmp_path: Path
) -> None:
    made = contents(100)
    fresh: list[str] = []
    manifests = directory.add_all(list(made.items()), fresh)
    assert [str(path) for path in files_of(tmp_path)] == fresh
    assert not (tmp_path / "chunks").exists()
    for manifest, (name, data) in zip(manifests, made.items(), strict=True):
        assert manifest.chunks == ((name, len(data)),)
        assert directory.has(name)
        assert directory.chunk(name) == data


def test_what_is_in_a_pack_is_not_written_again(directory: ChunkDirectory, tmp_path: Path) -> None:
    made = contents(100)
    directory.add_all(list(made.items()), [])
    fresh: list[str] = []
    directory.add_all(list(made.items()), fresh)
    (pack,) = files_of(tmp_path)
    assert set(fresh) == {str(pack)}, "it may not be durable yet, so it is synced with this group"
    assert directory.saved == sum(map(len, made.values()))


def test_another_process_finds_what_was_packed_after_it_looked(tmp_path: Path) -> None:
    one, other = ChunkDirectory(str(tmp_path)), ChunkDirectory(str(tmp_path))
    for part in ("a", "b", "c"):
        made = contents(50, part)
        assert not any(other.has(name) for name in made)
        one.add_all(list(made.items()), [])
        assert {name: other.chunk(name) for name in made} == made
        assert all(other.has(name) for name in made)


def test_a_hash_that_only_begins_like_another_one_is_not_taken_for_it(tmp_path: Path) -> None:
    packs = Packs(str(tmp_path))
    (name,) = contents(1)
    alike = name[:16] + "0" * 48
    packs.add({name: b"content 0"})
    assert packs.path_of(alike) is None
    assert packs.read(alike) is None


def test_bytes_that_a_power_cut_spoiled_are_not_read_and_come_again(
    directory: ChunkDirectory, tmp_path: Path
) -> None:
    made = contents(100)
    directory.add_all(list(made.items()), [])
    (pack,) = files_of(tmp_path)
    last = pack.read_bytes()[-1:]
    with pack.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    (spoiled,) = [name for name in made if directory.chunk(name) is None]
    assert not directory.has(spoiled)
    directory.add_all(list(made.items()), [])
    assert directory.chunk(spoiled) == made[spoiled]
    again = ChunkDirectory(str(tmp_path))
    assert again.chunk(spoiled) == made[spoiled]


@pytest.mark.parametrize("size", [0, 7, 16, 200])
def test_a_pack_that_was_cut_off_holds_nothing_and_is_removed_when_it_is_old(
    tmp_path: Path, size: int
) -> None:
    made = contents(100)
    ChunkDirectory(str(tmp_path)).add_all(list(made.items()), [])
    (pack,) = files_of(tmp_path)
    os.truncate(pack, size)
    directory = ChunkDirectory(str(tmp_path))
    assert not any(directory.has(name) for name in made)
    directory.sweep(made)
    assert pack.exists(), "somebody may be writing it"
    grow_old(pack)
    directory.sweep(made)
    assert not pack.exists()


def test_many_small_packs_become_one_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs_module, "MERGED_FROM", 5)
    packs, reader = Packs(str(tmp_path)), Packs(str(tmp_path))
    made = {}
    for part in range(5):
        assert not packs.merge()
        part_of = contents(20, f"{part}/")
        packs.add(part_of)
        made |= part_of
    reader.refresh()
    assert packs.merge()
    assert len([path for path in tmp_path.iterdir() if path.suffix == PACK]) == 1
    assert {name: packs.read(name) for name in made} == made
    assert reader.refresh(), "who knew the old ones hears of it"
    assert {name: reader.read(name) for name in made} == made


def test_a_sweep_writes_a_pack_anew_without_what_nobody_needs(
    directory: ChunkDirectory, tmp_path: Path
) -> None:
    made = contents(100)
    directory.add_all(list(made.items()), [])
    (pack,) = files_of(tmp_path)
    needed = list(made)[:50]
    assert directory.sweep(needed) == 0
    assert pack.exists(), "an upload that is under way may need any of it"
    grow_old(pack)
    assert directory.sweep(needed) > 0
    assert not pack.exists()
    assert [name for name in made if directory.chunk(name) is not None] == needed
    (rest,) = files_of(tmp_path)
    grow_old(rest)
    directory.sweep([])
    assert files_of(tmp_path) == []
