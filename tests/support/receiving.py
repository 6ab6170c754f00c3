"""Packets into a receiver, and what comes out of it."""

import itertools
from collections.abc import Iterable
from dataclasses import replace

from aiortc.rtp import (
    RtcpPacket,
    RtcpPsfbPacket,
)

from streamer.media.access_unit import AccessUnit
from streamer.media.rtp.receiver import Receiver
from streamer.tracks import Track
from tests.support.senders import (
    AUDIO,
    VIDEO,
    VIDEO_CODECS,
    decoded,
    encoded,
    encoded_as,
    is_keyframe,
    nal_units,
    rtp,
)

STREAM = encoded(30, slices=3, keyframe_every=10, noise=True)  # some ten packets a frame
SMALL = encoded(12, keyframe_every=4)
END = rtp(b"", 65_500 + 2_000, 1)  # behind a gap, padding of another time: what was under way will not be finished
NO_RTX = replace(VIDEO, rtx={})
CODED = {
    codec: (stream, decoded(codec, stream))
    for codec, stream in ((codec, encoded_as(codec, 10, keyframe_every=4)) for codec in VIDEO_CODECS)
}


def receiver(*tracks: Track) -> Receiver:
    return Receiver(tracks or (VIDEO, AUDIO), own_ssrc=9, cname="name")


def flat(units: Iterable[list[bytes]]) -> list[bytes]:
    return list(itertools.chain.from_iterable(units))


def feed(to: Receiver, packets: Iterable[bytes], now_ns: int = 0, interval_ns: int = 0) -> list[AccessUnit]:
    return [unit for n, data in enumerate(packets) for unit in to.receive([data], now_ns + n * interval_ns)]


def sent_rtcp(by: Receiver) -> list[object]:
    had_some, messages = by.has_rtcp, by.take_rtcp()
    assert had_some == bool(messages)
    return [item for message in messages for item in RtcpPacket.parse(message)]


def keyframe_requests(by: Receiver) -> int:
    return sum(isinstance(item, RtcpPsfbPacket) and item.fmt == 1 for item in sent_rtcp(by))


def check_counts(by: Receiver, packets: Iterable[bytes], received: int) -> None:
    """Compare the counters with the frames of which a packet arrived: each counts once, whatever became of it."""
    counted = by.counters
    assert counted.frames == received
    dropped = counted.frames_lost + counted.frames_malformed + counted.frames_awaiting_keyframe
    assert received + dropped == len({packet[4:8] for packet in packets})


def check_against(sent: list[bytes], received: list[AccessUnit]) -> list[int]:
    """Compare what came out with what was sent, by RTP time; return the numbers of the frames that came out."""
    numbers = [(unit.rtp_time - (1 << 32) - 4_294_900_000) // 3000 for unit in received]
    for unit, number, previous in zip(received, numbers, [-1, *numbers], strict=False):
        assert nal_units(unit.data) == nal_units(sent[number])
        assert unit.is_keyframe == is_keyframe(sent[number])
        assert number > previous
        assert number == previous + 1 or unit.is_keyframe
        assert unit.discontinuity == (number != previous + 1 or previous == -1) or unit.is_keyframe
    return numbers
