"""Matchers, rewrites, header operations, errors and placeholders answer as the real Caddy does."""

from __future__ import annotations

import random

from quantum.testing.topology import free_port
from tests.integration.caddy import differential, listings, modules, templates

SEED = 20261123
EACH = 5
"""Random requests for each case; ten cases and more for each kind of module."""


def test_every_case_is_answered_as_caddy_answers_it(tmp_path):
    cases = differential.make_cases(random.Random(SEED), EACH)
    site = modules.make_site(tmp_path / "site")
    cases += modules.file_cases(site) + modules.expression_cases(site)
    cases += templates.template_cases(templates.make_pages(tmp_path / "pages"))
    cases += listings.listing_cases(listings.make_folder(tmp_path / "folder"))
    cases += modules.url_pattern_cases()
    cases += modules.authentication_cases() + modules.chain_cases()
    ports = free_port(), free_port()
    configs = [
        differential.write(cases, port, tmp_path / f"{port}.json", modules.NAMED_ROUTES)
        for port in ports
    ]  # fmt: skip
    asked, different = 0, []
    with (
        differential.running(differential.caddy(configs[0]), ports[0], tmp_path / "caddy.log"),
        differential.running(
            differential.quantum(configs[1], tmp_path / "data"), ports[1], tmp_path / "quantum.log"
        ),
    ):
        clients = [differential.Client(port) for port in ports]
        for index, case in enumerate(cases):
            for request in case.requests:
                if differential.deviates(case, request[1]):
                    continue
                asked += 1
                expected, given = (client.ask(index, *request) for client in clients)
                if expected != given:
                    texts = differential.shown(expected), differential.shown(given)
                    different.append(f"{case.name} {request}\n  {texts[0]}\n  {texts[1]}")
        for client in clients:
            client.close()
    assert asked > 1000
    assert not different, f"{len(different)} of {asked}:\n" + "\n".join(different[:10])
