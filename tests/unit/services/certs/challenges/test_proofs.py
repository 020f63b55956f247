"""Which proofs a configuration allows, and which is tried first."""

from __future__ import annotations

from typing import Any

import pytest
from acme import challenges

from quantum.bus.memory import MemoryBus
from quantum.testing.clock import ManualClock
from services.certs.challenges import proof
from services.certs.challenges.config import Challenges
from services.certs.challenges.proof import Proofs, make_proofs

TOKEN = "A" * 43


def made(**config: Any) -> Proofs:
    clock = ManualClock()
    return make_proofs(Challenges.parse(config), MemoryBus(clock=clock), clock)


def kinds(proofs: Proofs, name: str = "a.test") -> list[str]:
    return [one.kind.typ for one in proofs.for_name(name)]


@pytest.mark.parametrize(
    ("config", "allowed"),
    [
        ({}, ["http-01", "tls-alpn-01"]),
        ({"http": {"disabled": True}}, ["tls-alpn-01"]),
        ({"tls-alpn": {"disabled": True}}, ["http-01"]),
        ({"tls-alpn": {"alternate_port": 8443}, "http": {"alternate_port": 8080}}, ["http-01", "tls-alpn-01"]),
    ],
)  # fmt: skip
def test_what_is_not_disabled_may_prove(config: dict[str, Any], allowed: list[str]) -> None:
    assert kinds(made(**config)) == allowed


def test_nothing_left_to_prove_by_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"http and tls-alpn disabled .* set challenges.dns"):
        made(**{"http": {"disabled": True}, "tls-alpn": {"disabled": True}})


def test_what_worked_is_tried_first_for_others_and_stays_first_for_the_name() -> None:
    proofs = made()
    http, tls = proofs.for_name("a.test")
    proofs.remember("a.test", tls)
    assert kinds(proofs, "b.test") == ["tls-alpn-01", "http-01"]
    proofs.remember("b.test", http)
    assert kinds(proofs, "c.test") == ["http-01", "tls-alpn-01"]
    assert kinds(proofs, "a.test") == ["tls-alpn-01", "http-01"]


def test_names_without_end_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "REMEMBERED_NAMES", 2)
    proofs = made()
    http, tls = proofs.for_name("a.test")
    for name in ("a.test", "b.test", "c.test"):
        proofs.remember(name, tls)
    proofs.remember("d.test", http)
    assert kinds(proofs, "a.test")[0] == "http-01"
    assert kinds(proofs, "c.test")[0] == "tls-alpn-01"


def test_a_challenge_by_tls_is_read_from_what_an_authority_offers() -> None:
    offered = challenges.Challenge.from_json({"type": "tls-alpn-01", "token": TOKEN})
    [kind] = [p.kind for p in made(http={"disabled": True}).for_name("a.test")]
    assert isinstance(offered, kind)
