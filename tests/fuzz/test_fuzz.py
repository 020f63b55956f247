"""A second or less of ``python -m tests.fuzz`` for each parser."""

from __future__ import annotations

import pytest

from tests.fuzz.engine import fuzz
from tests.fuzz.targets import TARGETS, Target

INPUTS = 3000


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_raise_what_nobody_expects(name: str) -> None:
    assert fuzz(TARGETS[name], 1, inputs=INPUTS).failures == []


def test_what_raises_is_reported_with_its_input() -> None:
    def refuse(data: bytes) -> None:
        if b"\r\n" in data:
            raise KeyError("x")

    outcome = fuzz(Target(refuse, (b"a\r\nb",)), 1, inputs=100)
    assert "KeyError('x') from b'" in outcome.failures[0]
