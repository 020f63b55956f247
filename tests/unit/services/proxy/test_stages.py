"""Retries of answers, bodies that are held back, and what is never sent twice."""

import asyncio

import pytest
from structlog.testing import capture_logs

from quantum.errors import BodyAborted, HttpError
from quantum.hop.handed_back import HandedBack, Note, decode_note
from quantum.http.body import StreamBody
from quantum.http.headers import Headers
from quantum.modules.border import RETRY_VAR, REWRITTEN_VAR
from quantum.testing.clock import settle

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 1\r\n\r\nbusy"
RETRYING = {"retries": 1, "retry_on": {"status_code": [503]}}
TWO = [{"dial": "up1:80"}, {"dial": "up2:80"}]


async def test_an_unwanted_answer_is_asked_for_again_elsewhere(bench, ask):
    await bench.use(upstreams=TWO, load_balancing=RETRYING)
    task = await bench.start(ask())
    await bench.wires[0].answer(BUSY)
    assert {wire.address for wire in bench.wires} == {"up1:80", "up2:80"}
    await bench.wires[1].answer(OK)
    assert (await task).status == 200


async def test_the_last_answer_is_given_when_no_retry_is_left(bench, ask):
    await bench.use(upstreams=TWO, load_balancing=RETRYING)
    task = await bench.start(ask())
    await bench.wires[0].answer(BUSY)
    await bench.wires[1].answer(BUSY)
    assert ((await task).status, (await task).body) == (503, b"busy")


async def test_an_unwanted_answer_that_streams_is_cut_off(bench, ask):
    await bench.use(upstreams=TWO, load_balancing=RETRYING)
    task = await bench.start(ask())
    await bench.wires[0].answer(b"HTTP/1.1 503 Busy\r\nContent-Length: 400000\r\n\r\nbu")
    assert bench.wires[0].is_closed
    await bench.wires[1].answer(OK)
    assert (await task).status == 200


async def test_other_methods_are_retried_only_where_retry_match_says_so(bench, ask):
    await bench.use(upstreams=TWO, load_balancing=RETRYING)
    task = await bench.start(ask("POST", "/", b"data"))
    await bench.wires[0].answer(BUSY)
    assert (await task).status == 503
    matched = ask("POST", "/", b"data")
    matched.vars[RETRY_VAR] = True
    task = await bench.start(matched)
    used = [wire for wire in bench.wires if wire.received]
    await used[0].answer(BUSY)
    other = next(w for w in bench.wires if w.address != used[0].address)
    assert other.sent().endswith(b"data")
    await other.answer(OK)
    assert (await task).status == 200


async def test_retry_match_takes_get_out_as_well(bench, ask):
    await bench.use(upstreams=TWO, load_balancing=RETRYING)
    request = ask()
    request.vars[RETRY_VAR] = False
    task = await bench.start(request)
    await bench.wires[0].answer(BUSY)
    assert (await task).status == 503


async def test_a_body_that_was_consumed_is_never_sent_again(bench, ask):
    await bench.use(upstreams=TWO, load_balancing=RETRYING)
    body = StreamBody()
    request = ask("PUT", "/", body)
    request.vars[RETRY_VAR] = True
    task = await bench.start(request)
    body.feed(b"first")
    await settle()
    await bench.wires[0].answer(BUSY)
    assert (await task).status == 503
    assert len(bench.wires) == 1


async def test_a_buffered_body_is_sent_again(bench, ask):
    await bench.use(upstreams=TWO, load_balancing=RETRYING, request_buffers=100)
    body = StreamBody()
    request = ask("PUT", "/", body)
    request.vars[RETRY_VAR] = True
    task = await bench.start(request)
    body.feed(b"first")
    assert bench.wires == []
    body.finish()
    await settle()
    await bench.wires[0].answer(BUSY)
    assert bench.wires[1].sent().endswith(b"Content-Length: 5\r\n\r\nfirst")
    await bench.wires[1].answer(OK)
    assert (await task).status == 200


async def test_a_body_above_the_buffer_streams_and_is_not_sent_again(bench, ask):
    await bench.use(upstreams=TWO, load_balancing=RETRYING, request_buffers=4)
    body = StreamBody()
    request = ask("PUT", "/", body)
    request.vars[RETRY_VAR] = True
    task = await bench.start(request)
    body.feed(b"first")
    await settle()
    body.feed(b"rest")
    body.finish()
    await settle()
    assert bench.wires[0].sent().endswith(b"5\r\nfirst\r\n4\r\nrest\r\n0\r\n\r\n")
    await bench.wires[0].answer(BUSY)
    assert (await task).status == 503


async def test_a_client_that_leaves_while_its_body_is_buffered_reaches_nobody(bench, ask):
    await bench.use(request_buffers=100)
    body = StreamBody()
    task = await bench.start(ask("PUT", "/", body))
    body.fail(BodyAborted("gone"))
    with pytest.raises(BodyAborted):
        await task
    assert bench.wires == []


async def test_an_answer_that_breaks_off_in_the_buffer_is_a_502(bench, ask):
    await bench.use(response_buffers=100)
    task = await bench.start(ask())
    await bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    assert not task.done()
    await bench.wires[0].end()
    with pytest.raises(HttpError) as caught:
        await task
    assert caught.value.status == 502
    assert all(not up.in_flight for up in bench.service._upstreams)


async def test_a_cancelled_wait_for_a_buffered_answer_frees_the_upstream(bench, ask):
    await bench.use(response_buffers=100)
    task = await bench.start(ask())
    await bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.wires[0].is_closed
    assert all(not up.in_flight for up in bench.service._upstreams)


async def test_the_rewritten_line_goes_up_and_the_request_stays_as_it_was(bench, ask):
    await bench.use(response_buffers=1)
    request = ask()
    request.vars[REWRITTEN_VAR] = ["HEAD", "/other?b=2"]
    await bench.start(request)
    assert bench.wires[0].sent().startswith(b"HEAD /other?b=2 HTTP/1.1\r\n")
    assert (request.method, request.target) == ("GET", "/x?a=1")


async def test_an_answer_for_routes_carries_the_upstreams_own_fields(bench, ask):
    rules = [{"match": {"status_code": [2]}, "routes": []}]
    await bench.use(handle_response=rules, headers={"response": {"set": {"X-Own": ["1"]}}})
    task = await bench.start(ask())
    await bench.wires[0].answer(OK)
    response = await task
    assert isinstance(response, HandedBack)
    assert response.upstream_headers.fields == [(b"content-length", b"5")]
    assert response.headers.get(b"x-own") == b"1"
    assert response.note.facts["http.reverse_proxy.upstream.address"] == "tcp/up1:80"


@pytest.mark.parametrize("fields", [None, [], [(b"x", b"\xff\r \"'")]])
def test_a_note_survives_the_journey(fields):
    note = Note(3, fields, {"http.x": "ü"})
    assert decode_note(note.encode()) == note
    assert HandedBack(200, Headers(), b"", note).note.rule == 3


async def test_verbose_logs_tell_each_step_and_no_secret(bench, ask):
    with capture_logs() as logs:
        await bench.use(upstreams=TWO[:1], verbose_logs=True)
        task = await bench.start(ask())
        wire = bench.wires[0]
        await wire.answer(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: s=secret\r\nContent-Length: 6\r\n\r\nabc"
        )
        response = await task
        assert await anext(response.body) == b"abc"
        await wire.answer(b"def")
        assert [chunk async for chunk in response.body] == [b"def"]
    events = [log for log in logs if log["event"].startswith("upstream_")]
    assert [e["event"] for e in events] == [
        "upstream_answered", "upstream_body_passed", "upstream_body_passed", "upstream_body_ended",
    ]  # fmt: skip
    assert {e["log_level"] for e in events} == {"debug"}
    assert {e["upstream"] for e in events} == {"up1:80"}
    assert (events[0]["status"], events[-1]["bytes"]) == (200, 6)
    assert "secret" not in repr(logs)


async def test_verbose_logs_tell_of_a_body_that_breaks_off(bench, ask):
    with capture_logs() as logs:
        await bench.use(upstreams=TWO[:1], verbose_logs=True)
        task = await bench.start(ask())
        await bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        response = await task
        assert await anext(response.body) == b"abc"
        response.body._body.fail(BodyAborted("gone"))
        with pytest.raises(BodyAborted):
            await anext(response.body)
    assert logs[-1]["event"] == "upstream_body_broke_off"
    assert (logs[-1]["bytes"], logs[-1]["reason"]) == (3, "gone")
