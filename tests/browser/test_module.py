"""quantum-sync.js in pages that are not ours, and the specification's own page."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.browser.conftest import Watched, at, eventually, shows
from tests.browser.specification import paste


def test_the_specification_s_browser_client_works_as_it_is_written(browser: Watched, folder: Path):
    page = browser.blank()
    said = paste(page)
    (folder / "new.txt").write_text("fresh")
    eventually(lambda: page.evaluate("1") and said)
    assert said[0].text.startswith("File changed:")
    operation = said[0].args[1].json_value()
    assert operation["Create"]["metadata"] == {
        "path": f"{folder.name}/new.txt",
        "size": 5,
        "hash": hashlib.sha256(b"fresh").hexdigest(),
        "modified": operation["Create"]["metadata"]["modified"],
        "is_directory": False,
    }


def test_another_page_lists_writes_hears_and_resumes(browser: Watched, folder: Path):
    browser.expect("412")
    page = browser.blank()
    page.goto(f"http://127.0.0.1:{browser.shares.open}/plain.html")
    result = page.evaluate(
        """async (folder) => {
          const { QuantumSync, SyncError } = await import("/quantum-sync.js");
          const heard = [], states = [];
          const share = new QuantumSync({ clientId: "page-1", paths: [folder + "/**"] });
          share.addEventListener("change", ({ detail }) => heard.push([detail.kind, detail.path.slice(folder.length + 1), detail.isOwn]));
          share.addEventListener("state", ({ detail }) => states.push(detail.state));
          const until = (question) => new Promise((done) => { const look = () => question() ? done() : setTimeout(look, 20); look(); });
          share.connect();
          await until(() => share.state === "live");
          const first = await share.put(folder + "/a.txt", "one", { ifNew: true });
          const refused = await share.put(folder + "/a.txt", "two", { ifNew: true }).catch((error) => error);
          const kept = await share.put(folder + "/a.txt", "three", { ifNew: true, keepBoth: true });
          await share.put(folder + "/a.txt", "four", { ifMatch: first.metadata.hash });
          await share.move(folder + "/a.txt", folder + "/b.txt");
          await until(() => heard.length >= 4);
          const cursor = share.cursor;
          share.close();
          const text = await (await share.get(folder + "/b.txt")).text();
          const versions = await share.history(folder + "/b.txt");
          await share.delete(folder + "/b.txt");
          const later = new QuantumSync({ clientId: "page-2", resume: cursor, paths: [folder + "/**"] });
          const missed = [];
          later.addEventListener("change", ({ detail }) => missed.push([detail.kind, detail.path.slice(folder.length + 1), detail.isOwn]));
          let rescans = 0;
          later.addEventListener("rescan", () => { rescans += 1; });
          later.connect();
          await until(() => missed.length);
          const listed = (await later.list(folder)).map(({ path }) => path.slice(folder.length + 1));
          later.close();
          return { heard, states, refused: [refused instanceof SyncError, refused.status, refused.code], kept: kept.conflictOf === folder + "/a.txt",
            copy: kept.path.slice(folder.length + 1), text, versions: versions.length, missed, rescans, listed };
        }""",
        folder.name,
    )
    copy = result["copy"]
    assert copy.startswith("a (conflict of page-1, ")
    assert result["heard"] == [
        ["create", "a.txt", True], ["create", copy, True], ["update", "a.txt", True], ["move", "b.txt", True],
    ]  # fmt: skip
    assert result["states"] == ["connecting", "live", "closed"]
    assert result["refused"] == [True, 412, "conflict"]
    assert result["kept"]
    assert (result["text"], result["versions"]) == ("four", 3)
    assert (result["missed"], result["rescans"]) == ([["delete", "b.txt", False]], 0)
    assert result["listed"] == [copy]


def test_a_server_of_version_1_is_followed_too(browser: Watched, folder: Path):
    page = browser.blank()
    lines = []

    def talk(line: Any) -> None:
        """Let the server hear a client of version 1: it answers as version 1 does."""
        server = line.connect_to_server()
        lines.append(line)

        def ask(text: str) -> None:
            message = json.loads(text)
            if message["type"] == "Subscribe":
                message = {"type": "Subscribe", "client_id": message["client_id"]}
            server.send(json.dumps(message))

        line.on_message(ask)

    page.route_web_socket("**/ws", talk)
    page.goto(f"http://127.0.0.1:{browser.shares.open}/{at(folder)}")
    page.wait_for_selector('#connection[data-state="live"]')
    page.get_by_text("Nothing here yet").wait_for()
    session = "import('/app/session.js').then(({share}) => [share.cursor, share.state])"
    assert page.evaluate(session) == [None, "live"]
    (folder / "one.txt").write_text("1")
    shows(page, "one.txt")
    (folder / "one.txt").rename(folder / "two.txt")
    shows(page, "two.txt")
    lines[0].close()  # the line is lost, and something happens before there is another
    page.wait_for_selector('#connection[data-state="offline"]')
    (folder / "three.txt").write_text("3")
    page.get_by_role("button", name="Connection").click()
    shows(page, "three.txt", "two.txt")


def test_a_page_of_another_origin_uses_the_share_that_allows_it(browser: Watched, folder: Path):
    browser.expect("412")
    page = browser.blank()
    page.goto(f"http://127.0.0.1:{browser.shares.read_only}/plain.html")
    result = page.evaluate(
        """async ([origin, folder]) => {
          const { QuantumSync } = await import(origin + "/quantum-sync.js");
          const share = new QuantumSync({ paths: [folder + "/**"] }), heard = [];
          share.addEventListener("change", ({ detail }) => heard.push(detail.path));
          const live = new Promise((done) => share.addEventListener("rescan", done, { once: true }));
          share.connect();
          await live;
          const { version } = await share.put(folder + "/far.txt", "from afar", { ifNew: true });
          const refused = await share.put(folder + "/far.txt", "again", { ifNew: true }).catch((error) => error.body.current.size);
          const [found] = await share.list(folder);
          while (!heard.length) await new Promise((done) => setTimeout(done, 20));
          share.close();
          return [share.base.origin === origin, version === found.version, refused, found.size, heard.length];
        }""",
        [f"http://127.0.0.1:{browser.shares.open}", folder.name],
    )
    assert result == [True, True, 9, 9, 1]
    assert (folder / "far.txt").read_text() == "from afar"


def test_every_module_of_the_page_is_loaded_early(browser: Watched):
    page = browser.open()
    loaded = set(
        page.evaluate(
            "performance.getEntriesByType('resource').map((e) => new URL(e.name).pathname).filter((p) => p.endsWith('.js'))"
        )
    )
    named = set(
        page.evaluate(
            "[...document.querySelectorAll('link[rel=modulepreload], script')].map((n) => new URL(n.href || n.src).pathname)"
        )
    )
    assert loaded == named


def test_the_policy_stops_what_is_not_ours(browser: Watched):
    browser.expect("Content Security Policy|Content-Security-Policy")
    page = browser.open()
    page.evaluate(
        "addEventListener('securitypolicyviolation', (e) => { (window.stopped ??= []).push(e.effectiveDirective); })"
    )
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/x.png'}))"
    )
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('style'), {textContent: 'body{display:none}'}))"
    )
    eventually(lambda: set(page.evaluate("window.stopped ?? []")) >= {"img-src", "style-src-elem"})
