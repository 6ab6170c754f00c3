"""What a session refuses before it gives an iterator."""

from typing import Any

import pytest

from streamer.errors import ConfigurationError
from streamer.streams import Streams


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"size": (64, 32)}, r"expected a format with size=\(64, 32\)"),
        ({"format": "cmyk"}, "expected a pixel format of rgb24, bgr24, gray, yuv420p, got 'cmyk'"),
        ({"format": "gray", "size": (0, 32)}, "expected a size of 1 to 16384 pixels each way, got 0x32"),
        ({"format": "yuv420p", "size": (63, 32)}, 'expected an even size for "yuv420p", got 63x32'),
    ],
)
def test_frames_in_an_impossible_format_are_refused(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Streams().frames(**wanted)
