"""Data channels through aiortc: what is sent, and the bounds of what is kept."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiortc import (
    RTCDataChannel,
    RTCDataChannelParameters,
)
from aiortc.rtcsctptransport import SCTP_DATA_FIRST_FRAG, WEBRTC_BINARY, WEBRTC_DCEP, DataChunk, tsn_plus_one

from streamer.rtc._aiortc import hardening
from streamer.rtc._aiortc.input_channels import BYTES_LIMIT
from tests.support.webrtc_pair import LIMIT_S, Pair


async def test_the_phone_sees_our_input_channel_and_receives_what_is_sent() -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        pair.sender.createDataChannel("status")
        announced: asyncio.Queue[RTCDataChannel] = asyncio.Queue()
        messages: asyncio.Queue[bytes] = asyncio.Queue()

        def on_channel(channel: RTCDataChannel) -> None:
            channel.on("message", messages.put_nowait)
            announced.put_nowait(channel)

        pair.sender.on("datachannel", on_channel)
        assert not pair.peer.send_input(b"too early", reliable=False)
        await pair.connect()
        channel = await announced.get()
        assert (channel.label, channel.ordered, channel.maxRetransmits) == ("input", False, 0)
        await pair.input_opened.wait()
        assert pair.peer.send_input(b"touch", reliable=False)
        assert await messages.get() == b"touch"


async def test_reliable_and_unreliable_input_go_over_the_channel_that_the_phone_announces() -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        ours: list[bytes] = []
        pair.sender.on("datachannel", lambda channel: channel.on("message", ours.append))
        theirs = pair.sender.createDataChannel("input", ordered=False, maxRetransmits=0)
        messages: asyncio.Queue[bytes] = asyncio.Queue()
        theirs.on("message", messages.put_nowait)
        await pair.connect()
        await pair.input_opened.wait()
        receipt = pair.peer.send_input(b"down", reliable=True)
        assert receipt is not None
        assert pair.peer.send_input(b"move", reliable=False)
        assert {await messages.get(), await messages.get()} == {b"down", b"move"}
        while not receipt.is_acknowledged:
            await asyncio.sleep(0.01)
        assert not pair.peer.awaits_acknowledgement
        theirs.send(b"from the phone")
        assert await pair.messages.get() == b"from the phone"
        pair.peer.send_filler(b"filler")
        while not ours:
            await asyncio.sleep(0.01)
        assert ours == [b"filler"]
        assert messages.empty()


async def test_input_closes_with_the_channels_and_is_refused_from_then_on() -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        theirs = pair.sender.createDataChannel("input")
        await pair.connect()
        await pair.input_opened.wait()
        theirs.close()
        while pair.peer.has_input and pair.peer.send_input(b"touch", reliable=True) is not None:
            await asyncio.sleep(0.01)
        await pair.peer.aclose()
        assert not pair.peer.has_input
        assert pair.peer.send_input(b"touch", reliable=True) is None


def open_many(sctp: Any) -> None:
    for number in range(hardening.DATA_CHANNELS_LIMIT + 1):
        parameters = RTCDataChannelParameters(label=f"channel {number}")
        RTCDataChannel(sctp, parameters)


async def send_pieces(sctp: Any, count: int, size: int, *, streams: int = 1, gap: int = 0) -> None:
    """Send pieces of messages without an end, past aiortc's own care for the other side's window."""
    for number in range(count):
        chunk = DataChunk()
        chunk.flags = SCTP_DATA_FIRST_FRAG if number < streams else 0
        chunk.tsn = tsn_plus_one((sctp._local_tsn + gap + number) % 2**32)
        chunk.stream_id, chunk.stream_seq, chunk.protocol = 2 + number % streams, 0, WEBRTC_BINARY
        chunk.user_data = bytes(size)
        await sctp._send_chunk(chunk)


async def open_nonsense(sctp: Any) -> None:
    await sctp._send(9, WEBRTC_DCEP, b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\xff\xfe")


@pytest.mark.parametrize(
    ("exceed", "problem"),
    [
        (open_many, "expected at most 64 channels, got 65"),
        (functools.partial(send_pieces, count=300, size=2, streams=300), "expected at most 256 streams, got 257"),
        (functools.partial(send_pieces, count=600, size=1000), "expected at most 524288 bytes that make no whole mess"),
        (functools.partial(send_pieces, count=2100, size=1), "expected at most 2048 pieces that make no whole message"),
        (functools.partial(send_pieces, count=2100, size=0, gap=9), "expected at most 2048 pieces that make no whole "),
        (open_nonsense, "the phone sent something on them that makes no sense"),
    ],
)
async def test_media_goes_on_when_data_channels_exceed_their_bounds(
    exceed: Callable[[Any], Awaitable[None] | None], problem: str
) -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        pair.sender.createDataChannel("status")
        await pair.connect()
        await pair.input_opened.wait()
        if doing := exceed(pair.sender.sctp):
            await doing
        assert (await pair.problems.get()).startswith(f"data channels closed: {problem}")
        assert not pair.peer.send_input(b"touch", reliable=False)
        (media,) = pair.inputs
        media.rtp.clear()
        media.arrived.clear()
        await media.arrived.wait()
        assert pair.problems.empty()
        assert pair.peer.state == "connected"


async def test_input_beyond_what_the_path_takes_is_refused_rather_than_queued() -> None:
    async with Pair(audio=False) as pair, asyncio.timeout(LIMIT_S):
        pair.sender.createDataChannel("status")
        await pair.connect()
        await pair.input_opened.wait()
        frame = bytes(1000)
        taken = 0
        while pair.peer.send_input(frame, reliable=False):  # the loop never runs in between
            taken += 1
        assert taken == BYTES_LIMIT // len(frame)
