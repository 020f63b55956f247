"""What travels with a request, without a wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantum.errors import HttpError
from quantum.hop.envelope import (
    PREFIX,
    TOKEN,
    Address,
    RevisionLackingError,
    error_fields,
    open_request,
    open_response,
    parse_address,
    request_fields,
    response_fields,
    split_fields,
)
from quantum.hop.facts import FactsCache
from quantum.http.headers import Headers
from quantum.http.message import ConnectionFacts, Request, Response
from quantum.testing.handler import FACTS, make_request

ADDRESS = Address("static", "r1", "apps.http.servers.srv0.routes[0].handle[0]")
LEAD = [(TOKEN, b"secret"), ADDRESS.field()]


def travel(request, now=100.0):
    fields = request_fields(request, LEAD, now)
    envelope, own = split_fields([(bytes(n), bytes(v)) for n, v in fields])
    return open_request(envelope, own, request.body, FactsCache(), now)


def test_a_client_cannot_speak_for_the_hop():
    request = make_request(
        "GET", b"", (b"quantum-token", b"mine"), (b"quantum-client-ip", b"9.9.9.9")
    )
    fields = request_fields(request, LEAD, 0.0)
    assert [v for n, v in fields if n == TOKEN] == [b"secret"]
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
        envelope, own = split_fields(request_fields(request, LEAD, 0.0))
        arrived.append(open_request(envelope, own, b"", cache, 0.0).connection)
    assert facts.encoded is not None
    assert arrived[0] is arrived[1]
    assert (arrived[0].peer, arrived[0].tls) == (("1.2.3.4", 5), None)


def test_the_deadline_travels_as_what_is_left_of_it():
    request = make_request()
    request.deadline = 107.5
    fields = request_fields(request, LEAD, 100.0)
    envelope, own = split_fields(fields)
    assert open_request(envelope, own, b"", FactsCache(), 5000.0).deadline == 5007.5


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
    assert parse_address(address.field()[1]) == address


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


@pytest.mark.parametrize(
    "broken",
    [
        {b"quantum-facts": b"no json"},
        {b"quantum-facts": b"{}"},
        {b"quantum-facts": b'{"peer":[],"local":[],"scheme":"","server":""}'},
        {b"quantum-deadline": b"soon"},
        {b"quantum-original": b"[]"},
        {b"quantum-vars": b"["},
        {b":path": b"\xff"},
        {b"quantum-request-id": None},
    ],
)
def test_what_is_no_envelope_is_a_400(broken):
    request = make_request()
    request.deadline = 1.0
    envelope, own = split_fields(request_fields(request, LEAD, 0.0))
    for name, value in broken.items():
        if value is None:
            del envelope[name]
        else:
            envelope[name] = value
    with pytest.raises(HttpError) as raised:
        open_request(envelope, own, b"", FactsCache(), 0.0)
    assert raised.value.status == 400


def test_an_address_that_names_nobody_is_a_400():
    with pytest.raises(HttpError):
        parse_address(b"static r1")


def test_the_common_request_needs_no_rare_field():
    request = make_request()
    request.connection = FACTS
    envelope, _ = split_fields(request_fields(request, LEAD, 0.0))
    assert len(envelope) == 8


def test_what_is_remembered_of_a_field_is_how_it_travels_not_whose_it_was():
    for _ in range(2):
        request = make_request("GET", b"", (b"te", b"trailers"), (b"te", b"gzip"), (b"a", b" 1"))
        fields = travel(request).headers.fields
        assert fields == [(b"accept", b"*/*"), (b"te", b"trailers"), (b"a", b"1")]
