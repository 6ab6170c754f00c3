"""What Opus packets say of themselves: libopus's own, and the table of RFC 6716."""

import fractions

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.media.codecs.opus import LONGEST, concealment_packets, duration


@pytest.mark.parametrize("application", ["audio", "voip", "lowdelay"])
@pytest.mark.parametrize("milliseconds", [2.5, 5, 10, 20, 40, 60])
@pytest.mark.parametrize("bit_rate", [12_000, 64_000])
def test_the_duration_is_what_the_encoder_put_in(application: str, milliseconds: float, bit_rate: int) -> None:
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = 48_000, av.AudioLayout("mono"), av.AudioFormat("s16")
    context.bit_rate = bit_rate
    context.options = {"application": application, "frame_duration": str(milliseconds)}
    context.open()
    samples = round(48 * milliseconds)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.int16), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, fractions.Fraction(1, 48_000)
    packets = [bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]]
    assert duration(packets[0]) == samples


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"", None),
        (b"\x00", 480),  # SILK, 10 ms
        (b"\x18", 2880),
        (b"\x60", 480),  # hybrid
        (b"\x68", 960),
        (b"\x80", 120),  # CELT
        (b"\xf8", 960),
        (b"\xf9", 1920),  # two frames of the same size
        (b"\xfa\x01", 1920),  # two of different ones
        (b"\xfb", None),  # the count is missing
        (b"\xfb\x00", None),
        (b"\xfb\x06", LONGEST),
        (b"\xfb\x07", None),  # more than 120 ms
        (b"\xfb\xc3", 2880),  # the two bits above the count are flags
    ],
)
def test_the_table_of_contents_is_read_as_the_rfc_has_it(packet: bytes, samples: int | None) -> None:
    assert duration(packet) == samples


@given(st.integers(1, 20_000), st.binary(min_size=1, max_size=3))
def test_a_packet_for_concealment_has_the_requested_length_and_channels(samples: int, like: bytes) -> None:
    """Law: rounded up to 2.5 ms, and never more."""
    packets = concealment_packets(samples, like=like)
    durations = [duration(packet) or 0 for packet in packets]
    assert samples <= sum(durations) < samples + 120  # the shortest frame has so many
    assert {packet[0] & 4 for packet in packets} == {like[0] & 4}
