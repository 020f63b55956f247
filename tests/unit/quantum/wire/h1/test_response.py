"""Reading responses: what is one, what is none, and what makes a connection unfit for the next."""

import pytest

from quantum.wire.h1 import response
from quantum.wire.h1.response import BadResponse, ResponseReader


def read(*pieces: bytes, method: str = "GET", upgrade: bool = False) -> ResponseReader:
    reader = ResponseReader()
    reader.expect(method, upgrade=upgrade)
    for piece in pieces:
        reader.feed(piece)
    return reader


def feed_in_pieces(reader: ResponseReader, count: int = 20) -> None:
    for _ in range(count):
        reader.feed(b"a" * 100)


def test_a_sized_response_in_one_read_is_complete():
    reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi")
    assert (reader.status, reader.chunks) == (200, [b"hi"])
    assert reader.fields == [(b"content-length", b"2"), (b"x-a", b"b")]
    assert reader.is_complete
    assert reader.keep_alive
    assert reader.length == 2


def test_every_split_of_a_chunked_response_reads_the_same():
    data = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n3;x=y\r\n ho\r\n0\r\nX-Sum: 5\r\n\r\n"
    )
    for cut in range(1, len(data)):
        reader = read(data[:cut], data[cut:])
        assert b"".join(reader.chunks) == b"hi ho"
        assert reader.trailers == [(b"x-sum", b"5")]
        assert reader.is_complete
        assert reader.keep_alive


def test_the_next_response_follows_on_the_same_reader():
    reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    reader.expect("GET")
    reader.feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert (reader.status, reader.chunks, reader.is_complete) == (404, [], True)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_doubtful_framing_is_refused(head):
    with pytest.raises(BadResponse):
        read(head)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_a_status_without_body_ends_with_its_head(status):
    reader = read(b"HTTP/1.1 " + status + b"\r\nContent-Length: 9\r\n\r\n")
    assert reader.is_complete
    assert reader.keep_alive


def test_the_answer_to_head_has_no_body_and_the_next_answer_is_read_well():
    reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", method="HEAD")
    assert reader.is_complete
    assert reader.keep_alive
    reader.expect("GET")
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    assert reader.chunks == [b"x"]


def test_an_answer_to_head_without_length_keeps_the_connection_unless_it_says_close():
    assert read(b"HTTP/1.1 200 OK\r\n\r\n", method="HEAD").keep_alive
    assert not read(b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", method="HEAD").keep_alive
    assert not read(b"HTTP/1.0 200 OK\r\n\r\n", method="HEAD").keep_alive


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\nhi"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n"),
    ],
)
def test_bytes_behind_the_end_make_the_connection_unfit(method, data):
    reader = read(data, method=method)
    assert reader.is_complete
    assert reader.excess
    assert not reader.keep_alive


def test_a_body_without_length_ends_with_the_connection():
    reader = read(b"HTTP/1.1 200 OK\r\n\r\n", b"hi")
    assert reader.until_close
    assert not reader.is_complete
    reader.feed_eof()
    assert reader.is_complete
    assert not reader.keep_alive


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    ],
)
def test_an_end_inside_a_response_is_refused(data):
    reader = read(data) if data else read()
    with pytest.raises(BadResponse):
        reader.feed_eof()


def test_informational_responses_come_before_the_final_one():
    reader = read(
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    )
    assert reader.informational == [(103, [(b"link", b"</a>")])]
    assert reader.status == 200
    assert reader.is_complete


def test_endless_informational_responses_are_refused():
    with pytest.raises(BadResponse, match="informational"):
        read(*[b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 17)


def test_an_endless_head_is_refused():
    reader = ResponseReader(max_head_bytes=1000)
    reader.expect("GET")
    reader.feed(b"HTTP/1.1 200 OK\r\nX: ")
    with pytest.raises(BadResponse, match="1000 bytes"):
        feed_in_pieces(reader)


def test_too_many_fields_are_refused():
    with pytest.raises(BadResponse, match="fields"):
        read(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (response.MAX_FIELDS + 1) + b"\r\n")


@pytest.mark.parametrize("start", [b"2;", b"0\r\nX: "], ids=["chunk extension", "trailer"])
def test_what_never_ends_inside_a_chunked_body_is_refused(start):
    reader = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + start)
    with pytest.raises(BadResponse, match=r"too la|too lo"):
        feed_in_pieces(reader, 200)


def test_a_switch_that_was_asked_for_hands_over_the_bytes_behind_it():
    reader = read(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81",
        upgrade=True,
    )
    assert (reader.status, reader.upgraded) == (101, b"\x81")
    assert not reader.keep_alive


def test_a_plain_answer_to_an_upgrade_is_read_as_usual():
    reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", upgrade=True)
    assert (reader.status, reader.chunks, reader.upgraded) == (200, [b"no"], None)
