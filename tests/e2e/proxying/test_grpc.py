"""gRPC through the whole way: a grpcio client, edge over h2c, the proxy, a grpcio server; and in Caddy."""

import queue

import grpc
import pytest

from tests.e2e.proxying.grpc_upstream import SERVICE


def test_a_call_carries_metadata_both_ways_and_trailers(channel, calls):
    call = channel.unary_unary(f"/{SERVICE}/Echo")
    answer, state = call.with_call(b"hello", metadata=(("x-own", "1"),), timeout=10)
    assert answer == b"hello"
    assert dict(state.initial_metadata())["first"] == "head"
    trailing = dict(state.trailing_metadata())
    assert (trailing["last"], trailing["raw-bin"]) == ("trailer", b"\x00\xff")
    assert calls.seen_metadata["x-own"] == "1"
    assert calls.seen_metadata["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize("size", [0, 70_000, 3_000_000])
def test_a_message_of_any_size_comes_back_whole(channel, size):
    call = channel.unary_unary(f"/{SERVICE}/Echo")
    assert len(call(b"x" * size, timeout=20)) == size


def test_an_error_arrives_with_its_code_its_words_and_its_trailers(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{SERVICE}/Fail")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "not in this state: ü"
    assert dict(caught.value.trailing_metadata())["why"] == "because"


def test_a_method_nobody_has_is_told_in_the_head_alone(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{SERVICE}/Nothing")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_server_streams(channel):
    got = list(channel.unary_stream(f"/{SERVICE}/Count")(b"300", timeout=20))
    assert got == [str(number).encode() for number in range(300)]


def test_a_client_streams(channel):
    messages = iter([b"x" * 10_000] * 100)
    assert channel.stream_unary(f"/{SERVICE}/Sum")(messages, timeout=20) == b"1000000"


def test_both_speak_in_turn_on_one_stream(channel):
    said: queue.Queue = queue.Queue()
    answers = channel.stream_stream(f"/{SERVICE}/Chat")(iter(said.get, None), timeout=20)
    for number in range(5):
        said.put(str(number).encode())
        assert next(answers) == f"re: {number}".encode()
    said.put(None)
    assert list(answers) == []


def test_a_deadline_ends_a_call_and_the_server_hears_of_it(channel, calls):
    calls.cancelled.clear()
    answers = channel.unary_stream(f"/{SERVICE}/Hang")(b"", timeout=0.5)
    assert next(answers) == b"begun"
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert calls.cancelled.wait(5)


def test_a_cancelled_call_is_cancelled_upstream(channel, calls):
    calls.cancelled.clear()
    answers = channel.unary_stream(f"/{SERVICE}/Hang")(b"", timeout=20)
    assert next(answers) == b"begun"
    assert not calls.cancelled.is_set()
    answers.cancel()
    assert calls.cancelled.wait(5)


def test_many_calls_share_the_way(channel):
    call = channel.unary_unary(f"/{SERVICE}/Echo")
    pending = [call.future(str(number).encode(), timeout=20) for number in range(300)]
    assert [one.result() for one in pending] == [str(n).encode() for n in range(300)]


def test_an_upstream_that_is_away_makes_the_call_unavailable(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/quantum.test.Gone/Echo")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
