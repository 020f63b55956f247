"""The specification's browser client, pasted into Chromium as it is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from quantum.testing.debian import has_program

CHROMIUM = "/usr/bin/chromium"

SNIPPET = """// Connect to WebSocket endpoint
const ws = new WebSocket('ws://localhost:8080/ws');
// Register for updates
ws.onopen = () => {
ws.send(JSON.stringify({
type: "Subscribe",
client_id: "browser-client-123"
}));
};
// Handle file operation broadcasts
ws.onmessage = (event) => {
const message = JSON.parse(event.data);
if (message.type === "FileOperation") {
console.log("File changed:", message.operation);
// Update UI with real-time changes
}
};
"""
"""The specification's browser client, as it is written there."""


def launching(port: int) -> dict[str, Any]:
    """Return how Chromium is started: without a sandbox, which root has not, and with
    `localhost:8080`, where the specification's client connects to, at ``port`` of this machine."""
    rule = f"--host-resolver-rules=MAP localhost:8080 127.0.0.1:{port}"
    return {"executable_path": CHROMIUM, "args": ["--no-sandbox", rule]}


@contextmanager
def visiting(port: int) -> Iterator[Page]:
    """Yield an empty page of a browser for which `localhost:8080` is ``port``."""
    if not has_program("chromium", "chromium"):
        pytest.skip("Debian's chromium is not here and cannot be installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launching(port))
        try:
            yield browser.new_page()
        finally:
            browser.close()


def paste(page: Page, place: str = "plain.html") -> list[Any]:
    """Run the client in a page of the share's own address; return where what it logs comes.

    It has subscribed when this returns: every change from now on is logged.
    """
    said: list[Any] = []

    def hear(message: Any) -> None:
        if message.type == "log":  # not what the browser says of a missing icon
            said.append(message)

    page.on("console", hear)
    page.goto(f"http://localhost:8080/{place}")
    subscribed = "await new Promise((done) => ws.addEventListener('message', done));"
    page.evaluate(f"async () => {{ {SNIPPET} {subscribed} }}")
    return said
