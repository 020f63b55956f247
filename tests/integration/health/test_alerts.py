"""The alert rules, judged by Prometheus's own tool; and every metric they speak of exists."""

import re
import subprocess
from pathlib import Path

import pytest

from quantum.testing.debian import has_program

FOLDER = Path(__file__).parents[3] / "deploy" / "prometheus"
SOURCES = [Path(__file__).parents[3] / name for name in ("quantum", "services")]

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("command", [("check", "alerts.yml"), ("test", "alerts_test.yml")])
def test_promtool_finds_that_alerts_fire_when_they_should(command):
    if not has_program("promtool", "prometheus"):
        pytest.skip("promtool cannot be installed here")
    done = subprocess.run(
        ["promtool", command[0], "rules", command[1]],
        cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_that_an_alert_names_is_one_that_we_export():
    code = "".join(file.read_text() for folder in SOURCES for file in folder.rglob("*.py"))
    wanted = set(re.findall(r"quantum_\w+", (FOLDER / "alerts.yml").read_text()))
    wanted.discard("quantum_standings")  # a bucket
    assert wanted
    upstream = re.findall(r'^ +\("(\w+)", "[^"]+", "\w+"\),$', code, re.MULTILINE)
    exported = set(re.findall(r"quantum_\w+", code)) | {
        f"quantum_proxy_upstream_{n}" for n in upstream
    }
    missing = {name for name in wanted if re.sub("_(total|bucket)$", "", name) not in exported}
    assert not missing
