"""The same configuration, requests and upstreams: Quantum against the real Caddy, answer by answer.

Where they disagree on purpose, docs/caddy-differences.md has a row that says why; nothing else passes.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.behaviour.cases import all_cases
from tests.behaviour.programs import Case, Run, ask, both, tidy, tidy_seen

DIFFERENCES = Path(__file__).parents[2] / "docs" / "caddy-differences.md"
CHECK_SECONDS = 3.0
"""How long checks run before requests are sent: several of their rounds."""
EVERYWHERE = {"retry-after"}
"""Fields of answers that differ in every case, by rows of the same name."""
CHECK_FIELDS = {"user-agent", "accept-encoding", "accept", "content-type", "connection"}
"""Fields of checks that differ in every case: the row ``check-fields``."""


def listed() -> set[str]:
    """Return the names of the rows."""
    return set(re.findall(r"^\| `([a-z0-9-]+)` \|", DIFFERENCES.read_text(), re.MULTILINE))


def observe(case: Case, run: Run) -> list[str]:
    """Return everything that is compared, as lines."""
    lines = []
    for request in case.asks:
        answer = tidy(ask(run, case, request), run)
        fields = tuple(f for f in answer.fields if f[0] not in EVERYWHERE)
        if case.counts:
            continue
        what = (answer.status, fields, answer.body, answer.is_whole, answer.early, answer.after)
        lines.append(f"{request.method} {request.target} {request.do} -> {what}")
    backends = run.backends[case.name]
    if case.counts:
        lines.append(str(Counter({b.name: len(b.seen) for b in backends})))
        return lines
    for backend in backends:
        lines += [f"{backend.name} {tidy_seen(seen, run)}" for seen in backend.seen]
    return lines + (_checks(case, run) if case.compares_checks else [])


def _checks(case: Case, run: Run) -> list[str]:
    lines = []
    for backend in run.backends[case.name][:1]:
        for check in backend.checks[:1]:
            seen = tidy_seen(check, run)
            own = any(
                n == "User-Agent" for n in case.proxy["health_checks"]["active"].get("headers", {})
            )
            left_out = CHECK_FIELDS - ({"user-agent"} if own else set())
            fields = [f for f in seen.fields if f[0] not in left_out]
            lines.append(f"check {seen.line} {fields} {seen.body!r}")
    return lines


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """Run every case in both programs; each program's cases one after the other, both at the same time."""
    cases = all_cases()
    assert len({case.name for case in cases}) == len(cases)
    with (
        both(cases, tmp_path_factory.mktemp("behaviour")) as (_, runs),
        ThreadPoolExecutor(16) as pool,
    ):
        time.sleep(CHECK_SECONDS)
        futures = {
            (case.name, run.program): pool.submit(observe, case, run)
            for case in cases
            for run in runs
        }
        return {key: future.result() for key, future in futures.items()}


def test_agreements_are_counted(observed, capsys):
    cases = all_cases()
    agreed = [c.name for c in cases if observed[c.name, "caddy"] == observed[c.name, "quantum"]]
    lines = sum(len(observed[name, "caddy"]) for name in agreed)
    with capsys.disabled():
        print(
            f"\nbehaviour: {len(agreed)} of {len(cases)} cases agree with Caddy, {lines} answers and requests compared; listed: {len(cases) - len(agreed)}"
        )
    assert len(agreed) > 70


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_it_does_what_caddy_does_or_says_why_not(case, observed):
    caddy, quantum = observed[case.name, "caddy"], observed[case.name, "quantum"]
    if case.differs:
        assert case.differs in listed(), f"no row `{case.differs}` in {DIFFERENCES.name}"
        assert caddy != quantum, "they agree: the row can go"
        return
    assert quantum == caddy


def test_every_row_of_differences_is_used_or_belongs_to_no_case():
    used = {case.differs for case in all_cases() if case.differs} | EVERYWHERE | {"check-fields"}
    assert used <= listed()
