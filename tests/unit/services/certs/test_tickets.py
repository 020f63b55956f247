"""The secrets of session tickets: how many, for how long, for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantum.modules.config import use_registry
from quantum.testing.clock import ManualClock
from services.catalog import registry
from services.certs.config import SessionTicketsConfig
from services.certs.keeping.storage import Storage
from services.certs.keeping.tickets import TicketSecrets

HOUR = 3600.0


def secrets_of(folder: Path, clock: ManualClock, **config: Any) -> TicketSecrets:
    made = TicketSecrets(Storage(folder), clock)
    with use_registry(registry()):
        made.config = SessionTicketsConfig.parse(config)
    return made


async def test_a_new_secret_comes_when_it_is_time_and_the_oldest_goes(tmp_path: Path) -> None:
    clock = ManualClock()
    tickets = secrets_of(tmp_path, clock, max_keys=2)
    first, left = tickets.current()
    assert (len(first), left) == (1, 12 * HOUR)
    await clock.advance(11 * HOUR)
    assert tickets.current() == (first, HOUR)
    await clock.advance(HOUR)
    second, _ = tickets.current()
    assert second[1:] == first
    await clock.advance(12 * HOUR)
    third, _ = tickets.current()
    assert third[1:] == second[:1]


async def test_without_rotation_one_secret_stays(tmp_path: Path) -> None:
    clock = ManualClock()
    tickets = secrets_of(tmp_path, clock, disable_rotation=True)
    first, _ = tickets.current()
    await clock.advance(48 * HOUR)
    assert tickets.current()[0] == first


async def test_distributed_secrets_are_the_same_for_all_who_share_the_storage(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    shared = {"key_source": {"provider": "distributed"}}
    one, two = (secrets_of(tmp_path, clock, **shared) for _ in range(2))
    assert one.current() == two.current()
    await clock.advance(13 * HOUR)
    assert one.current() == two.current()
    assert len(two.current()[0]) == 2
    file = tmp_path / "stek" / "keys.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("[{")
    assert len(one.current()[0]) == 1
    alone = secrets_of(tmp_path, clock)
    assert alone.current()[0] != one.current()[0]
