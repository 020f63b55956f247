"""What a client learns of a failure: a status, the fields that belong to it, nothing else."""

from __future__ import annotations

import pytest

from quantum.errors import BodyAborted, BusUnavailable, ClientGone, HttpError
from quantum.http.failure import describe, failed_status, response_of
from quantum.http.headers import Headers
from quantum.testing.routing import make_request


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HttpError(404, "no such file"), 404),
        (TimeoutError("upstream"), 504),
        (BusUnavailable("nats"), 503),
        (ValueError("a defect"), 500),
    ],
)
def test_each_failure_has_a_status_and_no_body(error, status):
    response = response_of(error, make_request())
    assert (response.status, response.body, response.headers.fields) == (status, b"", [])
    assert not response.abort


@pytest.mark.parametrize("error", [ClientGone("left"), BodyAborted("cut")])
def test_a_client_that_is_gone_is_not_answered(error):
    assert response_of(error, make_request()).abort


def test_fields_of_the_error_win_over_fields_set_before():
    request = make_request()
    request.response_fields = Headers([(b"allow", b"*"), (b"x-frame-options", b"DENY")])
    response = response_of(HttpError(405, "", ((b"allow", b"GET, HEAD"),)), request)
    assert response.headers.fields == [(b"x-frame-options", b"DENY"), (b"allow", b"GET, HEAD")]


def test_an_error_is_described_for_the_error_routes():
    request = make_request()
    assert describe(HttpError(502, "upstream said no"), request) == 502
    assert request.vars["http.error.message"] == "upstream said no"
    assert request.vars["http.error.status_text"] == "Bad Gateway"
    assert failed_status(request) == 502
    assert failed_status(make_request()) is None


def test_a_defect_is_described_without_its_details():
    request = make_request()
    describe(KeyError("password"), request)
    assert "password" not in str(request.vars)
