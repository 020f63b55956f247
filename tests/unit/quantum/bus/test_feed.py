"""Where a message of a stream is, told by its reply subject."""

import pytest
from nats.aio.msg import Msg

from quantum.bus.nats.feed import places_of


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.stream.consumer.1.12345.678.1700000000000000000.0",
        "$JS.ACK._.account.stream.consumer.1.12345.678.1700000000000000000.0",
        "$JS.ACK.hub.account.stream.consumer.1.12345.678.1700000000000000000.0.token",
    ],
)
def test_both_forms_of_a_reply_say_the_place_in_the_stream_and_in_the_feed(reply):
    sequence = Msg.Metadata._from_reply(reply).sequence
    assert places_of(reply) == (sequence.stream, sequence.consumer) == (12345, 678)
