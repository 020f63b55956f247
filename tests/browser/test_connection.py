"""Lost connections, restarts, tokens."""

from pathlib import Path

from tests.browser.conftest import DESKTOP, Watched, at, eventually, row, shows

LARGE = 12_000_000
"""Bytes: above what is sent in one piece (8 MiB)."""

LINE = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 4_000_000}


def test_a_killed_server_is_found_again_nothing_is_missed_and_an_upload_goes_on(
    browser: Watched, folder: Path, tmp_path: Path
):
    browser.expect("ERR_CONNECTION|ERR_EMPTY|WebSocket connection|Failed to load resource")
    content = bytes(range(256)) * (LARGE // 256)
    (tmp_path / "film.bin").write_bytes(content)
    (folder / "before.txt").write_text("1")
    page = browser.open(at(folder))
    shows(page, "before.txt")
    offsets: list[int] = []
    page.on(
        "request", lambda r: offsets.extend(int(o) for o in [r.headers.get("upload-offset")] if o)
    )
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", LINE)
    page.locator("#pick-files").set_input_files(tmp_path / "film.bin")
    bar = page.get_by_role("progressbar", name="Uploading film.bin")
    eventually(lambda: float(bar.get_attribute("value") or 0) > 0.3)
    deployment = browser.shares.deployment
    deployment.kill("quantum")
    page.wait_for_selector('#connection[data-state="offline"]')
    (folder / "meanwhile.txt").write_text("2")
    (folder / "before.txt").unlink()
    session.send("Network.emulateNetworkConditions", {**LINE, "uploadThroughput": -1})
    deployment.wait_ready()
    page.get_by_role("button", name="Connection").click()  # now rather than when the pause is over
    page.wait_for_selector('#connection[data-state="live"]', timeout=20_000)
    page.get_by_role("heading", name="1 file uploaded").wait_for(timeout=20_000)
    shows(page, "film.bin", "meanwhile.txt")
    assert (folder / "film.bin").read_bytes() == content
    assert offsets[0] == 0
    assert 0 < offsets[-1] < LARGE  # what had arrived was not sent again
    assert page.evaluate("Object.keys(sessionStorage)") == []


def test_a_share_with_tokens_asks_for_one_and_keeps_it_in_the_tab_alone(browser: Watched):
    browser.expect("401")
    shares = browser.shares
    place = shares.root / "locked"
    (place / "secret.txt").write_text("hidden")
    (place / "picture.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>'
    )
    page = browser.blank(**DESKTOP)
    page.goto(f"http://127.0.0.1:{shares.locked}/")
    field = page.get_by_label("Token", exact=True)
    field.fill("qs1.bm8.bm8")
    page.get_by_role("button", name="Unlock").click()
    page.get_by_text("The token was refused").wait_for()
    field.fill(shares.token(write=True))
    page.keyboard.press("Enter")
    shows(page, "picture.svg", "secret.txt")
    page.get_by_role("link", name="secret.txt").click()
    page.locator("#preview pre", has_text="hidden").wait_for()
    page.keyboard.press("ArrowLeft")
    image = page.locator("#preview img")
    eventually(lambda: image.evaluate("(i) => i.naturalWidth") == 7)
    page.keyboard.press("Escape")
    row(page, "secret.txt").hover()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download secret.txt").click()
    assert Path(download.value.path()).read_text() == "hidden"
    page.reload()
    shows(page, "picture.svg", "secret.txt")
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("document.cookie") == ""


def test_a_token_that_only_reads_sees_no_button_that_writes(browser: Watched):
    browser.expect("401")
    shares = browser.shares
    (shares.root / "locked/docs").mkdir(exist_ok=True)
    (shares.root / "locked/docs/open.txt").write_text("open")
    page = browser.blank(**DESKTOP)
    page.goto(f"http://127.0.0.1:{shares.locked}/#/docs")
    page.get_by_label("Token", exact=True).fill(shares.token(paths=["docs/**", "docs"]))
    page.get_by_role("button", name="Unlock").click()
    shows(page, "open.txt")
    assert page.get_by_role("button", name="Upload", exact=True).count() == 0
