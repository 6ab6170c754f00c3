"""TURN over a stream, by aioice's own client."""

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamer.rtc._aiortc.gathering import TurnOverTcp

READ = 262_144  # bytes: what asyncio reads at most at a time


class Transport:
    def get_extra_info(self, name: str) -> tuple[str, int]:
        return ("127.0.0.1", 3478)


class Client(TurnOverTcp):
    """Notes its messages, and how much was copied for them."""

    def __init__(self) -> None:
        self.transport: Any = Transport()
        self.messages: list[bytes] = []
        self.copied = 0

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        assert isinstance(data, bytes)
        self.messages.append(data)
        self.copied += len(self.buffer)


def test_a_read_full_of_small_messages_is_not_copied_for_each_of_them() -> None:
    client = Client()
    client.data_received(struct.pack("!HH", 0x4000, 0) * (READ // 4))
    assert len(client.messages) == READ // 4
    assert client.copied < 1000 * READ


@given(st.lists(st.binary(max_size=9000), max_size=6), st.data())
def test_messages_arrive_whole_however_the_stream_is_cut(contents: list[bytes], data: st.DataObject) -> None:
    messages = [struct.pack("!HH", 0x4000, len(each)) + each + bytes(-len(each) % 4) for each in contents]
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    client = Client()
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        client.data_received(stream[begin:end])
    assert client.messages == messages
