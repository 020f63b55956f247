"""Quantiles from buckets."""

import random

from quantum.latency import LatencyDigest, count_up_to, merged, quantile


def test_quantiles_are_within_a_tenth_of_the_truth():
    rng = random.Random(4)
    values = [rng.lognormvariate(-4, 1) for _ in range(20_000)]
    digest = LatencyDigest(0.0)
    for value in values:
        digest.note(value, 1.0)
    values.sort()
    for share in (0.5, 0.9, 0.99):
        truth = values[int(share * len(values))]
        assert abs(quantile(digest.buckets(1.0), share) / truth - 1) < 0.1


def test_what_is_old_is_forgotten_but_stays_in_the_total():
    digest = LatencyDigest(0.0, window=60.0)
    digest.note(5.0, 1.0)
    digest.note(0.01, 70.0)
    assert quantile(digest.buckets(70.0), 1.0) > 4
    assert quantile(digest.buckets(131.0), 1.0) < 0.02
    assert digest.buckets(500.0) == {}
    assert quantile(digest.buckets(500.0), 0.5) is None
    assert sum(digest.total().values()) == 2


def test_digests_of_two_processes_add_up():
    one, two = LatencyDigest(0.0), LatencyDigest(0.0)
    for _ in range(90):
        one.note(0.01, 0.0)
    for _ in range(10):
        two.note(1.0, 0.0)
    both = merged([one.buckets(0.0), two.buckets(0.0)])
    assert quantile(both, 0.5) < 0.011
    assert quantile(both, 0.95) > 0.9
    assert count_up_to(both, 0.1) == 90
