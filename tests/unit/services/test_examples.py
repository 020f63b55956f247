"""Every configuration that comes with the program is valid, and every page made of code is current."""

import json
from collections import Counter
from pathlib import Path

import pytest

from quantum.caddyfile.adapt import adapt
from quantum.caddyfile.language.format import first_difference
from quantum.config.load import load_file
from quantum.modules.known import KNOWN_TO_CADDY
from services import catalog
from services.cli.demo import entry_urls, loopback_dials
from services.cli.list_modules import markdown

ROOT = Path(__file__).parents[3]
OF_OUR_OWN = {
    *(
        f"dns.providers.{name}"
        for name in ("acmedns", "acmeproxy", "cloudflare", "duckdns", "rfc2136")
    ),
    "http.handlers.file_sync",
    "http.handlers.rate_limit",
    "http.reverse_proxy.selection_policies.peak_ewma",
}
"""Modules that Caddy does not know (or by plugins only): every other id is spelled as Caddy spells it."""
EXAMPLES = sorted((ROOT / "config" / "examples").glob("*.json"))
DEMO = ROOT / "config" / "quantum.json"


def test_there_are_examples():
    assert len(EXAMPLES) >= 15


@pytest.mark.parametrize("path", [DEMO, *EXAMPLES], ids=lambda path: path.stem)
def test_a_configuration_that_comes_with_the_program_is_valid(path):
    revision = catalog.parse(load_file(path))
    assert revision.modules


def test_the_example_of_a_caddyfile_is_valid_and_in_the_usual_form():
    text = (ROOT / "config" / "examples" / "Caddyfile").read_text()
    assert catalog.parse(adapt(text, environment={}).document).modules
    assert first_difference(text) == 0


@pytest.mark.parametrize(
    "path", [p for p in EXAMPLES if p.stem.startswith("simple")], ids=lambda path: path.stem
)
def test_a_simple_example_and_what_it_stands_for_are_one_revision(path):
    simple = catalog.parse(load_file(path))
    again = catalog.parse(json.loads(json.dumps(simple.document)))
    assert again.id == simple.id
    assert again.sections.keys() == simple.sections.keys()


def test_the_demo_uses_every_room_that_answers():
    revision = catalog.parse(load_file(DEMO))
    assert all(revision.handlers_of(room) for room in ("proxy", "static", "sync"))


def test_the_demo_says_what_to_open_and_which_upstreams_it_needs():
    document = load_file(DEMO)
    assert entry_urls(document) == [
        "https://localhost:8443/",
        "https://app.localhost:8443/",
        "https://files.localhost:8443/",
    ]
    assert [str(a) for a in loopback_dials(document)] == ["127.0.0.1:9001", "127.0.0.1:9002"]


def test_urls_of_plain_sites_are_plain():
    document = {"apps": {"http": {"http_port": 8080, "servers": {
        "redirects": {"listen": [":8080"], "routes": [{"match": [{"host": ["a.io"]}]}]},
        "any": {"listen": [":9000"]},
        "standard": {"listen": [":443"], "routes": [{"match": [{"host": ["b.io", "*.b.io"]}]}]},
    }}}}  # fmt: skip
    assert entry_urls(document) == ["http://a.io:8080/", "http://localhost:9000/", "https://b.io/"]


def test_the_page_of_modules_is_current():
    page = (ROOT / "docs" / "modules.md").read_text()
    assert page == markdown(), "run: quantum list-modules --markdown > docs/modules.md"


def test_the_catalog_lists_seven_rooms_and_no_module_twice():
    assert sorted(manifest.room for manifest in catalog.MANIFESTS) == sorted(catalog.ROOMS)
    counted = Counter(spec.id for manifest in catalog.MANIFESTS for spec in manifest.modules)
    assert max(counted.values()) == 1
    assert len(catalog.ROOMS) == 7


def test_every_module_has_a_model_a_summary_and_a_room_of_the_catalog():
    for spec in catalog.registry():
        assert spec.load_config().parse, spec.id
        assert spec.summary, spec.id
        assert set(spec.room.split(", ")) <= set(catalog.ROOMS), (
            spec.id
        )  # the kernel's are for several
        assert spec.id in KNOWN_TO_CADDY or spec.id in OF_OUR_OWN


def test_needs_name_rooms():
    for manifest in catalog.MANIFESTS:
        assert set(manifest.needs) <= set(catalog.ROOMS)
