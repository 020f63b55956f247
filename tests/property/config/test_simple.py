"""Any simple document either says what is wrong with it or stands for a valid full one."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from quantum.config.load import parse_json
from quantum.config.simple import adapt, is_simple
from quantum.errors import ConfigError
from services import catalog

places = st.sampled_from([
    ":8080", ":8081", "127.0.0.1:8082", "localhost:8083", "unix//run/q.sock", "app.example.com",
    "https://www.example.com", "http://plain.example.com:8084", "https://localhost:8443", ":80",
])  # fmt: skip
folders = st.sampled_from(["./a", "./b", "/srv/c"])
upstreams = st.sampled_from(["localhost:3000", "10.0.0.1:80", "http://b:1", "https://c", "unix//s"])
documents = st.fixed_dictionaries(
    {},
    optional={
        "proxy": st.dictionaries(upstreams, places, max_size=4),
        "static_files": st.dictionaries(folders, places, max_size=3),
        "file_sync": st.dictionaries(folders, places, max_size=2),
        "tls": st.sampled_from(["auto", "off", "./certificates"]),
        "admin_port": st.sampled_from([":2019", "localhost:2020", 2019]),
    },
)


@given(documents.filter(is_simple))
def test_a_simple_document_is_refused_or_validates(document) -> None:
    refusal = refusal_of(lambda: adapt(document))
    if refusal is not None:
        assert refusal.path or "nothing to serve" in refusal.problem
        return
    full = adapt(document)
    assert not is_simple(full)
    assert catalog.parse(document).id == catalog.parse(full).id


@given(st.binary(max_size=60) | st.text('{}[]:,"ab1 \n', max_size=40).map(str.encode))
def test_any_bytes_are_json_or_a_config_error(content: bytes) -> None:
    refusal = refusal_of(lambda: parse_json(content, "x"))
    assert refusal is None or str(refusal)


def refusal_of(action: Callable[[], object]) -> ConfigError | None:
    """Return the refusal of ``action``; any other failure goes through."""
    try:
        action()
    except ConfigError as error:
        return error
    return None
