"""What H.264 and H.265 share: NAL units in Annex B form, and the parameter sets of an SDP."""

import base64
from collections.abc import Iterator
from typing import Final

START_CODE: Final = b"\x00\x00\x00\x01"


def annex_b(nal_units: list[bytes]) -> bytes:
    """Return NAL units in Annex B form."""
    return START_CODE + START_CODE.join(nal_units)


def sprop(text: str) -> Iterator[bytes]:
    """Yield the NAL units of an SDP parameter such as `sprop-parameter-sets`: base64, divided by commas."""
    for item in text.split(","):
        try:
            yield base64.b64decode(item, validate=True)
        except ValueError:  # binascii.Error, or not even ASCII
            continue


def exp_golomb(data: bytes) -> int:
    """Return the unsigned Exp-Golomb code at the start of `data` (H.264 section 9.1); 255 if it is longer than that."""
    bits = int.from_bytes(data[:4].ljust(4, b"\x00"))
    zeros = 32 - bits.bit_length()
    if zeros > 8:
        return 255
    return (bits >> (31 - 2 * zeros)) - 1
