"""Metrics of several processes as one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from quantum.service.children.figures import Collected, lasting, merge, take


def registry(answered, open_connections, seconds, succeeded=1):
    made = CollectorRegistry()
    counter = Counter("requests", "Requests", ["code"], registry=made)
    for code, count in answered.items():
        counter.labels(code).inc(count)
    Gauge("connections_open", "Open", registry=made).set(open_connections)
    Gauge("last_change_succeeded", "Did it", registry=made).set(succeeded)
    histogram = Histogram("duration_seconds", "Time", buckets=(1, 10), registry=made)
    for value in seconds:
        histogram.observe(value)
    return take(made)


def shown(*processes):
    return generate_latest(Collected(merge(processes))).decode()


def test_counters_gauges_and_histograms_of_all_processes_add_up():
    text = shown(registry({"200": 3, "404": 1}, 5, [0.5]), registry({"200": 4}, 7, [0.5, 20]))
    assert 'requests_total{code="200"} 7.0' in text
    assert 'requests_total{code="404"} 1.0' in text
    assert "connections_open 12.0" in text
    assert 'duration_seconds_bucket{le="1.0"} 2.0' in text
    assert "duration_seconds_count 3.0" in text
    assert text.count("# TYPE requests_total counter") == 1


def test_a_failure_in_one_process_is_a_failure():
    text = shown(registry({}, 0, []), registry({}, 0, [], succeeded=0))
    assert "last_change_succeeded 0.0" in text


def test_what_a_dead_process_counted_stays_and_what_it_held_goes():
    dead = lasting(registry({"200": 3}, 5, [0.5]))
    text = shown(dead, registry({"200": 1}, 2, []))
    assert 'requests_total{code="200"} 4.0' in text
    assert "connections_open 2.0" in text
    assert "duration_seconds_count 1.0" in text
