"""What travels with a request, without a wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantum.errors import HttpError
from quantum.hop.envelope import (
    PREFIX,
    PROBE,
    Address,
    RevisionLackingError,
    error_fields,
    is_probe,
    lead_of,
    open_request,
    open_response,
    parse_lead,
    request_fields,
    response_fields,
)
from quantum.hop.facts import FactsCache
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request, Response
from quantum.testing.handler import make_request

ADDRESS = Address("static", "r1", "apps.http.servers.srv0.routes[0].handle[0]")
LEAD = ADDRESS.lead("secret")


def travel(request, now=100.0):
    fields = request_fields(request, LEAD, now)
    return open_request(fields, request.body, FactsCache(), now)


def test_a_client_cannot_speak_for_the_hop():
    request = make_request(
        "GET", b"", (b"quantum-token", b"mine"), (b"quantum-client-ip", b"9.9.9.9")
    )
    fields = request_fields(request, LEAD, 0.0)
    assert b"mine" not in dict(fields).values()
    assert b"9.9.9.9" not in dict(fields).values()
    arrived = travel(request)
    assert arrived.client_ip == "192.0.2.7"
    assert not any(n.startswith(PREFIX) for n, _ in arrived.headers)


def test_a_handler_cannot_speak_for_the_hop():
    response = Response(200, Headers([(b"quantum-error", b"418 forged"), (b"x", b"1")]))
    head = open_response(response_fields(response))
    assert (head.status, head.headers.fields) == (200, [(b"x", b"1")])


def test_fields_of_one_connection_and_blanks_around_values_stay_behind():
    request = make_request("GET", b"", (b"connection", b"close"), (b"te", b"gzip"), (b"x", b" a\t"))
    assert travel(request).headers.fields == [(b"accept", b"*/*"), (b"x", b"a")]


def test_the_facts_of_a_connection_are_spelled_once_and_understood_once():
    facts = ConnectionFacts(("1.2.3.4", 5), ("", 0), "http")
    cache = FactsCache()
    arrived = []
    for _ in range(2):
        request = Request("GET", "http", "a", "/", None, Headers(), b"", facts)
        arrived.append(open_request(request_fields(request, LEAD, 0.0), b"", cache, 0.0).connection)
    assert facts.encoded is not None
    assert arrived[0] is arrived[1]
    assert (arrived[0].peer, arrived[0].tls) == (("1.2.3.4", 5), None)


def test_the_deadline_travels_as_what_is_left_of_it():
    request = make_request()
    request.deadline = 107.5
    fields = request_fields(request, LEAD, 100.0)
    assert open_request(fields, b"", FactsCache(), 5000.0).deadline == 5007.5


def test_variables_that_are_no_json_stay_at_home():
    request = make_request()
    request.vars.update({"kept": [1, {"a": None}], "object": object(), "keys": {1: 2}})
    assert travel(request).vars == {"kept": [1, {"a": None}]}


@given(st.text(), st.text(min_size=1, alphabet=st.characters(codec="utf-8")), st.none() | st.text())
def test_any_target_and_method_arrives(method, path, query):
    request = make_request(method)
    path = path.replace("?", "")
    request.path, request.query = path, query
    arrived = travel(request)
    assert (arrived.method, arrived.path, arrived.query) == (method, path, query)


@given(st.text(), st.text(), st.text())
def test_any_address_arrives(room, revision, path):
    room, revision = room.replace(" ", ""), revision.replace(" ", "")
    address = Address(room, revision, path)
    assert parse_lead(address.lead("t")) == (b"t", address)


@given(st.integers(400, 599), st.text(max_size=3000))
def test_an_error_arrives_with_its_reason(status, reason):
    fields = error_fields(HttpError(status, reason, ((b"allow", b"GET"),)))
    for _, value in fields:
        assert value == value.strip(b" \t"), "HTTP/2 refuses blanks around values"
        assert not set(value) & set(b"\r\n\0")
    with pytest.raises(HttpError) as raised:
        open_response(fields)
    assert raised.value.status == status
    assert reason.startswith(raised.value.reason)
    assert raised.value.headers == ((b"allow", b"GET"),)


def test_a_lacking_revision_is_told_from_any_other_503():
    with pytest.raises(RevisionLackingError):
        open_response(error_fields(RevisionLackingError(), retry=True))
    with pytest.raises(HttpError) as raised:
        open_response(error_fields(HttpError(503)))
    assert not isinstance(raised.value, RevisionLackingError)


def test_an_upgrade_and_a_close_keep_their_meaning():
    async def upgrade(stream):
        raise NotImplementedError

    head = open_response(response_fields(Response(101, Headers([(b"x", b"1")]), upgrade=upgrade)))
    assert (head.status, head.headers.fields) == (101, [(b"x", b"1")])
    assert open_response(response_fields(Response(200, close=True))).is_closing


def head(request=None):
    """The fields of a request with something rare, by hand."""
    request = request or make_request()
    request.deadline = 1.0
    return request_fields(request, LEAD, 0.0)


@pytest.mark.parametrize(
    "broken",
    [
        (1, b"no json", b""),
        (1, b"{}", b""),
        (1, b'{"peer":[],"local":[],"scheme":"","server":""}', b""),
        (0, b"GET https example.com /", LEAD),
        (0, b"GET https example.com / HTTP/1.1 id more", LEAD),
        (0, b"\xff https example.com / HTTP/1.1 id", LEAD),
        (2, b"quantum-deadline", b"soon"),
        (2, b"quantum-original", b"[]"),
        (2, b"quantum-vars", b"["),
    ],
)
def test_what_is_no_envelope_is_a_400(broken):
    fields = head()
    index, name, value = broken
    fields[index] = (name, value)
    with pytest.raises(HttpError) as raised:
        open_request(fields, b"", FactsCache(), 0.0)
    assert raised.value.status == 400


@pytest.mark.parametrize("length", [0, 1])
def test_a_head_of_nothing_is_a_400(length):
    fields = head()[:length]
    assert lead_of(fields) == b""
    with pytest.raises(HttpError) as raised:
        open_request(fields, b"", FactsCache(), 0.0)
    assert raised.value.status == 400


def test_a_lead_that_names_nobody_is_a_400():
    with pytest.raises(HttpError):
        parse_lead(b"token static%20r1")


def test_the_common_request_needs_no_rare_field():
    fields = request_fields(make_request(), LEAD, 0.0)
    assert len(fields) == 2 + len(make_request().headers)
    assert fields[1][1] == b""


def test_only_a_probe_is_a_probe():
    assert is_probe(request_fields(make_request(), LEAD, 0.0, PROBE))
    assert not is_probe(request_fields(make_request("GET", b"?"), LEAD, 0.0))


def test_what_is_remembered_of_a_field_is_how_it_travels_not_whose_it_was():
    for _ in range(2):
        request = make_request("GET", b"", (b"te", b"trailers"), (b"te", b"gzip"), (b"a", b" 1"))
        fields = travel(request).headers.fields
        assert fields == [(b"accept", b"*/*"), (b"te", b"trailers"), (b"a", b"1")]
