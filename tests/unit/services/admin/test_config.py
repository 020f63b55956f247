"""The admin section is strict."""

from __future__ import annotations

import pytest

from quantum.errors import ConfigError
from services.admin.config import AdminConfig


def test_without_a_word_the_api_is_local():
    config = AdminConfig.parse({})
    assert str(config.listen) == "localhost:2019"
    assert not config.disabled


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"listen": "udp/:2019"}, "listen"),
        ({"listen": ":2019-2020"}, "listen"),
        ({"listen": 2019}, "listen"),
        ({"origins": ["https://a.test/path"]}, "origins"),
        ({"remote": {"listen": ":2021"}}, "remote"),
        ({"identity": {"identifiers": ["a"]}}, "identity"),
        ({"lissten": ":1"}, "lissten"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_where_it_stands(section, path):
    with pytest.raises(ConfigError) as caught:
        AdminConfig.parse(section)
    assert caught.value.path == path
