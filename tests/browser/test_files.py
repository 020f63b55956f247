"""What a person does with files, by mouse."""

import io
import re
import zipfile
from pathlib import Path

from tests.browser.conftest import Watched, at, drag_in, eventually, put, row, shows

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "789c63f8cfc000000301010018dd8db00000000049454e44ae426082"
)


def test_a_folder_is_made_entered_and_left_by_its_breadcrumb(browser: Watched, folder: Path):
    page = browser.open(at(folder))
    page.get_by_text("Nothing here yet").wait_for()
    page.get_by_role("button", name="New folder").click()
    page.get_by_role("textbox", name="Name of the folder").fill("a/b")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("alert").get_by_text("A name cannot have any of").wait_for()
    page.get_by_role("textbox", name="Name of the folder").fill("plans")
    page.keyboard.press("Enter")
    shows(page, "plans")
    assert (folder / "plans").is_dir()
    page.get_by_role("link", name="plans").click()
    page.get_by_text("Nothing here yet").wait_for()
    assert page.evaluate("location.hash") == f"#/{folder.name}/plans"
    page.get_by_role("navigation", name="Folder").get_by_role("link", name=folder.name).click()
    shows(page, "plans")


def test_what_happens_on_the_disk_shows_at_once(browser: Watched, folder: Path):
    page = browser.open(at(folder))
    page.get_by_text("Nothing here yet").wait_for()
    (folder / "b.txt").write_text("one")
    (folder / "a 10.txt").write_text("ten")
    (folder / "a 9.txt").write_text("nine")
    shows(page, "a 9.txt", "a 10.txt", "b.txt")
    (folder / "b.txt").write_text("much longer than it was")
    eventually(lambda: "23" in row(page, "b.txt").locator(".size").inner_text())
    (folder / "a 9.txt").rename(folder / "z.txt")
    (folder / "a 10.txt").unlink()
    shows(page, "b.txt", "z.txt")
    eventually(lambda: re.match("(Moved|Deleted): ", page.locator("#announcer").inner_text()))


def test_files_and_folders_that_are_dropped_are_uploaded(
    browser: Watched, folder: Path, tmp_path: Path
):
    (tmp_path / "album/disc 1").mkdir(parents=True)
    (tmp_path / "album/disc 1/song.txt").write_text("la la")
    (tmp_path / "album/empty").mkdir()
    (tmp_path / "großes ü.bin").write_bytes(bytes(range(256)) * 20_000)
    page = browser.open(at(folder))
    page.get_by_text("Nothing here yet").wait_for()
    drag_in(page, tmp_path / "album", tmp_path / "großes ü.bin")
    page.get_by_role("heading", name="2 files uploaded").wait_for()
    shows(page, "album", "großes ü.bin")
    assert (folder / "album/disc 1/song.txt").read_text() == "la la"
    assert (folder / "album/empty").is_dir()
    assert (folder / "großes ü.bin").read_bytes() == (tmp_path / "großes ü.bin").read_bytes()
    page.get_by_role("button", name="Close the list of uploads").click()
    page.locator("#transfers").wait_for(state="hidden")


def test_an_upload_tells_how_far_it_is_and_can_be_ended(
    browser: Watched, folder: Path, tmp_path: Path
):
    (tmp_path / "film.bin").write_bytes(b"x" * 6_000_000)
    page = browser.open(at(folder))
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_500_000},
    )
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload", exact=True).click()
        page.get_by_role("menuitem", name="Files").click()
    chooser.value.set_files(tmp_path / "film.bin")
    facts = page.locator("#transfers .facts")
    eventually(lambda: "/s" in facts.inner_text() and "left" in facts.inner_text())
    bar = page.get_by_role("progressbar", name="Uploading film.bin")
    eventually(lambda: 0 < float(bar.get_attribute("value") or 0) < 1)
    page.get_by_role("button", name="Cancel film.bin").click()
    page.get_by_role("heading", name="Nothing uploaded").wait_for()
    assert list(folder.iterdir()) == []


def test_a_taken_name_is_asked_about(browser: Watched, folder: Path, tmp_path: Path):
    for name in ("one.txt", "two.txt", "three.txt"):
        (folder / name).write_text("old")
        (tmp_path / name).write_text("new")
    page = browser.open(at(folder))
    shows(page, "one.txt", "three.txt", "two.txt")
    drag_in(page, tmp_path / "one.txt")
    page.get_by_role("button", name="Keep both").click()
    shows(page, "one (2).txt", "one.txt", "three.txt", "two.txt")
    drag_in(page, tmp_path / "two.txt", tmp_path / "three.txt")
    page.get_by_label("Do the same for all others").check()
    page.get_by_role("button", name="Replace").click()
    eventually(lambda: (folder / "two.txt").read_text() == "new")
    eventually(lambda: (folder / "three.txt").read_text() == "new")
    assert (folder / "one.txt").read_text() == "old"


def test_an_upload_over_what_somebody_else_has_changed_meanwhile_asks(
    browser: Watched, folder: Path, tmp_path: Path
):
    browser.expect("412")
    (tmp_path / "plan.txt").write_text("mine")
    page = browser.open(at(folder))
    page.get_by_text("Nothing here yet").wait_for()
    # The page hears nothing, so it cannot know that the name is taken.
    page.evaluate("import('/app/session.js').then(({tree}) => { tree.apply = () => {}; })")
    put(page, f"{folder.name}/plan.txt", "theirs")
    drag_in(page, tmp_path / "plan.txt")
    page.get_by_role("heading", name="“plan.txt” is there already").wait_for()
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("heading", name="Nothing uploaded").wait_for()
    assert (folder / "plan.txt").read_text() == "theirs"


def test_rename_and_undo(browser: Watched, folder: Path):
    (folder / "draft.txt").write_text("x")
    page = browser.open(at(folder))
    row(page, "draft.txt").click(button="right")
    page.get_by_role("menuitem", name="Rename").click()
    field = page.get_by_role("textbox", name="New name")
    assert field.evaluate("(f) => f.value.slice(f.selectionStart, f.selectionEnd)") == "draft"
    page.keyboard.type("final")
    page.keyboard.press("Enter")
    shows(page, "final.txt")
    page.get_by_role("button", name="Undo").click()
    shows(page, "draft.txt")


def test_what_is_deleted_comes_back_with_undo_and_from_the_trash(browser: Watched, folder: Path):
    (folder / "box/inner").mkdir(parents=True)
    (folder / "box/inner/deep.txt").write_text("deep")
    (folder / "top.txt").write_text("top")
    page = browser.open(at(folder))
    shows(page, "box", "top.txt")
    page.get_by_role("checkbox", name="Select box").click()
    page.get_by_role("checkbox", name="Select top.txt").click()
    page.get_by_role("toolbar").get_by_role("button", name="Delete").click()
    page.get_by_text("Nothing here yet").wait_for()
    assert not (folder / "box").exists()
    page.get_by_role("button", name="Undo").click()
    shows(page, "box", "top.txt")
    eventually(lambda: (folder / "box/inner/deep.txt").read_text() == "deep")
    row(page, "top.txt").click(position={"x": 500, "y": 20})
    page.keyboard.press("Delete")
    shows(page, "box")
    page.get_by_role("link", name="Trash", exact=True).click()
    page.get_by_role("button", name=f"Restore {folder.name}/top.txt").click()
    eventually((folder / "top.txt").exists)


def test_entries_are_moved_by_drag_and_by_choosing_a_folder(browser: Watched, folder: Path):
    for name in ("in", "in/deeper"):
        (folder / name).mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")
    page = browser.open(at(folder))
    shows(page, "in", "a.txt", "b.txt")
    row(page, "a.txt").drag_to(row(page, "in"))
    shows(page, "in", "b.txt")
    eventually((folder / "in/a.txt").exists)
    row(page, "b.txt").click(position={"x": 500, "y": 20})
    page.get_by_role("button", name="Move").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="in", exact=True).click()
    dialog.get_by_role("button", name="deeper").click()
    page.get_by_role("button", name="Move here").click()
    shows(page, "in")
    page.get_by_text("Moved “b.txt” to “deeper”.").first.wait_for()
    assert (folder / "in/deeper/b.txt").exists()
    page.keyboard.press("Control+z")
    shows(page, "in", "b.txt")


def test_previews_of_images_and_text_with_neighbours_and_the_back_button(
    browser: Watched, folder: Path
):
    (folder / "a.png").write_bytes(PIXEL)
    (folder / "b.html").write_text("<script>alert(1)</script><b>not bold</b>")
    (folder / "c.bin").write_bytes(bytes(1000))
    page = browser.open(at(folder))
    page.get_by_role("link", name="a.png").click()
    image = page.locator("#preview img")
    eventually(lambda: image.evaluate("(i) => i.naturalWidth") == 1)
    page.keyboard.press("ArrowRight")
    page.locator("#preview pre", has_text="<script>alert(1)</script><b>not bold</b>").wait_for()
    (folder / "b.html").write_text("changed while it is looked at")
    page.locator("#preview pre", has_text="changed while").wait_for()
    page.get_by_role("button", name="Next file").click()
    page.get_by_text("This file is not text").wait_for()
    page.go_back()
    page.locator("#preview").wait_for(state="hidden")
    shows(page, "a.png", "b.html", "c.bin")


def test_downloads_one_file_as_it_is_and_several_as_an_archive(browser: Watched, folder: Path):
    (folder / "sub").mkdir()
    (folder / "sub/ä.txt").write_text("umlaut")
    (folder / "b.txt").write_text("bee")
    page = browser.open(at(folder))
    row(page, "b.txt").hover()
    with page.expect_download() as one:
        page.get_by_role("button", name="Download b.txt").click()
    assert one.value.suggested_filename == "b.txt"
    assert Path(one.value.path()).read_text() == "bee"
    page.locator("#grid").focus()
    page.keyboard.press("Control+a")
    with page.expect_download() as several:
        page.get_by_role("toolbar").get_by_role("button", name="Download").click()
    with zipfile.ZipFile(io.BytesIO(Path(several.value.path()).read_bytes())) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name).decode() for name in archive.namelist()}
    assert found == {"sub/ä.txt": "umlaut", "b.txt": "bee"}


def test_sorting_and_searching_below_a_folder(browser: Watched, folder: Path):
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/Needle one.txt").write_text("1")
    (folder / "needle two.txt").write_text("22")
    (folder / "hay.txt").write_text("333")
    page = browser.open(at(folder))
    shows(page, "deep", "hay.txt", "needle two.txt")
    page.get_by_role("button", name="Size").click()
    shows(page, "deep", "needle two.txt", "hay.txt")
    page.get_by_role("button", name="Size").click()
    shows(page, "deep", "hay.txt", "needle two.txt")
    assert page.get_by_role("columnheader", name="Size").get_attribute("aria-sort") == "descending"
    page.get_by_role("searchbox").fill("NEEDLE")
    shows(page, "needle two.txt", "Needle one.txt")
    (folder / "deep/needle three.txt").write_text("55555")
    shows(page, "needle three.txt", "needle two.txt", "Needle one.txt")
    page.get_by_role("searchbox").fill("")
    shows(page, "deep", "hay.txt", "needle two.txt")


def test_versions_are_looked_at_and_restored(browser: Watched, folder: Path):
    page = browser.open(at(folder))
    for text in ("first", "second, longer"):
        put(page, f"{folder.name}/notes.txt", text)
    row(page, "notes.txt").click(button="right")
    page.get_by_role("menuitem", name="Versions").click()
    versions = page.locator(".versions li")
    eventually(lambda: versions.count() == 2)
    versions.nth(1).get_by_role("button", name="View").click()
    page.locator(".seen pre", has_text="first").wait_for()
    versions.nth(1).get_by_role("button", name="Restore").click()
    eventually(lambda: (folder / "notes.txt").read_text() == "first")


def test_a_conflict_is_shown_and_settled(browser: Watched, folder: Path):
    copy = "menu (conflict of laptop-anna, 2026-01-15 10.30.00).txt"
    (folder / "menu.txt").write_text("soup")
    (folder / copy).write_text("soup and cake")
    page = browser.open(at(folder))
    shows(page, copy, "menu.txt")
    page.locator("#view-conflicts").click()
    page.get_by_role("button", name="Compare menu").click()
    page.get_by_role("region", name="Current").get_by_text("soup").wait_for()
    page.get_by_role("region", name="By laptop-anna").get_by_text("soup and cake").wait_for()
    page.get_by_role("button", name="Use the one by laptop-anna").click()
    eventually(lambda: (folder / "menu.txt").read_text() == "soup and cake")
    eventually(lambda: not (folder / copy).exists())


def test_a_share_that_takes_nothing_offers_nothing(browser: Watched):
    page = browser.open(port=browser.shares.read_only)
    (browser.shares.root / "read_only/a.txt").write_text("a")
    shows(page, "a.txt")
    assert page.get_by_role("button", name="Upload", exact=True).count() == 0
    row(page, "a.txt").click(button="right")
    assert page.get_by_role("menuitem", name="Rename").count() == 0
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    shows(page, "a.txt")
