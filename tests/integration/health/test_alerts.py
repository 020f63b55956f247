"""The alert rules, judged by Prometheus's own tool."""

import subprocess
from pathlib import Path

import pytest

from quantum.testing.debian import has_program

FOLDER = Path(__file__).parents[3] / "deploy" / "prometheus"


@pytest.mark.parametrize("command", [("check", "alerts.yml"), ("test", "alerts_test.yml")])
def test_promtool_finds_that_alerts_fire_when_they_should(command):
    if not has_program("promtool", "prometheus"):
        pytest.skip("promtool cannot be installed here")
    done = subprocess.run(
        ["promtool", command[0], "rules", command[1]],
        cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
