"""The cases of Autobahn that take no time and look at frames, not at text or compression: 102 of 517."""

import pytest

from tests.autobahn.run import verdicts, ways, worse

LONG = ("6.*", "9.*", "12.*", "13.*")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("topology", [pytest.param("all", marks=pytest.mark.big), "split"])
def test_no_case_is_worse_through_the_platform(topology: str, tmp_path) -> None:
    with ways((topology,)) as ports:
        found = {
            name: verdicts(port, tmp_path / name.replace(", ", "-"), LONG, 60)
            for name, port in ports.items()
        }
    direct = found.pop("direct")
    assert len(direct) == 102
    for name, proxied in found.items():
        assert worse(direct, proxied) == [], name
