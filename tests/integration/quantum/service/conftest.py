"""Starts processes of the small platform and ends what a test left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from quantum.testing.topology import free_port

PROGRAM = Path(__file__).with_name("platform_process.py")


class Started:
    def __init__(self, directory, name, options):
        self.notes_file = directory / f"{name}.notes"
        self.log_file = directory / f"{name}.log"
        self.ops = f"127.0.0.1:{free_port()}"
        self.data_dir = Path(options.get("data_dir", directory / "data"))
        given = {
            "rooms": ["admin", "proxy"],
            "data_dir": str(self.data_dir),
            "ops": self.ops,
            "notes": str(self.notes_file),
            "grace": 1.0,
        } | options
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), json.dumps(given)], stdout=log, stderr=log
            )

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.ops}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait(self, condition, what, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"never happened: {what}\n{self.log_file.read_text()}"
            time.sleep(0.03)

    def ready(self):
        self.wait(lambda: self.get("/readyz")[0] == 200, "ready")
        return self

    def exit_code(self, seconds=20):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end\n{self.log_file.read_text()}") from None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.exit_code()

    @property
    def notes(self):
        return self.notes_file.read_text().splitlines() if self.notes_file.exists() else []

    @property
    def events(self):
        lines = self.log_file.read_text().splitlines()
        return [json.loads(line)["msg"] for line in lines if line.startswith("{")]

    @property
    def nats_pid(self):
        return int((self.data_dir / "nats" / "pid").read_text())


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"word": "one"}')
    return path


@pytest.fixture
def start(tmp_path):
    started = []

    def start(name="quantum", **options):
        started.append(Started(tmp_path, name, options))
        return started[-1]

    yield start
    for item in started:
        if item.process.poll() is None:
            item.process.kill()
            item.process.wait()
