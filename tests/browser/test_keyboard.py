"""Everything without a mouse."""

from pathlib import Path

from tests.browser.conftest import Watched, at, eventually, shows


def test_a_folder_is_worked_on_by_keys_alone(browser: Watched, folder: Path):
    for number in range(1, 41):
        (folder / f"file {number}.txt").write_text(str(number))
    (folder / "sub").mkdir()
    (folder / "sub/inside.txt").write_text("in")
    page = browser.open(at(folder))
    press = page.keyboard.press
    active = "document.querySelector('.row.active .line a')?.textContent"
    selected = "document.querySelectorAll('.row.selected').length"
    while page.evaluate("document.activeElement.id") != "grid":
        press("Tab")
    eventually(lambda: page.evaluate(active) == "sub")
    descendant = page.locator("#grid").get_attribute("aria-activedescendant")
    assert page.locator(f"#{descendant}").get_attribute("data-path") == f"{folder.name}/sub"
    press("Enter")
    shows(page, "inside.txt")
    press("Backspace")
    eventually(lambda: page.evaluate(active) == "sub")  # where one came from
    press("ArrowDown")
    for _ in range(3):
        press("Shift+ArrowDown")
    page.get_by_text("4 items, 4 B selected").wait_for()
    press("End")
    eventually(lambda: page.evaluate(active) == "file 40.txt")
    assert page.evaluate(selected) == 1
    press("Home")
    page.keyboard.type("file 21")
    eventually(lambda: page.evaluate(active) == "file 21.txt")
    press("Control+a")
    page.get_by_text("41 items").wait_for()
    press("Escape")
    eventually(lambda: page.evaluate(selected) == 0)

    press("F2")
    page.keyboard.type("renamed")
    press("Enter")
    eventually(lambda: page.evaluate(active) == "renamed.txt")
    press("Delete")
    page.get_by_text("Deleted “renamed.txt”.").first.wait_for()
    assert not (folder / "renamed.txt").exists()
    press("Control+z")
    eventually((folder / "renamed.txt").exists)

    press("/")
    page.keyboard.type("insi")
    shows(page, "inside.txt")
    press("Enter")
    press("Enter")
    page.locator("#preview pre", has_text="in").wait_for()
    press("Escape")
    page.locator("#preview").wait_for(state="hidden")
    press("Shift+F10")
    page.get_by_role("menu", name="Actions for inside.txt").wait_for()
    press("ArrowUp")
    assert page.evaluate("document.activeElement.textContent") == "Delete"
    press("Escape")
    assert page.evaluate("document.activeElement.id") == "grid"
    press("?")
    page.get_by_role("heading", name="Keys").wait_for()
    press("Escape")
