"""The proxy as transcripts: what came in, what went upstream, what went back."""

import asyncio

import pytest

from quantum.errors import BodyAborted, HttpError
from quantum.http.body import StreamBody, read_all
from quantum.testing.clock import settle

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def test_a_request_goes_up_and_its_answer_comes_back(bench, ask):
    await bench.use()
    task = await bench.start(ask("GET", "/x?a=1", b"", (b"accept", b"*/*"), (b"te", b"trailers")))
    assert bench.wires[0].sent() == (
        b"GET /x?a=1 HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nTe: trailers\r\n"
        b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\n"
        b"X-Forwarded-Host: example.com\r\nVia: 1.1 Quantum\r\n\r\n"
    )
    await bench.wires[0].answer(
        b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nServer: x\r\nConnection: X-Hop\r\n"
        b"X-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\nhello"
    )
    response = await task
    assert response.status == 201
    assert response.body == b"hello"
    assert response.headers.fields == [
        (b"content-length", b"5"),
        (b"server", b"x"),
        (b"via", b"1.1 Quantum"),
    ]


async def test_the_next_request_uses_the_connection_again(bench, ask):
    await bench.use()
    for _ in range(3):
        task = await bench.start(ask())
        await bench.wires[0].answer(OK)
        assert (await task).body == b"hello"
    assert len(bench.wires) == 1


async def test_two_requests_at_once_use_two_connections(bench, ask):
    await bench.use()
    tasks = [await bench.start(ask()), await bench.start(ask())]
    for wire in bench.wires:
        await wire.answer(OK)
    assert [(await task).body for task in tasks] == [b"hello", b"hello"]
    assert len(bench.wires) == 2


async def test_a_body_in_memory_leaves_with_its_head(bench, ask):
    await bench.use()
    await bench.start(ask("POST", "/p", b"data", (b"content-length", b"9"), (b"expect", b"x")))
    head, _, body = bench.wires[0].sent().partition(b"\r\n\r\n")
    assert body == b"data"
    assert head.count(b"Content-Length") == 1
    assert b"Content-Length: 4" in head
    assert b"Expect" not in head


@pytest.mark.parametrize(("method", "announced"), [("POST", True), ("GET", False)])
async def test_a_missing_body_is_announced_where_one_is_expected(bench, ask, method, announced):
    await bench.use()
    await bench.start(ask(method))
    assert (b"Content-Length: 0" in bench.wires[0].sent()) is announced


async def test_a_streamed_body_of_unknown_length_is_sent_in_chunks_with_its_trailers(bench, ask):
    from quantum.http.headers import Headers

    await bench.use()
    body = StreamBody()
    task = await bench.start(ask("PUT", "/p", body))
    assert b"Transfer-Encoding: chunked\r\n\r\n" in bench.wires[0].sent()
    body.feed(b"one")
    await settle()
    assert bench.wires[0].sent() == b"3\r\none\r\n"
    body.finish(Headers([(b"x-sum", b"1")]))
    await settle()
    assert bench.wires[0].sent() == b"0\r\nX-Sum: 1\r\n\r\n"
    await bench.wires[0].answer(OK)
    assert (await task).body == b"hello"
    await bench.start(ask())
    assert len(bench.wires) == 1


@pytest.mark.parametrize("failure", [BodyAborted("client reset"), HttpError(408), HttpError(413)])
async def test_a_body_that_breaks_off_ends_the_request_and_the_connection(bench, ask, failure):
    await bench.use()
    body = StreamBody(10)
    task = await bench.start(ask("PUT", "/p", body))
    body.feed(b"one")
    body.fail(failure)
    with pytest.raises(type(failure)):
        await task
    await settle()
    assert bench.wires[0].is_closed


async def test_an_answer_before_the_body_was_sent_passes_and_the_connection_is_not_reused(
    bench, ask
):
    await bench.use()
    body = StreamBody(10)
    task = await bench.start(ask("PUT", "/p", body))
    await bench.wires[0].answer(b"HTTP/1.1 413 Too Big\r\nContent-Length: 0\r\n\r\n")
    assert (await task).status == 413
    await settle()
    assert bench.wires[0].is_closed
    assert body.is_ended


async def test_a_long_answer_streams_and_its_end_frees_the_connection(bench, ask):
    await bench.use()
    task = await bench.start(ask())
    wire = bench.wires[0]
    await wire.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    response = await task
    assert response.body.length == 6
    assert bench.service.report()[0]["num_requests"] == 1
    await wire.answer(b"def")
    assert await read_all(response.body, 100) == b"abcdef"
    assert bench.service.report()[0]["num_requests"] == 0
    await bench.start(ask())
    assert len(bench.wires) == 1


async def test_a_slow_client_holds_its_upstream_back_and_no_other(bench, ask):
    await bench.use()
    task = await bench.start(ask())
    wire = bench.wires[0]
    await wire.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
    response = await task
    assert wire.is_paused
    other = await bench.start(ask())
    await bench.wires[1].answer(OK)
    assert (await other).body == b"hello"
    iterator = aiter(response.body)
    await anext(iterator)
    assert not wire.is_paused


async def test_a_late_reader_does_not_disturb_the_next_exchange(bench, ask):
    await bench.use()
    first = await bench.start(ask())
    wire = bench.wires[0]
    await wire.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
    late = (await first).body
    await wire.answer(b"x" * 50_000)
    second = await bench.start(ask())
    assert len(bench.wires) == 1
    await wire.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"y" * 100_000)
    await second
    assert wire.is_paused
    assert len(await read_all(late, 200_000)) == 100_000
    assert wire.is_paused


async def test_a_client_that_leaves_closes_the_upstream_connection(bench, ask):
    await bench.use()
    task = await bench.start(ask())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.wires[0].is_closed
    assert bench.service.report()[0]["num_requests"] == 0


async def test_a_client_that_stops_reading_closes_the_upstream_connection(bench, ask):
    await bench.use()
    task = await bench.start(ask())
    await bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    await (await task).body.aclose()
    assert bench.wires[0].is_closed
    assert bench.service.report()[0]["num_requests"] == 0


async def test_a_short_body_fails_the_answer_and_the_connection_is_not_reused(bench, ask):
    await bench.use()
    task = await bench.start(ask())
    await bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    response = await task
    await bench.wires[0].end()
    with pytest.raises(BodyAborted):
        await read_all(response.body, 100)
    await bench.start(ask())
    assert len(bench.wires) == 2


async def test_a_body_until_close_ends_properly_with_the_connection(bench, ask):
    await bench.use()
    task = await bench.start(ask())
    await bench.wires[0].answer(b"HTTP/1.0 200 OK\r\n\r\nabc")
    response = await task
    await bench.wires[0].end()
    assert await read_all(response.body, 100) == b"abc"


async def test_bytes_nobody_asked_for_close_an_idle_connection(bench, ask):
    await bench.use()
    task = await bench.start(ask())
    await bench.wires[0].answer(OK)
    await task
    await bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    assert bench.wires[0].is_closed
    task = await bench.start(ask())
    await bench.wires[1].answer(OK)
    assert (await task).body == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20,
    ],
)
async def test_an_answer_that_is_none_is_502_and_closes_the_connection(bench, ask, answer):
    await bench.use()
    task = await bench.start(ask())
    await bench.wires[0].answer(answer)
    with pytest.raises(HttpError) as caught:
        await task
    assert caught.value.status == 502
    assert "up1:80" in caught.value.reason
    assert bench.wires[0].is_closed


async def test_a_refused_connection_is_502_with_its_reason(bench, ask):
    await bench.use()
    bench.refusing["up1:80"] = ConnectionRefusedError(111, "Connection refused")
    with pytest.raises(HttpError) as caught:
        await bench.handler.handle(ask())
    assert caught.value.status == 502
    assert caught.value.reason == "upstream up1:80: dialing: Connection refused"


async def test_a_kept_connection_closed_under_a_request_is_replaced_once(bench, ask):
    await bench.use()
    task = await bench.start(ask())
    await bench.wires[0].answer(OK)
    await task
    task = await bench.start(ask())
    await bench.wires[0].end()
    await bench.wires[1].answer(OK)
    assert (await task).body == b"hello"


@pytest.mark.parametrize("case", ["a POST", "after a byte of the answer", "a fresh connection"])
async def test_what_may_have_been_processed_is_not_sent_again(bench, ask, case):
    await bench.use()
    if case != "a fresh connection":
        task = await bench.start(ask())
        await bench.wires[0].answer(OK)
        await task
    task = await bench.start(ask("POST" if case == "a POST" else "GET"))
    if case == "after a byte of the answer":
        await bench.wires[0].answer(b"H")
    await bench.wires[0].end()
    with pytest.raises(HttpError):
        await task
    assert len(bench.wires) == 1


async def test_a_dead_upstream_costs_a_request_nothing_when_retries_are_on(bench, ask):
    await bench.use(
        upstreams=[{"dial": "up1:80"}, {"dial": "up2:80"}],
        load_balancing={"selection_policy": {"policy": "first"}, "retries": 1},
    )
    bench.refusing["up1:80"] = ConnectionRefusedError(111, "Connection refused")
    task = await bench.start(ask("POST", "/p", b"data"))
    assert bench.wires[0].address == "up2:80"
    await bench.wires[0].answer(OK)
    assert (await task).status == 200


async def test_passive_checks_take_a_failing_upstream_out(bench, ask):
    await bench.use(
        upstreams=[{"dial": "up1:80"}, {"dial": "up2:80"}],
        load_balancing={"selection_policy": {"policy": "first"}},
        health_checks={"passive": {"fail_duration": "10s", "max_fails": 1}},
    )
    bench.refusing["up1:80"] = ConnectionRefusedError(111, "Connection refused")
    with pytest.raises(HttpError):
        await bench.handler.handle(ask())
    await bench.start(ask())
    assert bench.wires[0].address == "up2:80"


async def test_no_upstream_left_is_503_with_retry_after(bench, ask):
    await bench.use(health_checks={"active": {"path": "/h"}})
    await bench.stand("up1:80", healthy=False, reason="status 500")
    with pytest.raises(HttpError) as caught:
        await bench.handler.handle(ask())
    assert caught.value.status == 503
    assert "up1:80 status 500" in caught.value.reason
    assert caught.value.headers == ((b"retry-after", b"5"),)
    await bench.stand("up1:80", healthy=True)
    await bench.start(ask())
    assert len(bench.wires) == 1


async def test_a_bad_standing_nobody_repeats_is_forgotten(bench, ask):
    await bench.use(health_checks={"active": {"path": "/h"}})
    await bench.stand("up1:80", healthy=False, reason="status 500", valid_for=0.05)
    assert not bench.service.report()[0]["healthy"]
    await asyncio.sleep(0.1)
    assert bench.service.report()[0]["healthy"]


async def test_max_requests_is_a_bound(bench, ask):
    await bench.use(upstreams=[{"dial": "up1:80", "max_requests": 1}])
    task = await bench.start(ask())
    with pytest.raises(HttpError, match="full"):
        await bench.handler.handle(ask())
    await bench.wires[0].answer(OK)
    await task
    await bench.start(ask())


async def test_too_many_requests_at_once_make_an_upstream_unhealthy_for_others(bench, ask):
    passive = {"fail_duration": "10s", "unhealthy_request_count": 1}
    two = [{"dial": "up1:80"}, {"dial": "up2:80"}]
    first = {"selection_policy": {"policy": "first"}}
    await bench.use(upstreams=two, load_balancing=first, health_checks={"passive": passive})
    tasks = [await bench.start(ask()) for _ in two]
    assert [wire.address for wire in bench.wires] == ["up1:80", "up2:80"]
    with pytest.raises(HttpError, match="full") as caught:
        await bench.handler.handle(ask())
    assert caught.value.status == 503
    for wire, task in zip(bench.wires, tasks, strict=True):
        await wire.answer(OK)
        assert (await task).status == 200
    assert not (await bench.start(ask())).done()


async def test_a_request_beyond_max_conns_waits_for_a_connection(bench, ask):
    await bench.use(transport={"protocol": "http", "max_conns_per_host": 1})
    first, second, third = [await bench.start(ask()) for _ in range(3)]
    assert len(bench.wires) == 1
    second.cancel()
    await bench.wires[0].answer(OK)
    assert (await first).body == b"hello"
    await settle()
    await bench.wires[0].answer(OK)
    assert (await third).body == b"hello"
    assert len(bench.wires) == 1


async def test_the_header_timeout_is_504(bench, ask):
    await bench.use(transport={"protocol": "http", "response_header_timeout": "20ms"})
    with pytest.raises(HttpError) as caught:
        await bench.handler.handle(ask())
    assert caught.value.status == 504
    assert bench.wires[0].is_closed


async def test_a_silent_body_fails_after_the_read_timeout(bench, ask):
    await bench.use(transport={"protocol": "http", "read_timeout": "20ms"})
    task = await bench.start(ask())
    await bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    with pytest.raises(BodyAborted, match="timeout"):
        await read_all((await task).body, 100)


async def test_header_operations_see_the_chosen_upstream(bench, ask):
    await bench.use(
        headers={
            "request": {
                "set": {
                    "Host": ["{http.reverse_proxy.upstream.hostport}"],
                    "X-Forwarded-For": None,
                },
                "delete": ["X-Secret*"],
            },
            "response": {"set": {"X-Up": ["{http.reverse_proxy.upstream.hostport}"]}},
        }
    )
    task = await bench.start(ask("GET", "/", b"", (b"x-secret-1", b"1")))
    sent = bench.wires[0].sent()
    assert b"Host: up1:80\r\n" in sent
    assert b"X-Secret" not in sent
    assert b"X-Forwarded-For" not in sent
    await bench.wires[0].answer(OK)
    assert (await task).headers.get(b"x-up") == b"up1:80"


async def test_early_hints_pass_before_the_answer(bench, ask):
    await bench.use()
    hints = []
    request = ask(informational=lambda status, headers: hints.append((status, headers.fields)))
    task = await bench.start(request)
    await bench.wires[0].answer(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    assert hints == [(103, [(b"link", b"</a>")])]
    await bench.wires[0].answer(OK)
    assert (await task).status == 200


async def test_an_unchanged_handler_keeps_its_connections_over_a_reload(bench, ask):
    await bench.use("r1")
    task = await bench.start(ask())
    await bench.wires[0].answer(OK)
    await task
    await bench.use("r2")
    await bench.start(ask())
    assert len(bench.wires) == 1


async def test_a_target_that_would_split_the_request_is_refused(bench, ask):
    await bench.use()
    with pytest.raises(HttpError) as caught:
        await bench.handler.handle(ask("GET", "/a HTTP/1.1\r\nX: y"))
    assert caught.value.status == 400
    assert bench.wires[0].received == b""
