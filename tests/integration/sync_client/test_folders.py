"""What `quantum sync` does with folders: copies, conflicts, renames, guards, patterns, modes."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from tests.integration.sync_client.conftest import ROOT, both, contents, fill

pytestmark = [pytest.mark.slow]
FILES = 400


def test_hundreds_of_files_are_copied_up_and_down_and_a_second_run_does_nothing(clients):
    one, two = clients.make("first-one"), clients.make("first-two")
    fill(one, FILES)
    begun = time.monotonic()
    up = clients.once(one)
    middle = time.monotonic()
    down = clients.once(two)
    ended = time.monotonic()
    assert (up.returncode, down.returncode) == (0, 0), up.stderr + down.stderr
    assert both(clients, one, two)
    assert len(contents(two)) >= FILES
    again = clients.once(two)
    assert (again.returncode, again.stderr) == (0, "")
    print(f"{FILES} files up {middle - begun:.2f} s, down {ended - middle:.2f} s")
    assert ended - begun < 60


def test_two_edits_made_apart_are_both_kept(clients):
    one, two = clients.make("apart-one"), clients.make("apart-two")
    (one / "plan.md").write_text("base")
    assert clients.once(one).returncode == clients.once(two).returncode == 0
    (one / "plan.md").write_text("from one")
    (two / "plan.md").write_text("from two")
    clients.once(one)
    told = clients.once(two)
    clients.once(one)
    assert both(clients, one, two)
    copies = list(one.glob("plan (conflict of apart-two, *).md"))
    assert [copy.read_text() for copy in copies] == ["from two"]
    assert (one / "plan.md").read_text() == "from one"
    assert "conflict copy: plan (conflict of" in told.stderr
    command = [
        sys.executable,
        "-m",
        "services",
        "sync",
        "conflicts",
        "--local-path",
        str(two),
        "--json",
    ]
    listed = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout)
    assert listed[0]["path"] == "plan.md"
    assert "both sides" in listed[0]["rule"]


def test_the_past_is_told_in_lines_and_comes_back_by_its_number(clients):
    one = clients.make("past-one")
    for text in ("first", "and second"):
        (one / "past.md").write_text(text)
        done = clients.once(one)
    assert (done.returncode, done.stderr) == (0, "synced: 1 step\n")

    def ask(question, *flags):
        command = [sys.executable, "-m", "services", "sync", question, *flags]
        folder = ["--local-path", str(one)]
        return subprocess.run(
            [*command, *folder], capture_output=True, text=True, check=False, cwd=ROOT
        )

    newest, oldest = ask("history", "past.md").stdout.splitlines()
    seq, _, kind, size, *_ = oldest.split()
    assert (kind, size, newest.split()[2:4]) == ("Create", "5", ["Update", "10"])
    again = [ask("restore", "past.md", "--seq", seq) for _ in range(2)]
    assert [(done.returncode, done.stdout) for done in again] == [
        (
            0,
            f"update: past.md\nrestored on the server: {one} follows at its next sync\n",
        ),
        (0, "nothing to restore: past.md is as it was then\n"),
    ]
    nothing = ask("history", "never.md")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "no version of never.md is known" in nothing.stderr


def test_a_renamed_folder_is_one_step(clients):
    one = clients.make("renamed-one")
    fill(one, 60)
    assert clients.once(one).returncode == 0
    (one / "d3").rename(one / "elsewhere")
    told = clients.once(one, "--verbose")
    assert "1 steps to do" in told.stderr, told.stderr
    assert "move on the server: d3 -> elsewhere" in told.stderr
    assert both(clients, one)


def test_a_mass_deletion_waits_for_a_yes_and_an_empty_mount_is_none(clients):
    one = clients.make("guard-one")
    fill(one, 24)
    assert clients.once(one).returncode == 0
    before = contents(clients.share)
    store = one / ".quantum"
    store.rename(clients.folder / "guard-store")
    kept = clients.folder / "guard-kept"
    one.rename(kept)
    one.mkdir()
    (clients.folder / "guard-store").rename(store)
    (store / "marker").unlink()  # what an empty mount with a remembered state looks like
    lost = clients.once(one)
    assert lost.returncode == 6, lost.stderr
    assert "marker" in lost.stderr
    shutil.rmtree(one)
    kept.rename(one)
    assert contents(clients.share) == before


def test_deleting_most_files_is_held_until_it_is_confirmed(clients):
    one = clients.make("mass-one")
    assert clients.once(one).returncode == 0
    fill(one, 24)
    assert clients.once(one).returncode == 0
    before = contents(clients.share)
    for path in sorted(one.iterdir()):
        if path.name != ".quantum":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    held = clients.once(one)
    assert held.returncode == 5, held.stderr
    assert "--confirm-deletes" in held.stderr
    assert contents(clients.share) == before
    assert clients.once(one, "--confirm-deletes").returncode == 0
    assert contents(clients.share) == {}


def test_patterns_links_and_modes(clients):
    one, two = clients.make("modes-one"), clients.make("modes-two")
    (one / "keep.txt").write_text("x")
    (one / "drop.tmp").write_text("x")
    (one / "node_modules").mkdir()
    (one / "node_modules" / "m.js").write_text("x")
    (one / "link").symlink_to("/etc/passwd")
    (one / "9:30.txt").write_text("x")
    told = clients.once(one, "--exclude", "*.tmp", "--exclude", "node_modules/")
    assert told.returncode == 4
    said = "".join(told.stderr.split())  # wrapped to the width of the terminal
    for remedy in (
        "put a copy in its place, or exclude it",
        "9:30.txt: the character ':' is not allowed: rename it, or exclude it",
    ):
        assert remedy.replace(" ", "") in said
    assert "link: a symbolic link" in told.stderr
    assert not (clients.share / "drop.tmp").exists()
    assert not (clients.share / "node_modules").exists()
    assert (clients.share / "keep.txt").exists()
    (two / "mine.txt").write_text("mine")
    assert clients.once(two, "--pull").returncode == 0
    assert (two / "keep.txt").exists()
    assert not (clients.share / "mine.txt").exists()
    planned = clients.once(two, "--dry-run")
    assert "upload: mine.txt" in planned.stdout
    assert not (clients.share / "mine.txt").exists()
    assert clients.once(two, "--mirror").returncode == 0
    assert not (two / "mine.txt").exists()
    assert [p.read_text() for p in (two / ".quantum" / "trash").rglob("mine.txt")] == ["mine"]


def test_other_patterns_delete_nothing_and_bring_what_they_let_in(clients):
    one, two = clients.make("patterns-one"), clients.make("patterns-two")
    (one / "kept.txt").write_text("kept")
    (one / "later.bin").write_text("later")
    assert clients.once(one).returncode == 0
    assert clients.once(two, "--include", "kept.txt").returncode == 0
    assert not (two / "later.bin").exists()
    assert clients.once(two).returncode == 0
    assert (two / "later.bin").read_text() == "later"
    assert clients.once(two, "--exclude", "*.bin").returncode == 0
    assert (two / "later.bin").exists()
    assert (clients.share / "later.bin").read_text() == "later"
