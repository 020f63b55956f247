"""Which context a hello gets: the first policy that fits, the name asked for, the names to fall back to."""

from __future__ import annotations

from typing import Any

import pytest

from quantum.net.client_hello import ClientHello
from quantum.net.tls import TlsSettings
from quantum.trust.pools import TrustedPools
from services.edge.tls.config import ConnectionPolicy
from services.edge.tls.policies import Policies


class Store:
    """Certificates by name; what is ``known`` can be fetched, what is ``held`` is at hand."""

    def __init__(self, held: set[str], known: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.held = held
        self.known = known
        self.asked: list[str] = []

    def find(self, name: str, settings: TlsSettings, selection: object = None) -> Any:
        return (name, settings) if name in self.held else None

    async def obtain(self, name: str, selection: object = None) -> bool:
        self.asked.append(name)
        if name in self.known:
            self.held.add(name)
        return name in self.held


def policies(store: Store, *raw: dict[str, Any]) -> Policies:
    parsed = [ConnectionPolicy.parse(each) for each in raw]
    return Policies(parsed, ("h2", "http/1.1"), store, TrustedPools())  # type: ignore[arg-type]


def test_the_name_of_the_hello_counts_then_the_default_then_the_address() -> None:
    store = Store({"a.example", "d.example", "192.0.2.1"})
    plain, default = policies(store, {}), policies(store, {"default_sni": "D.example"})
    assert plain.find(ClientHello("a.example"), "192.0.2.1")[0] == "a.example"
    assert plain.find(ClientHello(""), "192.0.2.1")[0] == "192.0.2.1"
    assert default.find(ClientHello(""), "192.0.2.1")[0] == "d.example"


def test_the_first_policy_that_matches_is_taken() -> None:
    store = Store({"a.example", "b.example"})
    chosen = policies(
        store,
        {"match": {"sni": ["*.example"]}, "protocol_min": "tls1.3", "alpn": ["http/1.1", "h9"]},
        {},
    )
    settings = chosen.find(ClientHello("a.example"), "")[1]
    assert settings == TlsSettings(("http/1.1",), "tls1.3", "tls1.3")
    store.held.add("x.y.example")
    assert chosen.find(ClientHello("x.y.example"), "")[1].minimum == "tls1.2"


async def test_no_policy_and_a_dropping_policy_give_nothing() -> None:
    store = Store({"a.example", "b.example"})
    chosen = policies(store, {"match": {"sni": "a.example"}, "drop": True})
    for name in ("a.example", "b.example"):
        assert chosen.find(ClientHello(name), "") is None
        assert await chosen.obtain(ClientHello(name), "") is None
    assert store.asked == []


async def test_a_certificate_is_fetched_and_else_the_fallback_taken() -> None:
    store = Store(set(), {"a.example", "f.example"})
    chosen = policies(store, {"fallback_sni": "f.example"})
    found = await chosen.obtain(ClientHello("a.example"), "")
    assert found is not None and found[0] == "a.example"  # type: ignore[index] # noqa: PT018
    found = await chosen.obtain(ClientHello("stranger.example"), "")
    assert found is not None and found[0] == "f.example"  # type: ignore[index] # noqa: PT018


def test_versions_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(Exception, match="newer"):
        ConnectionPolicy.parse({"protocol_min": "tls1.3", "protocol_max": "tls1.2"})
