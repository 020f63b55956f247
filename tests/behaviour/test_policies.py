"""Every selection policy: its distribution over 10,000 picks, and what moves when an upstream leaves.

The bounds are statistical: five standard deviations, so that a fair policy fails once in a million runs.
Beside Caddy: the shares over real requests, and which requests stay together.
"""

from __future__ import annotations

import collections
import math
import random
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request
from quantum.modules.config import parse_inline, use_registry
from quantum.modules.lifetime import Lifetime, Provision
from quantum.modules.registry import Registry
from quantum.testing.clock import ManualClock
from services.proxy.manifest import MANIFEST
from services.proxy.selection.hashing import rendezvous
from tests.behaviour.backends import Backend
from tests.behaviour.programs import Ask, Case, ask, both

PICKS = 10_000
SIZE = 10
SEED = 20261123


def members(count: int = SIZE) -> list:
    return [
        SimpleNamespace(
            position=n,
            address=f"10.0.0.{n}:80",
            upstream=SimpleNamespace(in_flight=0),
            limit=0,
            weight=1,
            backup=False,
        )
        for n in range(count)
    ]


def make(name: str, **config: object):
    """Return the policy as a configuration would make it, its randomness seeded."""
    with use_registry(Registry(MANIFEST.modules)):
        module = parse_inline("http.reverse_proxy.selection_policies", {"policy": name, **config})
    provision = Provision("p", "r", Lifetime(), ManualClock(), CollectorRegistry(), None)
    policy = provision.instantiate(module)
    for owner in (policy, getattr(policy, "_fallback", None)):
        if hasattr(owner, "random"):
            owner.random = random.Random(SEED)
    return policy


def request(number: int) -> Request:
    peer = (f"198.51.{number // 250}.{number % 250}", 1)
    headers = Headers([(b"x-key", b"%d" % number), (b"cookie", b"a=1")])
    facts = ConnectionFacts(peer, ("192.0.2.1", 80), "http")
    return Request("GET", "http", "site", f"/p{number}", f"k={number}", headers, b"", facts)


def is_fair(count: int, share: float) -> bool:
    spread = math.sqrt(PICKS * share * (1 - share))
    return abs(count - PICKS * share) <= 5 * spread


EVEN = [("random", {}), ("random_choose", {"choose": 3}), ("least_conn", {}), ("round_robin", {})]
HASHING = [
    ("ip_hash", {}), ("client_ip_hash", {}), ("uri_hash", {}), ("header", {"field": "X-Key"}), ("query", {"key": "k"}),
]  # fmt: skip
WITHOUT_FACT = [("header", {"field": "None"}), ("query", {"key": "none"}), ("cookie", {})]


@pytest.mark.parametrize(("name", "config"), EVEN + HASHING + WITHOUT_FACT)
def test_ten_thousand_picks_are_shared_fairly(name, config):
    policy, all_ = make(name, **config), members()
    counts = collections.Counter(policy.choose(all_, request(n)).position for n in range(PICKS))
    assert all(is_fair(counts[n], 1 / SIZE) for n in range(SIZE)), counts


def test_round_robin_is_exact_and_weights_are_kept_exactly():
    all_ = members(5)
    robin = make("round_robin")
    counts = collections.Counter(robin.choose(all_, request(n)).position for n in range(PICKS))
    assert set(counts.values()) == {PICKS // 5}
    weighted = make("weighted_round_robin", weights=[4, 3, 2, 1, 0])
    counts = collections.Counter(weighted.choose(all_, request(n)).position for n in range(PICKS))
    assert [counts[n] for n in range(5)] == [4000, 3000, 2000, 1000, 0]


def test_first_takes_the_first_and_least_conn_the_least_busy():
    all_ = members(5)
    assert {make("first").choose(all_[2:], request(n)).position for n in range(100)} == {2}
    for member in all_:
        member.upstream.in_flight = 7
    all_[3].upstream.in_flight = 6
    assert {make("least_conn").choose(all_, request(n)).position for n in range(100)} == {3}


def unevenness(name: str) -> float:
    """Return the mean distance between the busiest and the idlest while 500 requests are under way."""
    all_, policy, rng = members(), make(name), random.Random(SEED)
    under_way, distances = [], []
    for n in range(PICKS):
        member = policy.choose(all_, request(n))
        member.upstream.in_flight += 1
        under_way.append(member)
        if len(under_way) > 500:
            index = rng.randrange(len(under_way))
            under_way[index], under_way[-1] = under_way[-1], under_way[index]
            under_way.pop().upstream.in_flight -= 1
            loads = [member.upstream.in_flight for member in all_]
            distances.append(max(loads) - min(loads))
    return sum(distances) / len(distances)


def test_choosing_the_less_busy_of_two_is_more_level_than_chance_and_the_least_busy_most():
    chance, of_two, least = (unevenness(n) for n in ("random", "random_choose", "least_conn"))
    assert of_two < chance / 2
    assert least < of_two / 2


@pytest.mark.parametrize(("name", "config"), HASHING)
def test_a_key_stays_with_its_upstream_unless_that_one_leaves(name, config):
    policy, all_ = make(name, **config), members()
    before = [policy.choose(all_, request(n)).position for n in range(PICKS)]
    left = [m for m in all_ if m.position != 4]
    after = [policy.choose(left, request(n)).position for n in range(PICKS)]
    kept = sum(old == new for old, new in zip(before, after, strict=True))
    moved_without_need = sum(old not in (4, new) for old, new in zip(before, after, strict=True))
    spread = 5 * math.sqrt(PICKS * 0.1 * 0.9)
    assert moved_without_need == 0
    assert kept >= PICKS * (1 - 1 / SIZE) - spread
    orphans = collections.Counter(n for o, n in zip(before, after, strict=True) if o == 4)
    assert max(orphans.values()) < 2 * min(orphans.values())
    again = [policy.choose(list(reversed(all_)), request(n)).position for n in range(PICKS)]
    assert again == before


KEYED = [
    ("header", {"field": "X-Key"}, lambda n: Ask(fields=(("X-Key", f"k{n}"),)), "k{}"),
    ("query", {"key": "k"}, lambda n: Ask(target=f"/?k={n}"), "{}"),
    ("uri_hash", {}, lambda n: Ask(target=f"/p{n}"), "/p{}"),
    ("ip_hash", {}, lambda n: Ask(target=f"/p{n}"), "127.0.0.1"),
    ("client_ip_hash", {}, lambda n: Ask(target=f"/p{n}"), "127.0.0.1"),
]
KEYS, ROUNDS, UPSTREAMS = 60, 2, 4
DIFFERENT = {"random_choose"}
"""The row `random-choose` of docs/caddy-differences.md."""


def test_beside_caddy_the_same_requests_stay_together_and_shares_are_alike(tmp_path, capsys):
    """Which upstream a key belongs to is the same in both, and known beforehand (decision 0125)."""
    cases = []
    for name, config, ask_for, _ in KEYED:
        asks = tuple(ask_for(n) for n in range(KEYS)) * ROUNDS
        cases.append(_case(name, config, asks))
    cases += [_case(name, config, (Ask(),) * KEYS * ROUNDS) for name, config in EVEN]
    cases.append(_case("cookie", {}, (Ask(),) * KEYS * ROUNDS))
    with both(cases, tmp_path) as (_, runs):
        shares = {run.program: {case.name: _shares(run, case) for case in cases} for run in runs}
    for case in cases:
        caddy, quantum = shares["caddy"][case.name], shares["quantum"][case.name]
        assert sum(caddy) == sum(quantum) == KEYS * ROUNDS
        if case.name in DIFFERENT:
            assert not _alike(caddy, quantum)
            assert _alike(quantum, [KEYS * ROUNDS // UPSTREAMS] * UPSTREAMS)
            continue
        alone = sorted(caddy) == [0, 0, 0, KEYS * ROUNDS]
        assert (sorted(quantum) == [0, 0, 0, KEYS * ROUNDS]) == alone, (case.name, caddy, quantum)
        if not alone:
            assert _alike(caddy, quantum), (case.name, caddy, quantum)
    with capsys.disabled():
        print(
            f"\npolicies: {len(cases) - len(DIFFERENT)} of {len(cases)} agree with Caddy over {KEYS * ROUNDS} requests each"
        )


def _case(name: str, config: dict, asks: tuple[Ask, ...]) -> Case:
    policy = {"policy": name, **config}
    balancing = {"load_balancing": {"selection_policy": policy}}
    return Case(name, balancing, asks, ("ok",) * UPSTREAMS)


def _shares(run, case: Case) -> list[int]:
    """Send the requests; in each program a key must get the same upstream in every round."""
    backends = run.backends[case.name]
    seen = []
    for one in case.asks:
        before = [len(b.seen) for b in backends]
        assert ask(run, case, one).status == 200
        [index] = [n for n, b in enumerate(backends) if len(b.seen) > before[n]]
        seen.append(index)
    for key in (key for name, _, _, key in KEYED if name == case.name):
        assert seen[:KEYS] == seen[KEYS:], f"{run.program}: {case.name} changed its mind"
        foretold = [rendezvous(_at(backends), key.format(n)).position for n in range(KEYS)]
        assert seen[:KEYS] == foretold, f"{run.program}: {case.name} hashes otherwise"
    return [len(b.seen) for b in backends]


def _at(backends: list[Backend]) -> list[SimpleNamespace]:
    return [SimpleNamespace(position=n, address=b.dial) for n, b in enumerate(backends)]


def _alike(one: list[int], other: list[int]) -> bool:
    """Whether two samples may come of one distribution: chi square with three degrees of freedom, 1e-6."""
    total = sum((a - b) ** 2 / (a + b) for a, b in zip(one, other, strict=True) if a + b)
    return total < 30.7
