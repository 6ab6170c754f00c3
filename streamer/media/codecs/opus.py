"""What an Opus packet says of itself undecoded (RFC 6716 section 3), and the packets that stand for lost ones."""

from typing import Final

CLOCK_RATE: Final = 48_000  # of RTP timestamps, whatever the encoder's own rate is (RFC 7587 section 4.1)
LONGEST: Final = 5760  # samples of the longest packet: 120 ms
LONGEST_CONCEALMENT: Final = 960  # samples of the longest frame that stands for loss: 20 ms

_SILK: Final = (480, 960, 1920, 2880)  # samples of a frame, by the two lower bits of the configuration
_CELT: Final = (120, 240, 480, 960)
_FULL_BAND: Final = 28  # the first of the configurations that are CELT at 48 kHz


def duration(packet: bytes) -> int | None:
    """Return how many samples a packet holds, at 48 kHz; None if it is malformed (section 3.1 and 3.2)."""
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
    """Return packets from which a decoder makes up `samples` samples, rounded up to 2.5 ms, where packets are missing.

    Each is a table-of-contents byte and a frame of no bytes, which is "DTX or lost packet" (section 3.2.1): libopus
    then conceals, from what it has decoded before. libavcodec's own decoder gives silence. `like` is a packet of the
    same stream: it says whether that is mono or stereo.
    """
    channels = like[0] & 4
    packets = []
    while samples > 0:
        index = max((index for index in range(4) if _CELT[index] <= samples), default=0)
        packets.append(bytes([(_FULL_BAND + index) << 3 | channels]))
        samples -= _CELT[index]
    return packets
