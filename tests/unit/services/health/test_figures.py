"""The room's metrics: labels of upstreams that are gone do not add up for ever."""

from prometheus_client import CollectorRegistry, generate_latest

from quantum.bus.subjects import UpstreamObserved
from services.health.figures import RoomFigures
from services.health.passive import Reports


def test_counts_of_upstreams_that_are_not_configured_any_more_are_dropped():
    metrics = CollectorRegistry()
    figures, reports = RoomFigures(metrics, lambda: 0.0), Reports(metrics)
    for upstream in ("stays:80", "goes:80"):
        figures.note_change(upstream, "unhealthy")
        for outcome in ("failed", "ok"):
            reports.note(
                UpstreamObserved(process="p", upstream=upstream, outcome=outcome, reason="")
            )
    assert b"goes:80" in generate_latest(metrics)
    figures.keep_only({"stays:80"})
    reports.keep_only({"stays:80"})
    shown = generate_latest(metrics)
    assert b"goes:80" not in shown
    assert shown.count(b"stays:80") == 7  # with the time each counter was made
