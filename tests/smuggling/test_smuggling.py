"""A few hundred of the cases of ``python -m tests.smuggling``."""

from __future__ import annotations

from tests.smuggling.mutations import mutated
from tests.smuggling.trial import differences

COUNT = 100


async def test_an_origin_sees_what_its_client_is_answered() -> None:
    wrong, reached = await differences("all", COUNT)
    assert wrong == []
    assert reached > COUNT // 4  # not all are refused


def test_a_case_is_the_same_each_time() -> None:
    assert mutated(7) == mutated(7)
    assert len({mutated(n) for n in range(1000)}) > 900
