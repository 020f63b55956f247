"""Hundreds of small Caddyfiles, adapted by the real Caddy and here: the JSON is equal byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantum.caddyfile.adapt import adapt
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.values.encoding import encode
from tests.integration.caddyfile.cases import IMPORTS, read_cases
from tests.integration.caddyfile.oracle import ENVIRONMENT, PANIC, Answer, Oracle, running

CASES = read_cases()
PREFIX = "adapting config using caddyfile adapter: "
SURROUNDINGS = {"PATH": "/bin", "HOME": "/root", **ENVIRONMENT}

OTHERWISE = {
    "addresses.bind_protocols": "Caddy leaves a server without listeners and routes behind",
    "language.snippet_arguments": "Caddy panics for a negative index; here it stays as written",
    "proxying.forward_auth_copy_nothing": "the same mistake, named at its own line here",
    "routing.route_with_tls": "Caddy prints a Go value",
    "routing.route_with_log": "Caddy prints a Go value",
    "tls.global_issuer_and_catch_all": "Caddy prints memory addresses",
}
"""Cases that differ on purpose, and why."""


def adapt_here(text: str) -> Answer:
    """Return what this program makes of ``text``."""
    try:
        adapted = adapt(text, environment=SURROUNDINGS)
    except CaddyfileError as error:
        return Answer(error=PREFIX + error.problem)
    notices = tuple(
        (n.line, n.message.replace("'quantum fmt", "'caddy fmt")) for n in adapted.notices
    )
    return Answer(encode(adapted.document), warnings=notices)


@pytest.fixture(scope="module")
def caddy(tmp_path_factory) -> Iterator[Oracle]:
    """A Caddy that adapts, in the folder of the imports."""
    before = Path.cwd()
    os.chdir(IMPORTS)
    with running(tmp_path_factory.mktemp("caddy"), IMPORTS) as oracle:
        yield oracle
    os.chdir(before)


@pytest.mark.parametrize("topic", sorted({name.partition(".")[0] for name in CASES}))
def test_caddyfiles_become_what_caddy_makes_of_them(caddy: Oracle, topic: str):
    named = {name: text for name, text in CASES.items() if name.startswith(f"{topic}.")}
    assert len(named) > 10
    differing = {}
    for name, text in named.items():
        wanted, got = caddy.adapt(text), adapt_here(text)
        if (wanted == got) != (name not in OTHERWISE):
            differing[name] = (wanted, got)
    assert differing == {}


def test_what_differs_on_purpose_is_wrong_in_the_same_cases(caddy: Oracle):
    for name in OTHERWISE:
        wanted, got = caddy.adapt(CASES[name]), adapt_here(CASES[name])
        if wanted.error != PANIC:
            assert bool(wanted.error) == bool(got.error), name


def test_the_files_of_one_site_are_hidden_from_visitors():
    adapted = adapt(":80\nfile_server\n", file="/etc/caddy/Caddyfile", environment={})
    assert '"hide":["/etc/caddy/Caddyfile"]' in encode(adapted.document)
