"""A few rounds of the long show: ``python -m tests.rounds`` plays as many as there is time for."""

import argparse

import pytest

from tests.rounds.__main__ import run


@pytest.mark.parametrize(("topology", "fault"), [("all", "kill_both"), ("three", "kill_sync")])
def test_nothing_is_lost_torn_or_different_after_processes_were_killed(topology, fault):
    options = argparse.Namespace(
        topology=topology, content="disk", rounds=1, seed=4, seconds=0.5, small_disk=False,
        network=False, power=False, fault=fault,
    )  # fmt: skip
    good, figures = run(options)
    assert good == 1, figures
    assert figures["contents_promised"]
