"""A real share in a real browser: `quantum run` and Debian's Chromium, driven by Playwright.

A test fails when the page logs an error, throws, or breaks its own policy, whatever else it checks.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from quantum.testing.debian import has_program
from quantum.testing.topology import Deployment, free_port
from services.sync.access.tokens import Claims, make_token
from tests.browser.specification import launching

KEY = "a key of the browser tests, long enough"
PLAIN = {
    "handler": "static_response",
    "headers": {"Content-Type": ["text/html"]},
    "body": '<!doctype html><title>Another page</title><link rel="icon" href="/icon.svg">',
}
"""A page of somebody else beside the share."""

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def eventually(question: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until ``question`` is answered with something true."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.03)


@dataclass
class Shares:
    """The deployment: an open share, one that wants a token, and one that writes nothing."""

    deployment: Deployment
    root: Path
    open: int
    locked: int
    read_only: int
    admin: int
    nobody: int
    """A port of an upstream that does not run."""

    def token(self, **claims: Any) -> str:
        return make_token(KEY, Claims(**claims))


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shares]:
    root = tmp_path_factory.mktemp("shares")
    ports = {name: free_port() for name in ("open", "locked", "read_only")}
    extra: dict[str, dict[str, Any]] = {
        "open": {
            "enable_upload": True,
            "allowed_origins": [f"http://127.0.0.1:{ports['read_only']}"],
        },
        "locked": {"enable_upload": True, "token_key": KEY},
        "read_only": {},
    }
    servers = {}
    for name, port in ports.items():
        (root / name).mkdir()
        handler = {"handler": "file_sync", "root": str(root / name), **extra[name]}
        servers[name] = {
            "listen": [f"127.0.0.1:{port}"],
            "automatic_https": {"disable": True},
            "routes": [
                {"match": [{"path": ["/plain.html"]}], "handle": [PLAIN]},
                {"handle": [handler]},
            ],
        }
    admin, nobody = free_port(), free_port()
    servers["balanced"] = {
        "listen": [f"127.0.0.1:{free_port()}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [balancer(ports["read_only"], nobody)]}],
    }
    document = {
        "admin": {"listen": f"127.0.0.1:{admin}"},
        "apps": {"http": {"servers": servers}},
    }
    with Deployment("all", document) as deployment:
        yield Shares(deployment, root, admin=admin, nobody=nobody, **ports)


def balancer(*ports: int) -> dict[str, Any]:
    """Upstreams that are checked often."""
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{port}"} for port in ports],
        "health_checks": {"active": {"uri": "/api/list", "interval": "300ms", "timeout": "5s"}},
    }


@pytest.fixture(scope="module")
def chromium(shares: Shares) -> Iterator[Browser]:
    if not has_program("chromium", "chromium"):
        pytest.skip("Debian's chromium is not here and cannot be installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launching(shares.open))
        yield browser
        browser.close()


@dataclass
class Watched:
    """Pages of one test, with what they complained of."""

    chromium: Browser
    shares: Shares
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        """Let the console say what matches: what a browser logs of its own when a request fails."""
        self.expected.append(pattern)

    def open(self, where: str = "", *, port: int = 0, **options: Any) -> Page:
        """Open the page of a share at a place and wait until it is live."""
        page = self.blank(**{**DESKTOP, **options})
        page.goto(f"http://127.0.0.1:{port or self.shares.open}/{where}")
        page.wait_for_selector('#connection[data-state="live"]')
        return page

    def blank(self, **options: Any) -> Page:
        """Return an empty page whose complaints count."""
        context = self.chromium.new_context(**options)
        self.contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"thrown: {error}"))
        return page

    def _heard(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def unexpected(self) -> list[str]:
        return [c for c in self.complaints if not any(re.search(p, c) for p in self.expected)]


@pytest.fixture
def browser(chromium: Browser, shares: Shares) -> Iterator[Watched]:
    watched = Watched(chromium, shares)
    yield watched
    for context in watched.contexts:
        context.close()
    assert watched.unexpected() == []


@pytest.fixture
def folder(shares: Shares, request: pytest.FixtureRequest) -> Path:
    """A folder of the open share for this test alone."""
    made = shares.root / "open" / request.node.name.removeprefix("test_")[:60]
    made.mkdir()
    return made


def at(folder: Path) -> str:
    """The address of a folder in the page."""
    return f"#/{folder.name}"


def names(page: Page) -> list[str]:
    """The names that are drawn, from top to bottom."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".row[data-index]")]
            .sort((a, b) => a.dataset.index - b.dataset.index)
            .map((row) => row.querySelector(".line a").textContent)"""
    )


def shows(page: Page, *expected: str) -> None:
    """Wait until exactly these names are drawn."""
    try:
        eventually(lambda: names(page) == list(expected))
    except AssertionError:
        raise AssertionError(f"shown: {names(page)}, expected: {list(expected)}") from None


def row(page: Page, name: str) -> Any:
    """The row of a name."""
    return page.locator(".row", has=page.get_by_role("link", name=name, exact=True))


def drag_in(page: Page, *paths: Path, onto: str = "#grid") -> None:
    """Drag files and folders from outside the browser and drop them, as a file manager would."""
    session = page.context.new_cdp_session(page)
    box = page.locator(onto).bounding_box()
    assert box is not None
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + min(20, box["height"] / 2)}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def put(page: Page, path: str, text: str) -> None:
    """Write a file as another client would, from inside the page."""
    status = page.evaluate(
        "([path, text]) => fetch('/api/files/' + path, {method: 'PUT', body: text}).then((a) => a.status)",
        [path, text],
    )
    assert status in {200, 201}
