"""Who is refused for floods, for how long, and how many are remembered."""

from quantum.testing.clock import ManualClock
from services.edge.offenders import CUTS, OFFENDERS_REMEMBERED, REFUSED_SECONDS, Offenders


def flood(table: Offenders, client: str, times: int) -> None:
    for _ in range(times):
        table.was_cut(client)


async def test_a_few_floods_are_taken_for_mistakes_and_more_are_refused_for_a_while():
    clock = ManualClock()
    table = Offenders(clock.monotonic)
    flood(table, "8.8.8.8", int(CUTS[0]))
    assert not table.refuses("8.8.8.8")
    flood(table, "8.8.8.8", 1)
    assert table.refuses("8.8.8.8")
    assert not table.refuses("8.8.4.4")
    await clock.advance(REFUSED_SECONDS)
    assert not table.refuses("8.8.8.8")


async def test_floods_long_ago_do_not_count():
    clock = ManualClock()
    table = Offenders(clock.monotonic)
    for _ in range(20):
        flood(table, "8.8.8.8", 1)
        await clock.advance(1 / CUTS[1])
    assert not table.refuses("8.8.8.8")


async def test_the_table_is_bounded_and_forgets_the_oldest():
    table = Offenders(ManualClock().monotonic)
    for client in range(OFFENDERS_REMEMBERED + 1):
        flood(table, f"client {client}", int(CUTS[0]) + 1)
    assert not table.refuses("client 0")
    assert table.refuses("client 1")
    assert table.refuses(f"client {OFFENDERS_REMEMBERED}")
    assert len(table._cuts) == len(table._refused) == OFFENDERS_REMEMBERED
