"""Reads the duration of an Opus packet without decoding it (RFC 6716 section 3), and makes packets for lost ones."""

from typing import Final

CLOCK_RATE: Final = 48_000  # of RTP timestamps, whatever the encoder's own rate is (RFC 7587 section 4.1)
LONGEST: Final = 5760  # samples of the longest packet: 120 ms
LONGEST_CONCEALMENT: Final = 960  # samples of the longest packet that stands for a lost one: 20 ms

_SILK: Final = (480, 960, 1920, 2880)  # samples of a frame, by the two lower bits of the configuration
_CELT: Final = (120, 240, 480, 960)
_FULL_BAND: Final = 28  # the first of the configurations that are CELT at 48 kHz


def duration(packet: bytes) -> int | None:
    """Return the number of samples in a packet, at 48 kHz; None if it is malformed (sections 3.1 and 3.2)."""
    if not packet:
        return None
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        frame = _SILK[configuration & 3]
    elif configuration < 16:
        frame = _SILK[configuration & 1]
    else:
        frame = _CELT[configuration & 3]
    count = (1, 2, 2, packet[1] & 0x3F if len(packet) > 1 else 0)[code]
    return frame * count if 0 < frame * count <= LONGEST else None


def concealment_packets(samples: int, *, like: bytes) -> list[bytes]:
    """Return packets that make a decoder conceal `samples` samples, rounded up to 2.5 ms.

    Each packet is a table-of-contents byte and an empty frame, which means "DTX or lost packet" (section 3.2.1).
    libopus then continues the audio that it decoded before. libavcodec's own decoder returns silence. `like` is a
    packet of the same stream, mono or stereo.
    """
    channels = like[0] & 4
    packets = []
    while samples > 0:
        index = max((index for index in range(4) if _CELT[index] <= samples), default=0)
        packets.append(bytes([(_FULL_BAND + index) << 3 | channels]))
        samples -= _CELT[index]
    return packets
