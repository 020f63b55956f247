"""Upstreams in trouble under load: after the time of detection no error reaches a client.

The long version with figures is ``python -m bench.chaos``.
"""

import pytest

from bench.chaos import Plan, run

PLAN = Plan(quiet=1.0, trouble=9.0, recovery=5.0, rate=200)

pytestmark = [pytest.mark.slow]


@pytest.mark.parametrize(("topology", "scenario"), [("all", "none"), ("split", "health-and-nats")])
def test_clients_see_no_errors_once_trouble_is_known(topology: str, scenario: str, capsys) -> None:
    with capsys.disabled():
        phases = run(topology, scenario, PLAN)
    assert phases["quiet"].errors == 0
    assert phases["detection"].errors < 20
    assert set(phases["detection"].failures) <= {"status 500"}, "all else is retried elsewhere"
    assert phases["steady"].errors == 0, phases["steady"].failures
    assert phases["steady"].requests > 400
    assert phases["recovery"].errors == 0, phases["recovery"].failures
    assert set(phases["steady"].shares) <= {"u4", "u1"}
    if scenario == "none":
        assert len(phases["recovery"].shares) >= 3, "they come back"
