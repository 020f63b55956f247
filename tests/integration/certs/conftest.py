"""Authorities on this machine decide at once: waiting for them as for one far away is time for nothing."""

from __future__ import annotations

import pytest

from services.certs import service
from services.certs.challenges import served
from services.certs.issuers import acme


@pytest.fixture(autouse=True)
def _authorities_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TICK_SECONDS", 0.5)
    monkeypatch.setattr(acme, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(served, "PROPAGATION_SECONDS", 0.1)
