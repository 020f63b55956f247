"""Dashboards, alerts and docs/metrics.md name metrics that exist; docs/metrics.md names them all."""

import re
from pathlib import Path

from tests.architecture.rules import sources

ROOT = Path(__file__).parents[2]
SUFFIXES = ("_total", "_bucket", "_sum", "_count")

MADE = re.compile(
    r'(?:Counter|Gauge|Histogram|MetricFamily)\(\s*"(quantum_\w+)"|"(quantum_proxy_\w+)",'
)
"""A metric made by itself, or in the proxy's table of them."""


def metric_names(text: str) -> set[str]:
    names = set(re.findall(r"quantum_[a-z_]+[a-z]", text))
    for suffix in SUFFIXES:
        names = {name.removesuffix(suffix) for name in names}
    return names


def test_every_metric_in_an_alert_or_a_dashboard_exists() -> None:
    code = metric_names("\n".join(path.read_text() for path in sources(ROOT)))
    for file in [*ROOT.glob("deploy/prometheus/*.yml"), *ROOT.glob("deploy/grafana/*.json")]:
        assert metric_names(file.read_text()) <= code, file.name


def test_every_metric_is_described_and_every_description_is_of_a_metric() -> None:
    code = "\n".join(path.read_text() for path in sources(ROOT))
    made = metric_names(" ".join("".join(names) for names in MADE.findall(code)))
    assert len(made) > 40
    assert metric_names((ROOT / "docs/metrics.md").read_text()) == made


def test_a_name_that_nothing_exports_would_be_noticed() -> None:
    assert metric_names("rate(quantum_edge_requests_total[1m])") == {"quantum_edge_requests"}
    assert "quantum_never_made" not in metric_names(
        "\n".join(path.read_text() for path in sources(ROOT))
    )
