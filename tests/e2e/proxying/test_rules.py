"""What becomes of an upstream's answers, with the proxy here, with it in another process, and in Caddy."""

import pytest


def test_an_answer_without_a_rule_passes_with_the_proxys_own_changes(site):
    answer = site.get("/rules/echo")
    assert answer.json()["target"] == "/rules/echo"
    assert answer.headers["x-stamped"] == "1"
    assert "x-inner" not in answer.headers


def test_routes_answer_in_the_upstreams_place_and_know_what_it_said(site):
    answer = site.get("/rules/status/404")
    assert (answer.status, answer.text) == (404, "told 404 because 404")
    assert "x-stamped" not in answer.headers
    assert "x-inner" not in answer.headers


def test_a_file_is_sent_where_the_upstream_points_to_one(site):
    answer = site.get("/rules/elsewhere")
    assert (answer.status, answer.text) == (200, "from the disk")


def test_fields_of_the_upstream_can_be_taken_alone(site):
    answer = site.get("/rules/status/403")
    assert (answer.status, answer.text) == (403, "denied")
    assert answer.headers["x-reason"] == "because 403"
    assert "x-inner" not in answer.headers


def test_the_answer_itself_can_be_copied_under_another_status(site):
    answer = site.get("/rules/status/418")
    assert (answer.status, answer.text) == (200, "status 418")
    assert answer.headers["x-added"] == "1"
    assert answer.headers["x-stamped"] == "1"
    assert "x-inner" not in answer.headers


def test_routes_that_do_not_answer_go_on_behind_the_proxy(site):
    answer = site.get("/rules/status/410")
    assert (answer.status, answer.text) == (200, "after the proxy")
    assert answer.headers["x-added"] == "1"


def test_a_status_is_replaced_and_the_answer_kept(site):
    answer = site.get("/rules/status/503")
    assert (answer.status, answer.text) == (599, "status 503")
    assert answer.headers["x-stamped"] == "1"


def test_a_request_goes_on_once_somebody_vouched_for_it(site):
    answer = site.request("POST", "/auth/page?x=1", b"the body", X_Token="anna")
    assert answer.json() == {
        "method": "POST",
        "target": "/auth/page?x=1",
        "user": "anna",
        "body": "the body",
    }


def test_a_refusal_of_the_one_who_vouches_is_the_answer(site):
    answer = site.request("POST", "/auth/page?x=1", b"the body")
    assert (answer.status, answer.text) == (401, "who are you?")
    assert answer.headers["x-asked"] == "GET /auth/page?x=1"


def test_the_target_is_rewritten_for_the_upstream_alone(site):
    assert site.get("/moved/echo?a=1").json()["target"] == "/echo?a=1&q=1"


@pytest.mark.parametrize("size", [0, 10, 4096, 100_000])
def test_buffered_bodies_arrive_whole_whether_they_fit_or_not(site, size):
    answer = site.request("POST", "/buffered/echo", b"x" * size)
    assert len(answer.json()["body"]) == size


def test_an_answer_cannot_be_copied_where_there_is_none(site):
    assert site.get("/outside/x").status == 500


def test_nothing_answers_when_every_retry_failed(site):
    assert site.get("/gone/x").status == 502
