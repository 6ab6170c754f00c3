"""What real encoders make of a screen, as the watcher sees it: their afterthoughts are still, a slow fade is not."""

import functools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
import pytest

from streamer.watch.change import Look, Reference
from streamer.watch.still import Stillness
from streamer.watcher import BlockMeans

WIDTH, HEIGHT, FPS = 320, 480, 30
QUIET_NS: Final = 300_000_000
REST: Final = 2 * FPS
_LIVE: Final = {"deadline": "realtime", "lag-in-frames": "0", "cpu-used": "7"}
_X264: Final = {"preset": "ultrafast", "tune": "zerolatency"}
ENCODERS: Final[dict[str, tuple[str, str, dict[str, str]]]] = {
    "x264": ("libx264", "h264", _X264 | {"x264-params": "vbv-maxrate=1000:vbv-bufsize=250:keyint=infinite"}),
    "x264 with keyframes": ("libx264", "h264", _X264 | {"x264-params": "vbv-maxrate=1000:vbv-bufsize=250:keyint=20"}),
    "VP8": ("libvpx", "vp8", _LIVE | {"static-thresh": "1"}),
    "VP9": ("libvpx-vp9", "vp9", _LIVE | {"aq-mode": "3"}),
}

Luma = npt.NDArray[np.uint8]


def decoded(encoder: str, scene: list[Luma]) -> Iterator[av.VideoFrame]:
    name, decoder, options = ENCODERS[encoder]
    sender, receiver = av.CodecContext.create(name, "w"), av.CodecContext.create(decoder, "r")
    assert isinstance(sender, av.VideoCodecContext)
    assert isinstance(receiver, av.VideoCodecContext)
    sender.width, sender.height, sender.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    sender.time_base, sender.framerate, sender.bit_rate = Fraction(1, FPS), Fraction(FPS), 1_000_000
    sender.thread_count = receiver.thread_count = 1
    sender.options = options
    if "keyframes" not in encoder:
        sender.gop_size = 10_000
    for number, luma in enumerate(scene):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        frame.planes[0].update(luma.tobytes())
        for plane in frame.planes[1:]:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        for packet in sender.encode(frame):
            yield from receiver.decode(av.Packet(bytes(packet)))


def still_after(encoder: str, scene: list[Luma]) -> int | None:
    """Return with which frame the screen is still; None if it never is."""
    still, reference, means = Stillness(QUIET_NS, 0), Reference(), BlockMeans()
    for number, frame in enumerate(decoded(encoder, scene)):
        look: Look = reference.compare(
            means(frame), (WIDTH, HEIGHT), rtp_time=3000 * number, arrival_ns=number * 1_000_000_000 // FPS
        )
        still.receive(look)
        if still.is_still:
            return number
    return None


@functools.cache
def page() -> Any:
    """Return lines of text, twice the height of the screen."""
    random = np.random.default_rng(1)
    page = np.full((2 * HEIGHT, WIDTH), 230, np.uint8)
    for line in range(10, 2 * HEIGHT - 30, 30):
        for left in range(10, WIDTH - 20, 12):
            glyph = np.kron(random.random((8, 5)) < 0.4, np.ones((2, 2)))
            page[line : line + 16, left : left + 10] = np.where(glyph, 40, 230)
    return page


def scrolled(position: int) -> Luma:
    return np.array(page()[position : position + HEIGHT])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_screen_is_still_soon_after_it_has_come_to_rest_and_not_before(encoder: str) -> None:
    moves = [scrolled(position) for position in range(0, 240, 8)]
    number = still_after(encoder, moves + [moves[-1]] * REST)
    assert number is not None
    assert len(moves) + 8 <= number <= len(moves) + FPS  # 0.3 s of quiet, and afterthoughts of 0.7 s at the most


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_fade_of_one_level_a_frame_is_not_still(encoder: str) -> None:
    fade = [np.full((HEIGHT, WIDTH), level, np.uint8) for level in range(220, 130, -1)]
    assert still_after(encoder, fade) is None


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_caret_that_blinks_is_seen(encoder: str) -> None:
    """It is two pixels wide."""
    scene = []
    for number in range(3 * FPS):
        luma = scrolled(0)
        luma[100:124, 152:154] = 20 if number // 15 % 2 else 230
        scene.append(luma)
    reference, means, seen = Reference(), BlockMeans(), []
    for number, frame in enumerate(decoded(encoder, scene)):
        look = reference.compare(means(frame), (WIDTH, HEIGHT), rtp_time=3000 * number, arrival_ns=number)
        if look.changed is not None:
            seen.append(number)
    assert {number // 15 for number in seen} >= {1, 2, 3, 4, 5}
