"""Which chain is served where an authority offers several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quantum.testing.clock import ManualClock
from services.certs.config import AuthorityConfig, PreferredChains
from services.certs.issuers.authority import Authority
from services.certs.issuers.chains import choose_chain
from services.certs.keeping.storage import Storage
from services.certs.material import make_key


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("chains")
    made = []
    for name in ("One", "A longer name than the other"):
        config = AuthorityConfig(name=name, root_common_name=f"{name} Root")
        authority = Authority(name.split()[0], config, Storage(Path(folder)), ManualClock())
        made.append(authority.sign(make_key("p256").public_key(), "a.test", 3600).decode())
    return made[::-1]


@pytest.mark.parametrize(
    ("preferred", "index"),
    [
        (None, 0),
        ({}, 0),
        ({"smallest": True}, 1),
        ({"root_common_name": ["Nobody", "One Root"]}, 1),
        ({"any_common_name": ["One - ECC Intermediate"]}, 1),
        ({"root_common_name": ["One - ECC Intermediate"]}, 0),
        ({"root_common_name": ["A longer name than the other Root"], "smallest": True}, 0),
    ],
)
def test_the_preferred_chain_is_taken(
    chains: list[str], preferred: dict[str, Any] | None, index: int
) -> None:
    wanted = PreferredChains.parse(preferred) if preferred is not None else None
    assert choose_chain(chains, wanted) == chains[index]
