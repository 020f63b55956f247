"""A log in a file: nothing is lost when it is rolled, whoever writes and rolls it."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from quantum.telemetry import rolling
from quantum.telemetry.rolling import AS_PARENT, FileSettings, RollingFile
from quantum.telemetry.schedule import Schedule

PATIENCE = 20.0


@pytest.fixture
def quick(monkeypatch):
    """Let what others do to the file be noticed at once."""
    monkeypatch.setattr(rolling, "NOTICED_AFTER", 0.01)


def eventually(question):
    deadline = time.monotonic() + PATIENCE
    while not question():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.01)


def contents(folder):
    """Return the lines of all files of a log."""
    lines = []
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        data = path.read_bytes()
        lines += (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()
    return lines


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_private_and_so_is_its_folder(tmp_path):
    log = RollingFile(FileSettings(tmp_path / "logs" / "a.log", mode=0o640))
    log.write("hellö")
    log.close()
    assert (tmp_path / "logs" / "a.log").read_text() == "hellö\n"
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs" / "a.log").stat().st_mode & 0o137 == 0


def test_a_log_that_is_opened_again_goes_on(tmp_path):
    for line in ("one", "two"):
        log = RollingFile(FileSettings(tmp_path / "a.log"))
        log.write(line)
        log.close()
    assert (tmp_path / "a.log").read_text() == "one\ntwo\n"


def test_a_large_file_is_rolled_packed_and_the_oldest_go(tmp_path, quick):
    log = RollingFile(FileSettings(tmp_path / "a.log", max_bytes=100, keep=2))
    for number in range(40):
        log.write(f"{number:02d} " + "x" * 20)
    assert (tmp_path / "a.log").stat().st_size <= 100

    def is_tidy():
        log._tidy()
        names = [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")]
        return len(names) == 3 and all(
            n.startswith("a-20") and n.endswith(".log.gz") for n in names if n != "a.log"
        )

    eventually(is_tidy)
    log.close()


def test_rolling_keeps_every_line_and_leaks_no_descriptor(tmp_path, quick):
    before = open_files()
    log = RollingFile(FileSettings(tmp_path / "a.log", max_bytes=1000, compress=False))
    for number in range(500):
        log.write(f"line {number}")
    assert sorted(contents(tmp_path)) == sorted(f"line {number}" for number in range(500))
    log.close()
    eventually(lambda: open_files() <= before)  # the threads that tidy up hold a lock for a moment


def test_a_file_that_logrotate_moved_away_is_opened_anew(tmp_path, quick):
    log = RollingFile(FileSettings(tmp_path / "a.log"))
    log.write("before")
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")

    def goes_on():
        log.write("after")
        return (tmp_path / "a.log").exists()

    eventually(goes_on)
    assert "before" in (tmp_path / "a.log.1").read_text()
    log.close()


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path):
    log = RollingFile(FileSettings(tmp_path / "a.log"))
    log._open = lambda: None
    os.dup2(os.open("/dev/full", os.O_WRONLY), log._descriptor)
    log._looked = time.monotonic() + 60
    log.write("lost")
    assert log.dropped == 1
    log.close()


def test_a_folder_that_cannot_be_made_is_an_error_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        RollingFile(FileSettings(tmp_path / "file" / "a.log"))


def _write_many(path, who):
    log = RollingFile(FileSettings(path, max_bytes=5000, compress=False))
    for number in range(1000):
        log.write(f"{who} {number}")
    assert log.dropped == 0


def test_processes_that_share_a_file_lose_no_line_when_one_rolls_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path / "a.log", who)) for who in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    expected = sorted(f"{who} {number}" for who in "abc" for number in range(1000))
    assert sorted(contents(tmp_path)) == expected


def test_a_file_whose_time_has_come_is_rolled_by_the_next_line(tmp_path, quick):
    settings = FileSettings(
        tmp_path / "a.log",
        compress=False,
        schedule=Schedule(interval=3600),
        format_time=lambda moment: f"{moment:%Y}",
    )
    log = RollingFile(settings)
    log.write("old")
    eventually(lambda: _looked(log) and (tmp_path / ".a.log.lock").exists())
    os.utime(tmp_path / ".a.log.lock", (0, 0))  # it began long ago
    eventually(lambda: _looked(log) and len(list(tmp_path.glob("a-*-time.log"))) == 1)
    log.close()
    (rolled,) = tmp_path.glob("a-*-time.log")
    assert rolled.read_text().startswith("old\n")
    assert "old" not in (tmp_path / "a.log").read_text()


def _looked(log):
    """Write one more line when it looks at the name again."""
    time.sleep(0.02)
    log.write("more")
    return True


def test_stamps_that_are_the_same_are_numbered(tmp_path):
    settings = FileSettings(
        tmp_path / "a.log", max_bytes=4, compress=False, format_time=lambda _: "day"
    )
    log = RollingFile(settings)
    for line in ("one", "two", "six"):
        log.write(line)
    log.close()
    assert {path.name for path in tmp_path.glob("a-*")} == {"a-day-size.log", "a-day.2-size.log"}


def test_a_folder_gets_the_mode_that_was_asked_for(tmp_path):
    (tmp_path / "open").mkdir(mode=0o750)
    for name, mode, made in (("a", 0o750, 0o750), ("open/b", AS_PARENT, 0o750)):
        RollingFile(FileSettings(tmp_path / name / "x" / "a.log", folder_mode=mode)).close()
        assert (tmp_path / name / "x").stat().st_mode & 0o777 == made
