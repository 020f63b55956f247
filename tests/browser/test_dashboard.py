"""The admin's page: what it shows is what the deployment is, and it can go back to an earlier configuration."""

from typing import Any

import pytest
from playwright.sync_api import Page

from quantum.testing.client import Site
from tests.browser.conftest import DESKTOP, PHONE, Watched, eventually
from tests.browser.looks import check_contrast, check_fits, check_names


def dashboard(browser: Watched, **options: Any) -> Page:
    page = browser.blank(**{**DESKTOP, **options})
    page.goto(f"http://127.0.0.1:{browser.shares.admin}/")
    page.wait_for_selector('#state[data-state="live"]')
    return page


def test_it_tells_which_upstreams_are_up_and_why_one_is_not(browser: Watched) -> None:
    page = dashboard(browser)
    rows = page.locator("#upstreams tbody tr")
    dead = rows.filter(has_text=f"127.0.0.1:{browser.shares.nobody}")
    well = rows.filter(has_text=f"127.0.0.1:{browser.shares.read_only}")
    eventually(lambda: "connection refused" in dead.inner_text())
    assert "unhealthy" in dead.inner_text()
    eventually(lambda: well.locator(".good").count() == 1)
    eventually(lambda: page.get_by_text("1 of 2").count() == 1)


def test_it_puts_an_earlier_configuration_in_force_again(browser: Watched) -> None:
    admin = Site("127.0.0.1", browser.shares.admin)

    def active() -> str:
        return next(r["revision"] for r in admin.get("/revisions").json() if r["active"])

    first = active()
    path = "/config/apps/http/servers/balanced/idle_timeout"
    assert admin.request("PUT", path, b'"2m"', Content_Type="application/json").status == 200
    assert active() != first
    page = dashboard(browser)
    page.get_by_role("button", name=f"Put {first} in force").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert active() != first
    page.get_by_role("button", name=f"Put {first} in force").click()
    page.get_by_role("dialog").get_by_role("button", name="Put in force").click()
    eventually(lambda: active() == first)
    line = page.locator("#revisions tbody tr").filter(has_text=first)
    eventually(lambda: line.get_by_text("in force", exact=True).count() == 1)


@pytest.mark.parametrize(
    ("options", "scheme"),
    [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")],
)
def test_it_can_be_read_and_named_everywhere(
    browser: Watched, options: dict[str, Any], scheme: str
) -> None:
    page = dashboard(browser, **options, color_scheme=scheme)
    eventually(lambda: page.locator("#upstreams .bad").count() == 1)
    check_contrast(page)
    check_names(page)
    check_fits(page)


def test_on_a_phone_certificates_and_configurations_are_seen_whole(browser: Watched) -> None:
    page = dashboard(browser, **PHONE)
    for part in ("#certificates", "#revisions"):
        page.wait_for_selector(f"{part} > *")
        assert page.locator(part).evaluate("card => card.scrollWidth <= card.clientWidth"), part
