"""The cases of Autobahn that take no time and look at frames, not at text or compression: 102 of 517."""

import pytest

from tests.autobahn.run import Verdicts, verdicts, ways, worse

LONG = ("6.*", "9.*", "12.*", "13.*")


@pytest.mark.parametrize("topology", [pytest.param("all", marks=pytest.mark.big), "split"])
def test_no_case_is_worse_through_the_platform(topology: str, tmp_path) -> None:
    def run(name: str, part: str) -> Verdicts:
        return verdicts(ports[name], tmp_path / f"{name}-{part}".replace(", ", "-"), LONG, 120)

    with ways((topology,)) as ports:
        direct = run("direct", "once")
        assert len(direct) == 102
        for name in set(ports) - {"direct"}:
            if found := worse(direct, run(name, "once")):
                # The suite gives a connection one second to end, which a busy machine may not have.
                assert worse(direct, run(name, "twice")) == [], (name, found)
