"""The selection policies, each with a handful of upstreams and no sockets."""

from collections import Counter
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from quantum.config.units import Secret
from quantum.modules.lifetime import Lifetime, Provision
from quantum.testing.clock import ManualClock
from services.proxy.selection import policies
from services.proxy.selection.config import (
    CookiePolicy,
    HeaderPolicy,
    PlainPolicy,
    QueryPolicy,
    RandomChoosePolicy,
    WeightedPolicy,
)


@pytest.fixture
def provision():
    return Provision("p", "r", Lifetime(), ManualClock(), CollectorRegistry(), None)


def members(*in_flight: int):
    return [
        SimpleNamespace(address=f"up{n}:80", position=n, upstream=SimpleNamespace(in_flight=busy))
        for n, busy in enumerate(in_flight)
    ]


def test_round_robin_gives_each_its_turn(provision, ask):
    policy, three = policies.RoundRobin(PlainPolicy(), provision), members(0, 0, 0)
    assert [policy.choose(three, ask()).position for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_weighted_round_robin_spreads_by_weight(provision, ask):
    policy = policies.WeightedRoundRobin(WeightedPolicy(weights=[3, 1, 0]), provision)
    three = members(0, 0, 0)
    chosen = [policy.choose(three, ask()).position for _ in range(8)]
    assert Counter(chosen) == {0: 6, 1: 2}
    assert chosen[:4] == [0, 0, 1, 0]


def test_weights_stay_with_their_upstream_when_another_is_missing(provision, ask):
    policy = policies.WeightedRoundRobin(WeightedPolicy(weights=[9, 1, 3]), provision)
    left = members(0, 0, 0)[1:]
    assert Counter(policy.choose(left, ask()).position for _ in range(8)) == {1: 2, 2: 6}


def test_first_is_the_first(provision, ask):
    assert policies.First(PlainPolicy(), provision).choose(members(5, 0), ask()).position == 0


def test_least_conn_takes_the_least_busy(provision, ask):
    policy = policies.LeastConn(PlainPolicy(), provision)
    assert {policy.choose(members(2, 1, 1), ask()).position for _ in range(50)} == {1, 2}


def test_random_choose_of_all_is_the_least_busy(provision, ask):
    policy = policies.RandomChoose(RandomChoosePolicy(choose=3), provision)
    assert policy.choose(members(2, 1, 3), ask()).position == 1


def test_random_takes_every_one_in_time(provision, ask):
    policy = policies.RandomPick(PlainPolicy(), provision)
    assert {policy.choose(members(0, 0, 0), ask()).position for _ in range(200)} == {0, 1, 2}


def test_a_lost_upstream_moves_only_its_own_share(provision, ask):
    policy, five = policies.UriHash(PlainPolicy(), provision), members(0, 0, 0, 0, 0)
    requests = [ask("GET", f"/{n}") for n in range(200)]
    before = [policy.choose(five, request).position for request in requests]
    after = [policy.choose(five[:4], request).position for request in requests]
    assert all(new == old for old, new in zip(before, after, strict=True) if old != 4)
    assert min(Counter(before).values()) > 15


def test_ip_hash_and_client_ip_hash_look_at_different_addresses(provision, ask):
    ten = members(*[0] * 10)
    ip = policies.IpHash(PlainPolicy(), provision)
    client = policies.ClientIpHash(PlainPolicy(), provision)
    clients = [ask(client_ip=f"198.51.100.{n}") for n in range(30)]
    assert len({ip.choose(ten, request).position for request in clients}) == 1
    assert len({client.choose(ten, request).position for request in clients}) > 3


def test_header_and_query_fall_back_when_the_request_has_none(provision, ask):
    ten = members(*[0] * 10)
    header = policies.HeaderHash(HeaderPolicy(field="X-User"), provision)
    query = policies.QueryHash(QueryPolicy(key="user"), provision)
    named = {
        header.choose(ten, ask("GET", "/", b"", (b"x-user", b"a"))).position for _ in "1234567"
    }
    asked = {query.choose(ten, ask("GET", "/?user=a")).position for _ in range(7)}
    assert (len(named), len(asked)) == (1, 1)
    assert len({header.choose(ten, ask()).position for _ in range(100)}) > 3
    assert len({query.choose(ten, ask("GET", "/")).position for _ in range(100)}) > 3


def test_a_cookie_sticks_to_its_upstream_and_is_set_anew_when_it_is_gone(provision, ask):
    policy = policies.CookieSticky(CookiePolicy(secret=Secret("s")), provision)
    three = members(0, 0, 0)
    first = ask()
    chosen = policy.choose(three, first)
    cookie = first.vars[policies.SET_COOKIE_VAR]
    assert cookie.startswith(b"lb=")
    assert cookie.endswith(b"; Path=/; HttpOnly; SameSite=Lax")
    value = cookie.partition(b";")[0]
    for _ in range(10):
        again = ask("GET", "/", b"", (b"cookie", b"a=b; " + value))
        assert policy.choose(three, again) is chosen
        assert not again.has_vars
    left = [member for member in three if member is not chosen]
    moved = ask("GET", "/", b"", (b"cookie", value))
    assert policy.choose(left, moved) is not chosen
    assert policies.SET_COOKIE_VAR in moved.vars
